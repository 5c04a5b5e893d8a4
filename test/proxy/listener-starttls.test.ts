import { once } from 'node:events';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '../support/until.ts';
import { closed, failureOf, ListenerBed, lineOf } from './listener-bed.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

async function open(connectionsPerNetwork = 200) {
  return await bed.open({ mode: 'starttls', connectionsPerNetwork });
}

describe('wire 110: a port that begins in clear', () => {
  it('is clear, then the same client in TLS', async () => {
    const { port, door } = await open();
    const client = bed.plain(port);
    expect(await lineOf(client)).toBe('hello');
    client.write('STARTTLS\r\n');
    expect(await lineOf(client)).toBe('go');
    const secure = bed.secure(client);
    expect(await lineOf(secure)).toBe('secured');
    secure.write('in TLS\r\n');
    expect(await lineOf(secure)).toBe('echo in TLS');
    const [clear, secured] = door.accepted;
    expect(clear?.security).toBe('clear');
    expect(secured?.security).toBe('tls');
    expect(secured).toMatchObject({ peer: clear?.peer ?? {}, sessionId: clear?.sessionId });
    expect(await secured?.secure()).toBeNull();
  });

  it('wire 119: is as strict about ALPN', async () => {
    const { port } = await open();
    const client = bed.plain(port);
    await lineOf(client);
    client.write('STARTTLS\r\n');
    await lineOf(client);
    expect(await failureOf(bed.secure(client, { ALPNProtocols: ['http/1.1'] }))).toMatch(/ALERT/);
  });

  it('wire 113: bytes between the command and the handshake go into TLS, and end there', async () => {
    const { port, door, listener } = await open();
    const client = bed.plain(port);
    await lineOf(client);
    client.write('STARTTLS\r\n');
    await lineOf(client);
    client.write('b NOOP\r\n');
    await closed(client.resume());
    await until(() => listener.networks === 0);
    expect(door.accepted).toHaveLength(1);
  });

  it('wire 112: bytes behind the command, half a line, are not joined with what TLS brings', async () => {
    const { port } = await open();
    const client = bed.plain(port);
    await lineOf(client);
    client.write('STARTTLS\r\nb LOG');
    await lineOf(client);
    const secure = bed.secure(client);
    await lineOf(secure);
    secure.write('IN joe\r\n');
    expect(await lineOf(secure)).toBe('echo IN joe');
  });

  it('wire 152: over the limit the reason comes in clear', async () => {
    const { port, door } = await open(1);
    await lineOf(bed.plain(port));
    expect(await lineOf(bed.plain(port))).toBe('too many');
    expect(door.refused).toBe(1);
  });

  it('a client that closes its half is answered, and one that only closes leaves nothing', async () => {
    const { port, listener } = await open();
    const talking = bed.plain(port, { allowHalfOpen: true });
    await lineOf(talking);
    talking.end('last\r\n');
    expect(await lineOf(talking)).toBe('echo last');
    for (let round = 0; round < 20; round += 1) {
      const silent = bed.plain(port);
      await once(silent, 'connect');
      silent.end();
    }
    await until(() => listener.networks === 0);
  });
});

describe('wire 117: the handshake of STARTTLS', () => {
  it('S-12: is counted like that of implicit TLS', async () => {
    const { port, listener } = await open();
    const clients = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const client = bed.plain(port);
        await lineOf(client);
        client.write('STARTTLS\r\n');
        await lineOf(client);
        return client.resume();
      }),
    );
    await until(() => clients.filter((client) => client.closed).length >= 10);
    expect(clients.filter((client) => client.closed)).toHaveLength(10);
    for (const client of clients) client.destroy();
    await until(() => listener.networks === 0);
  });

  it('of a client that left before it began is none', async () => {
    const { port, door, listener } = await open();
    const client = bed.plain(port);
    await lineOf(client);
    const [connection] = door.accepted;
    connection?.socket.destroy();
    expect(await connection?.secure()).toBeNull();
    await closed(client);
    expect(await connection?.secure()).toBeNull();
    await until(() => listener.networks === 0);
  });

  it('ends with the listener, and with the client at any moment', async () => {
    const { port, listener, door } = await open();
    const begin = async () => {
      const client = bed.plain(port);
      await lineOf(client);
      client.write('STARTTLS\r\n');
      await lineOf(client);
      return client.resume();
    };
    const leaving = await begin();
    leaving.resetAndDestroy();
    const closing = await begin();
    closing.end();
    await closed(closing);
    const waiting = await begin();
    listener.close();
    await closed(waiting);
    await until(() => listener.networks === 0);
    expect(door.accepted.every(({ security }) => security === 'clear')).toBe(true);
  });
});
