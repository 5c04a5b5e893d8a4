import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '../support/until.ts';
import { closed, ListenerBed, lineOf } from './listener-bed.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

/** Without limits on handshakes in time, where others are tested. */
const often = { handshakesPerSecond: 1e6, handshakeBurst: 1e6 };

async function open(connectionsPerNetwork = 200) {
  return await bed.open({ connectionsPerNetwork, ...often });
}

describe('wire 152: limits are told inside TLS', () => {
  it('the connection over the limit reads why, and a place becomes free again', async () => {
    const { port, listener } = await open(2);
    const [first, second] = [bed.dial(port), bed.dial(port)];
    await Promise.all([lineOf(first), lineOf(second)]);
    const third = bed.dial(port);
    expect(await lineOf(third)).toBe('too many');
    first.destroy();
    second.destroy();
    await closed(third);
    await until(() => listener.networks === 0);
    expect(await lineOf(bed.dial(port))).toBe('hello');
  });

  it('S-12: the networks of one wider network are bounded together', async () => {
    const { port } = await open(1);
    for (let host = 1; host <= 8; host += 1) {
      expect(await lineOf(bed.dial(port, { localAddress: `127.0.0.${host}` }))).toBe('hello');
    }
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.0.9' }))).toBe('too many');
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.1.1' }))).toBe('hello');
  });

  it('S-12: not even those who are told may be many', async () => {
    const { port, door, listener } = await bed.open({ connectionsPerNetwork: 1, mode: 'starttls' });
    await lineOf(bed.plain(port));
    // Half-open, so that each holds its place until it was ended.
    const more = await Promise.all(
      Array.from({ length: 60 }, () => lineOf(bed.plain(port, { allowHalfOpen: true }))),
    );
    expect(more.filter((line) => line === 'too many')).toHaveLength(50);
    expect(more.filter((line) => line === 'closed')).toHaveLength(10);
    expect(door.refused).toBe(50);
    bed.close();
    await until(() => listener.networks === 0);
  });
});

describe('S-12: before TLS', () => {
  it('handshakes that never finish are bounded per network', async () => {
    const { port, listener } = await open();
    const idle = Array.from({ length: 60 }, () => bed.plain(port).resume());
    await until(() => idle.filter((socket) => socket.closed).length === 10);
    expect(await lineOf(bed.dial(port))).toBe('closed');
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.3.1' }))).toBe('hello');
    bed.close();
    await until(() => listener.networks === 0);
  });

  it('handshakes are bounded in time, and come back with it', async () => {
    let at = 1e6;
    const { port } = await bed.open({ handshakesPerSecond: 2, handshakeBurst: 3, now: () => at });
    const lines = async (count: number) => {
      const heard: string[] = [];
      for (let index = 0; index < count; index += 1) heard.push(await lineOf(bed.dial(port)));
      return heard;
    };
    expect(await lines(5)).toEqual(['hello', 'hello', 'hello', 'closed', 'closed']);
    at += 500;
    expect(await lines(2)).toEqual(['hello', 'closed']);
    at += 60_000;
    expect(await lines(4)).toEqual(['hello', 'hello', 'hello', 'closed']);
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.3.1' }))).toBe('hello');
  });

  it('connections are bounded, whoever they are from', async () => {
    const { port } = await bed.open({ connections: 3 });
    const first = bed.dial(port, { localAddress: '127.0.1.1' });
    const lines = [
      first,
      bed.dial(port, { localAddress: '127.0.2.1' }),
      bed.dial(port, { localAddress: '127.0.3.1' }),
    ];
    expect(await Promise.all(lines.map(lineOf))).toEqual(['hello', 'hello', 'hello']);
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.4.1' }))).toBe('closed');
    first.destroy();
    await until(async () => (await lineOf(bed.dial(port, { localAddress: '127.0.4.1' }))) === 'hello');
  });
});

