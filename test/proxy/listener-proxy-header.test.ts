import { once } from 'node:events';
import type { Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { encodeProxyHeaderV2 } from '../../src/protocol/proxy-header/v2.ts';
import { until } from '../support/until.ts';
import { closed, ListenerBed, lineOf } from './listener-bed.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

const v1 = Buffer.from('PROXY TCP4 203.0.113.7 192.0.2.1 51234 993\r\n');
const v2 = encodeProxyHeaderV2(
  { address: '2001:db8::7', port: 51_234 },
  { address: '2001:db8::1', port: 993 },
);
const unknown = Buffer.from('PROXY UNKNOWN\r\n');
const local = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
const fromIpv4 = {
  address: '203.0.113.7',
  port: 51_234,
  network: '203.0.113.7/32',
  localAddress: '192.0.2.1',
  localPort: 993,
};
const fromIpv6 = {
  address: '2001:db8::7',
  port: 51_234,
  network: '2001:db8::/64',
  localAddress: '2001:db8::1',
  localPort: 993,
};

const balancers = { proxyProtocolFrom: ['127.0.0.1', '127.0.7.0/24'] };

async function write(socket: Socket, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
}

describe.each([
  ['wire 126: version 1', v1, fromIpv4],
  ['wire 127: version 2', v2, fromIpv6],
] as const)('%s of the PROXY header', (_, header, peer) => {
  it('before TLS', async () => {
    const { port, door } = await bed.open(balancers);
    const tcp = bed.plain(port);
    tcp.write(header);
    expect(await lineOf(bed.secure(tcp))).toBe('hello');
    expect(door.accepted.map((connection) => connection.peer)).toEqual([peer]);
  });

  it('before a clear line, in one segment with it', async () => {
    const { port, door } = await bed.open({ ...balancers, mode: 'starttls' });
    const tcp = bed.plain(port);
    tcp.write(Buffer.concat([header, Buffer.from('a NOOP\r\nb NO')]));
    await until(() => door.accepted.length > 0);
    tcp.write('OP\r\nc NOOP\r\n');
    let text = '';
    tcp.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    await until(() => text.endsWith('c NOOP\r\n'));
    expect(text).toBe('hello\r\necho a NOOP\r\necho b NOOP\r\necho c NOOP\r\n');
    expect(door.accepted.map((connection) => connection.peer)).toEqual([peer]);
  });

  it('byte by byte, and before the ClientHello in its last segment', async () => {
    const { port, door } = await bed.open(balancers);
    const bytewise = bed.plain(port);
    for (const byte of header) await write(bytewise, Buffer.from([byte]));
    expect(await lineOf(bed.secure(bytewise))).toBe('hello');

    const joined = bed.plain(port);
    const [inside, outside] = duplexPair();
    const secure = bed.secure(inside);
    const [clientHello] = (await once(outside, 'data')) as [Buffer];
    joined.write(Buffer.concat([header, clientHello]));
    outside.pipe(joined).pipe(outside);
    expect(await lineOf(secure)).toBe('hello');
    expect(door.accepted.map((connection) => connection.peer)).toEqual([peer, peer]);
  });

  it('then STARTTLS, and the client stays who it is', async () => {
    const { port, door } = await bed.open({ ...balancers, mode: 'starttls' });
    const tcp = bed.plain(port);
    tcp.write(header);
    await lineOf(tcp);
    tcp.write('STARTTLS\r\n');
    await lineOf(tcp);
    expect(await lineOf(bed.secure(tcp))).toBe('secured');
    expect(door.accepted.map((connection) => connection.peer)).toEqual([peer, peer]);
  });
});

describe('S-06: who may send it, and when', () => {
  it('is nobody outside the networks, and nobody else may connect', async () => {
    const { port, door, log } = await bed.open(balancers);
    for (const localAddress of ['127.0.0.2', '127.0.8.1']) {
      const tcp = bed.plain(port, { localAddress });
      tcp.write(v1);
      const secure = bed.secure(tcp);
      expect(await lineOf(secure)).toBe('closed');
      expect(await lineOf(bed.dial(port, { localAddress }))).toBe('closed');
    }
    const insider = bed.plain(port, { localAddress: '127.0.7.99' });
    insider.write(v1);
    expect(await lineOf(bed.secure(insider))).toBe('hello');
    expect(door.accepted).toHaveLength(1);
    expect(log.map(({ reason }) => reason)).toContain('not a load balancer');
  });

  it('is mandatory: a balancer that says nothing of it is closed without a byte', async () => {
    const { port, door } = await bed.open({ ...balancers, mode: 'starttls' });
    const tcp = bed.plain(port);
    tcp.write('a NOOP\r\n');
    expect(await lineOf(tcp)).toBe('closed');
    expect(tcp.bytesRead).toBe(0);
    expect(door.accepted).toHaveLength(0);
  });

  it('is not read where no balancer is configured', async () => {
    const { port, door } = await bed.open({ mode: 'starttls' });
    const tcp = bed.plain(port);
    tcp.write(v1);
    await lineOf(tcp);
    expect(door.accepted.map(({ peer }) => peer.address)).toEqual(['127.0.0.1']);
  });

  it('comes within 3 s', async () => {
    const { port, door, log } = await bed.open(balancers);
    const tcp = bed.plain(port).resume();
    await once(tcp, 'connect');
    const trickle = setInterval(() => tcp.write('P'), 100);
    tcp.write(v1.subarray(0, 20));
    await closed(tcp);
    clearInterval(trickle);
    expect(door.accepted).toHaveLength(0);
    expect(log.map(({ reason }) => reason)).toEqual(['no PROXY header']);
  });

  it('counts the client, not the balancer', async () => {
    const { port, door } = await bed.open({ ...balancers, connectionsPerNetwork: 1, mode: 'starttls' });
    const from = async (address: string) => {
      const tcp = bed.plain(port);
      tcp.write(`PROXY TCP4 ${address} 192.0.2.1 51234 993\r\n`);
      return await lineOf(tcp);
    };
    expect(await from('203.0.113.7')).toBe('hello');
    expect(await from('203.0.113.8')).toBe('hello');
    expect(await from('203.0.113.7')).toBe('too many');
    expect(door.accepted).toHaveLength(2);
  });

  it('ends with the listener while it is waited for', async () => {
    const { port, listener } = await bed.open(balancers);
    const tcp = bed.plain(port).resume();
    await write(tcp, v1.subarray(0, 10));
    await once(bed.plain(port), 'connect');
    listener.close();
    await closed(tcp);
    expect(listener.networks).toBe(0);
  });
});

describe('wire 128: health checks', () => {
  it.each([
    ['connect and close', Buffer.alloc(0)],
    ['PROXY UNKNOWN and close', unknown],
    ['PROXY LOCAL and close', local],
  ])('%s, a thousand times, is not worth a line and counts for nothing', async (_, bytes) => {
    const { port, door, listener, log } = await bed.open({ ...balancers, connectionsPerNetwork: 1 });
    for (let round = 0; round < 40; round += 1) {
      await Promise.all(
        Array.from({ length: 25 }, async () => {
          const probe = bed.plain(port).resume();
          await once(probe, 'connect');
          if (bytes.length > 0) await write(probe, bytes);
          probe.end();
          await closed(probe);
        }),
      );
    }
    await until(() => listener.networks === 0);
    const tcp = bed.plain(port);
    tcp.write(v1);
    expect(await lineOf(bed.secure(tcp))).toBe('hello');
    expect(door.accepted).toHaveLength(1);
    expect(log.filter(({ level }) => level > 20)).toEqual([]);
  });

  it.each([unknown, local])(
    'a check that goes on is the balancer itself, whom no limit counts',
    async (bytes) => {
      const { port, door, listener } = await bed.open({ ...balancers, connectionsPerNetwork: 1 });
      for (let round = 0; round < 70; round += 1) {
        const tcp = bed.plain(port);
        tcp.write(bytes);
        expect(await lineOf(bed.secure(tcp))).toBe('hello');
      }
      expect(door.accepted[0]?.peer).toMatchObject({ address: '127.0.0.1', network: '127.0.0.1/32' });
      expect(listener.networks).toBe(0);
    },
  );
});
