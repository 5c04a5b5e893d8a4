/*
 * Lies about the client's address: an unbounded PROXY header (smtp-server 3.19.0), a header believed from everybody, a name
 * from reverse DNS carried into another protocol (CVE-2026-28753, nginx).
 *
 * Policy. A PROXY header counts from configured load balancers only, and from them it is mandatory. It has 3 seconds and 2048
 * bytes (107 as a line); anything else ends the connection without a byte in answer. What it carries is two addresses and two
 * ports, written anew from their numbers; of everything else in it nothing is kept.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { closed, ListenerBed, lineOf } from '../proxy/listener-bed.ts';
import { until } from '../support/until.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const balancers = { proxyProtocolFrom: ['127.0.0.1'], mode: 'starttls' as const };

describe('S-06: a PROXY header', () => {
  it.each([
    ['without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(100_000)}`)],
    ['with a reply hidden in it', Buffer.from('PROXY TCP4 203.0.113.7\r\nXCLIENT 192.0.2.1 51234 993\r\n')],
    ['with a name', Buffer.from('PROXY TCP4 evil.example 192.0.2.1 51234 993\r\n')],
    ['with a NUL', Buffer.from('PROXY TCP4 203.0.113.7\0 192.0.2.1 51234 993\r\n')],
    ['of 64 KB', Buffer.concat([signature, Buffer.from('2111ffff', 'hex'), Buffer.alloc(65_535)])],
    [
      'whose values lie about their length',
      Buffer.concat([signature, Buffer.from('21110010cb007107c0000201c82203e120ffff00', 'hex')]),
    ],
    ['of HTTP', Buffer.from('GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n')],
  ])('%s ends the connection without a word', async (_, bytes) => {
    const { port, door, listener } = await bed.open(balancers);
    const client = bed.plain(port);
    client.write(bytes);
    expect(await lineOf(client)).toBe('closed');
    expect(client.bytesRead).toBe(0);
    expect(door.accepted).toHaveLength(0);
    expect(listener.networks).toBe(0);
  });

  it('of which a hundred megabytes would follow is not read that far', async () => {
    const { port } = await bed.open(balancers);
    const client = bed.plain(port).resume();
    await once(client, 'connect');
    const piece = Buffer.alloc(65_536, 'PROXY UNKNOWN ');
    const pour = () => {
      while (client.writable && client.bytesWritten < 100_000_000 && client.write(piece));
    };
    client.on('drain', pour);
    pour();
    await closed(client);
    expect(client.bytesWritten).toBeLessThan(20_000_000);
  });

  it('is no way for a client: what it says behind the balancer’s header is its own line', async () => {
    const { port, door } = await bed.open(balancers);
    const client = bed.plain(port);
    client.write('PROXY TCP4 203.0.113.7 192.0.2.1 51234 143\r\nPROXY TCP4 10.0.0.1 192.0.2.1 1 143\r\n');
    let text = '';
    client.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    await until(() => text.includes('echo'));
    expect(text).toContain('echo PROXY TCP4 10.0.0.1');
    expect(door.accepted.map(({ peer }) => peer.address)).toEqual(['203.0.113.7']);
  });

  it('is no way around the limits: a client has one place, whichever balancer it came through', async () => {
    const { port } = await bed.open({
      ...balancers,
      proxyProtocolFrom: ['127.0.0.0/24'],
      connectionsPerNetwork: 2,
    });
    const lines: string[] = [];
    for (let balancer = 1; balancer <= 4; balancer += 1) {
      const client: Socket = bed.plain(port, { localAddress: `127.0.0.${balancer}` });
      client.write('PROXY TCP4 203.0.113.7 192.0.2.1 51234 143\r\n');
      lines.push(await lineOf(client));
    }
    expect(lines).toEqual(['hello', 'hello', 'too many', 'too many']);
  });

  it('spells an address in one way, so that a limit on it cannot be passed by another spelling', async () => {
    const { port, door } = await bed.open({ ...balancers, connectionsPerNetwork: 1 });
    const spellings = [
      'TCP4 203.0.113.7 192.0.2.1',
      'TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1',
      'TCP6 ::FFFF:cb00:7107 ::1',
    ];
    const lines: string[] = [];
    for (const spelling of spellings) {
      const client = bed.plain(port);
      client.write(`PROXY ${spelling} 51234 143\r\n`);
      lines.push(await lineOf(client));
    }
    expect(lines).toEqual(['hello', 'too many', 'too many']);
    expect(door.accepted.map(({ peer }) => peer.network)).toEqual(['203.0.113.7/32']);
  });
});