describe('wire 128: health checks', () => {
  it('connect and close, a thousand times, counts for nothing and logs nothing', async () => {
    const { port, listener, log, door } = await bed.open({ connectionsPerNetwork: 2, now: () => 1e6 });
    for (let round = 0; round < 50; round += 1) {
      const probes = Array.from({ length: 20 }, () => bed.plain(port).resume());
      await Promise.all(
        probes.map(async (probe, index) => {
          await once(probe, 'connect');
          if (index % 2 === 0) probe.destroy();
          else probe.end();
          await closed(probe);
        }),
      );
    }
    await until(() => listener.networks === 0);
    // With a clock that stands, each one that counted would be missing from the burst of 60.
    for (let round = 0; round < 60; round += 1) {
      const client = bed.dial(port);
      expect(await lineOf(client)).toBe('hello');
      client.destroy();
      await until(() => listener.networks === 0);
    }
    expect(await lineOf(bed.dial(port))).toBe('closed');
    expect(door.accepted).toHaveLength(60);
    expect(log.filter(({ level }) => level > 20)).toEqual([]);
  });
});

describe('wire 155: a reset at every step', () => {
  const header = Buffer.from('PROXY TCP4 203.0.113.7 192.0.2.1 51234 993\r\n');
  const clientHelloStart = Buffer.from('160301020001', 'hex');
  const steps: [string, (port: number) => Promise<Socket>][] = [
    ['after the connect', async (port) => await connected(bed.plain(port))],
    ['inside the PROXY header', async (port) => await said(bed.plain(port), header.subarray(0, 20))],
    ['behind it', async (port) => await said(bed.plain(port), header)],
    [
      'inside the ClientHello',
      async (port) => await said(bed.plain(port), Buffer.concat([header, clientHelloStart])),
    ],
    [
      'after the handshake',
      async (port) => {
        const tcp = bed.plain(port);
        tcp.write(header);
        await once(bed.secure(tcp), 'secureConnect');
        return tcp;
      },
    ],
    [
      'after the greeting',
      async (port) => {
        const tcp = bed.plain(port);
        tcp.write(header);
        await lineOf(bed.secure(tcp));
        return tcp;
      },
    ],
  ];

  it.each(steps)('%s', async (_, step) => {
    const { port, listener } = await bed.open({ ...often, proxyProtocolFrom: ['127.0.0.1'] });
    for (let round = 0; round < 10; round += 1) {
      (await step(port)).resetAndDestroy();
      const gentle = await step(port);
      gentle.destroy();
      const silent = await step(port);
      silent.end();
    }
    await until(() => listener.networks === 0);
    const tcp = bed.plain(port);
    tcp.write(header);
    expect(await lineOf(bed.secure(tcp))).toBe('hello');
  });

  it('before it is accepted', async () => {
    const { port, listener } = await bed.open({ ...often, proxyProtocolFrom: ['127.0.0.1'] });
    for (let round = 0; round < 200; round += 1) {
      bed.plain(port).once('connect', function (this: Socket) {
        this.resetAndDestroy();
      });
    }
    const tcp = bed.plain(port);
    tcp.write(header);
    const secure = bed.secure(tcp);
    expect(await lineOf(secure)).toBe('hello');
    secure.destroy();
    await until(() => listener.networks === 0);
  });
});

describe('wire 156: everybody at once', () => {
  it('2000 TLS connections made in one moment are all served', async () => {
    const { port, listener } = await bed.open({ connectionsPerNetwork: 2_000 });
    const clients = Array.from({ length: 2_000 }, (_, index) => {
      // Fifty hosts of eight offices: what requirements 4.3 allows each network at once.
      const localAddress = `127.1.${index % 8}.${1 + (Math.floor(index / 8) % 50)}`;
      return bed.dial(port, { localAddress });
    });
    const lines = await Promise.all(clients.map(lineOf));
    expect(lines.filter((line) => line !== 'hello')).toEqual([]);
    for (const client of clients) client.destroy();
    await until(() => listener.networks === 0);
  }, 60_000);
});

async function connected(socket: Socket): Promise<Socket> {
  await once(socket, 'connect');
  return socket;
}

async function said(socket: Socket, bytes: Buffer): Promise<Socket> {
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
  return socket;
}
