import { createHash, randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { splice } from '../../src/proxy/splice.ts';
import { type Bed, openBed } from '../credentials/bed.ts';
import { until } from '../support/until.ts';
import { type Legs, makeRig, type Rig, type RigParts } from './splice-rig.ts';

let bed: Bed;
let parts: RigParts;
let folder: string;
const opened: Rig[] = [];

beforeAll(async () => {
  bed = await openBed();
  const { password } = await bed.issue(await bed.account('joe@example.com'));
  const verdict = await bed.login('joe@example.com', password);
  if (verdict.kind !== 'verified') throw new Error(verdict.kind);
  folder = await mkdtemp(join(tmpdir(), 'sallyport-splice-'));
  parts = { login: verdict.login, certificates: await makeThrowAwayCertificates(folder) };
});
afterEach(() => {
  for (const rig of opened.splice(0)) rig.destroy();
});
afterAll(async () => {
  await bed.close();
  await rm(folder, { recursive: true });
});

const usual: Legs = { client: 'tls', backend: 'sharing' };
const all: readonly Legs[] = (['tls', 'clear'] as const).flatMap((client) =>
  (['sharing', 'clear', 'tls'] as const).map((backend) => ({ client, backend })),
);

async function rig(legs: Legs = usual): Promise<Rig> {
  const made = await makeRig(parts, legs);
  opened.push(made);
  return made;
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** Reads to the end; now and then it stops for a moment, so that its source must wait. */
async function digestUntilEnd(socket: Socket, isMoody = false): Promise<string> {
  // Not `for await`: it destroys the socket at the end of its reading side.
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    if (!isMoody || randomInt(8) > 0) return;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  socket.resume();
  await once(socket, 'end');
  return hash.digest('hex');
}

async function textUntilEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  await once(socket, 'end');
  return Buffer.concat(chunks).toString();
}

/** Not `once`, for which an 'error' before it is a failure. */
const closing = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

/** Resolves once a number has not changed for a while of turns of the event loop. */
async function settled(value: () => number, quietTurns = 300): Promise<void> {
  let last = -1;
  for (let turns = 0; turns < quietTurns; turns++) {
    if (value() !== last) turns = 0;
    last = value();
    await new Promise(setImmediate);
  }
}

describe.each(all)('client $client, backend $backend', (legs) => {
  it('wire 61: 16 MB of anything both ways at once', async () => {
    const { client, backend, splice } = await rig(legs);
    const up = randomBytes(16 << 20);
    const down = randomBytes(16 << 20);
    const done = splice();
    client.end(up);
    backend.end(down);
    const read = await Promise.all([digestUntilEnd(backend, true), digestUntilEnd(client, true)]);
    expect(read).toEqual([digest(up), digest(down)]);
    expect(await done).toMatchObject({ bytesUp: up.length, bytesDown: down.length });
  });

  it('wire 56, 59: bytes read before the splice go first, however many', async () => {
    const { client, backend, splice } = await rig(legs);
    const fromClient = randomBytes(80_000);
    const fromUpstream = randomBytes(200_000);
    void splice({ fromClient, fromUpstream });
    client.end(' INBOX\r\n');
    backend.end('ISTS\r\n');
    expect(await Promise.all([digestUntilEnd(backend), digestUntilEnd(client)])).toEqual([
      digest(Buffer.concat([fromClient, Buffer.from(' INBOX\r\n')])),
      digest(Buffer.concat([fromUpstream, Buffer.from('ISTS\r\n')])),
    ]);
  });

  it('wire 64: a client that does not read stops the backend, and then gets everything', async () => {
    const { client, backend, accepted, upstream, traffic, splice } = await rig(legs);
    void splice();
    client.pause();
    const down = randomBytes(32 << 20);
    backend.end(down);
    await settled(() => traffic.bytesDown);
    expect(traffic.bytesDown).toBeLessThan(16 << 20);
    expect(accepted.writableLength).toBeLessThanOrEqual(legs.client === 'tls' ? 16_384 : 2 * 65_536);
    expect(upstream.readableLength).toBeLessThanOrEqual(2 * 65_536);
    expect(await digestUntilEnd(client)).toBe(digest(down));
  });

  it('wire 64: a backend that does not read stops the client, and then gets everything', async () => {
    const { client, backend, accepted, upstream, traffic, splice } = await rig(legs);
    void splice();
    backend.pause();
    const up = randomBytes(32 << 20);
    client.end(up);
    await settled(() => traffic.bytesUp);
    expect(traffic.bytesUp).toBeLessThan(16 << 20);
    expect(upstream.writableLength).toBeLessThanOrEqual(legs.backend === 'tls' ? 16_384 : 2 * 65_536);
    expect(accepted.readableLength).toBeLessThanOrEqual(2 * 65_536);
    expect(await digestUntilEnd(backend)).toBe(digest(up));
  });

  it('wire 65: what the backend answers to a closed write side still arrives', async () => {
    const { client, backend, splice } = await rig(legs);
    const done = splice();
    client.end('x LOGOUT\r\n');
    expect(await textUntilEnd(backend)).toBe('x LOGOUT\r\n');
    backend.end('* BYE\r\nx OK\r\n');
    expect(await textUntilEnd(client)).toBe('* BYE\r\nx OK\r\n');
    expect((await done).ended).toBe('client');
  });

  it('wire 65: what the client says after the backend is done still arrives', async () => {
    const { client, backend, splice } = await rig(legs);
    const done = splice();
    backend.end('* BYE shutting down\r\n');
    expect(await textUntilEnd(client)).toBe('* BYE shutting down\r\n');
    client.end('DONE\r\n');
    expect(await textUntilEnd(backend)).toBe('DONE\r\n');
    expect((await done).ended).toBe('upstream');
  });

  it('wire 65: a client that reads late gets what is left when everybody else is gone', async () => {
    const { client, backend, upstream, splice } = await rig(legs);
    const done = splice();
    client.pause();
    client.end('x LOGOUT\r\n');
    const down = randomBytes(8 << 20);
    backend.resume();
    backend.end(down);
    const closed = closing(upstream);
    expect(await digestUntilEnd(client)).toBe(digest(down));
    await closed;
    expect((await done).ended).toBe('client');
  });

  it('wire 65: a backend that resets takes the client connection with it', async () => {
    const { client, backend, accepted, upstream, splice } = await rig(legs);
    const done = splice();
    client.resume();
    const closed = closing(client);
    client.once('end', () => client.destroy());
    if (legs.backend === 'tls') upstream.destroy(new Error('reset'));
    else backend.resetAndDestroy();
    await closed;
    expect((await done).ended).toBe('reset');
    expect([accepted.destroyed, upstream.destroyed]).toEqual([true, true]);
  });

  it('wire 65: a client that resets takes the backend connection with it', async () => {
    const { client, backend, accepted, upstream, splice } = await rig(legs);
    const done = splice();
    backend.resume();
    backend.once('end', () => backend.destroy());
    const closed = closing(backend);
    if (legs.client === 'tls') accepted.destroy(new Error('reset'));
    else client.resetAndDestroy();
    await closed;
    expect((await done).ended).toBe('reset');
    expect([accepted.destroyed, upstream.destroyed]).toEqual([true, true]);
  });

  it('wire 66, 62: the idle limit closes both, and nobody hears a word', async () => {
    const { client, backend, splice } = await rig(legs);
    const heard = Promise.all([textUntilEnd(client), textUntilEnd(backend)]);
    expect((await splice({ idleTimeMs: 50 })).ended).toBe('idle');
    expect(await heard).toEqual(['', '']);
  });
});

it('wire 65: a client that vanishes takes the backend connection with it', async () => {
  const { client, backend, splice } = await rig();
  const done = splice();
  // IDLE news for a client that is gone: the first write fails, and the backend must hear of it.
  const news = setInterval(() => backend.write('* 1 EXISTS\r\n'), 5);
  backend.resume();
  backend.once('end', () => backend.end());
  const closed = closing(backend);
  client.destroy();
  await closed;
  clearInterval(news);
  await done;
});

it.each([
  ['client', 'backend'],
  ['backend', 'client'],
] as const)(
  'wire 65: a reset of the %s ends a %s that does not read, at its next word',
  async (gone, stuck) => {
    const made = await rig({ client: 'clear', backend: 'sharing' });
    const done = made.splice();
    made[stuck].pause();
    made[gone].write(Buffer.alloc(32 << 20));
    await settled(() => made.traffic.bytesUp + made.traffic.bytesDown);
    // Nobody reads from it any more, so only a write finds out.
    made[gone].resetAndDestroy();
    made[stuck].write('DONE\r\n');
    made[stuck].write('DONE\r\n');
    expect((await done).ended).toBe('reset');
  },
);

it('wire 65: what nobody reads does not keep a connection whose other side has closed in order', async () => {
  const { client, backend, accepted, traffic, splice } = await rig();
  const done = splice({ lastBytesMs: 50 });
  client.pause();
  client.end('x LOGOUT\r\n');
  backend.resume();
  // One record at a time, so that nothing waits unread before the FIN.
  for (let sent = 0; accepted.writableLength === 0; ) {
    sent += 8_192;
    backend.write(Buffer.alloc(8_192));
    while (traffic.bytesDown < sent) await new Promise(setImmediate);
    await settled(() => accepted.writableLength, 30);
  }
  backend.end();
  expect((await done).ended).toBe('client');
});

it('wire 64: one TLS record at a time is written to a TLS sink, after the one before was taken', async () => {
  const { client, backend, accepted, splice } = await rig({ client: 'tls', backend: 'clear' });
  let largest = 0;
  let waiting = 0;
  const write = accepted.write.bind(accepted) as (chunk: Buffer, then: () => void) => boolean;
  accepted.write = ((chunk: Buffer, then: () => void) => {
    largest = Math.max(largest, chunk.length);
    waiting = Math.max(waiting, accepted.writableLength);
    return write(chunk, then);
  }) as typeof accepted.write;
  void splice({ fromUpstream: randomBytes(100_000) });
  backend.end(randomBytes(4 << 20));
  await digestUntilEnd(client, true);
  expect([largest, waiting]).toEqual([16_384, 0]);
});

it('one read buffer for all: no byte of a connection gets into another', async () => {
  const exact = async (): Promise<boolean> => {
    const { client, backend, splice } = await rig();
    void splice();
    const down = randomBytes(8 << 20);
    backend.end(down);
    return (await digestUntilEnd(client, true)) === digest(down);
  };
  expect(await Promise.all(Array.from({ length: 8 }, exact))).toEqual(Array(8).fill(true));
});

it('a backend socket with shared reads emits what it reads until the splice takes over', async () => {
  const { client, backend, upstream, splice } = await rig();
  const greeting = once(upstream, 'data');
  upstream.resume();
  backend.write('* OK ready\r\n');
  const [first] = (await greeting) as [Buffer];
  upstream.pause();
  const kept = first.toString();
  // What comes while it is paused waits in the kernel.
  backend.write('* 1 EXISTS\r\n');
  await settled(() => upstream.bytesRead);
  void splice({ fromUpstream: first });
  backend.end();
  expect(kept).toBe('* OK ready\r\n');
  expect(await textUntilEnd(client)).toBe('* OK ready\r\n* 1 EXISTS\r\n');
});

it('wire 155: any of the four sockets may vanish at any moment', async () => {
  for (let round = 0; round < 40; round++) {
    const made = await rig(all[round % all.length]);
    const { client, backend, accepted, upstream } = made;
    const ends = [client, backend, accepted, upstream];
    const done = made.splice({ idleTimeMs: 2_000 });
    for (const end of [client, backend]) {
      end.resume();
      end.once('end', () => end.end());
      end.write(randomBytes(1 << 20));
    }
    for (let turns = randomInt(30); turns > 0; turns--) await new Promise(setImmediate);
    ends[round % 4]?.destroy();
    await done;
    expect([accepted.destroyed, upstream.destroyed]).toEqual([true, true]);
  }
});

describe('a socket that is over before the splice begins', () => {
  it.each(['accepted', 'upstream'] as const)('%s closed: the other is closed too', async (which) => {
    const made = await rig();
    made[which].destroy();
    await closing(made[which]);
    expect((await made.splice()).ended).toBe('reset');
    expect([made.accepted.destroyed, made.upstream.destroyed]).toEqual([true, true]);
  });

  it('wire 65: a client that has already closed its side still hears the answer', async () => {
    const { client, backend, accepted, splice } = await rig();
    client.end();
    accepted.resume();
    await once(accepted, 'end');
    const done = splice({ fromClient: Buffer.from('x LOGOUT\r\n') });
    expect(await textUntilEnd(backend)).toBe('x LOGOUT\r\n');
    backend.end('x OK\r\n');
    expect(await textUntilEnd(client)).toBe('x OK\r\n');
    expect((await done).ended).toBe('client');
  });
});

it('200 sessions leave no socket and no listener behind', async () => {
  const sockets = () => process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS)/.test(name)).length;
  const before = sockets();
  let listeners = 0;
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const made = await makeRig(parts, all[index % all.length] ?? usual);
        const { client, backend, accepted, upstream } = made;
        const count = () =>
          [accepted, upstream].reduce(
            (sum, socket) =>
              sum +
              ['data', 'end', 'drain', 'timeout', 'close'].reduce(
                (each, event) => each + socket.listenerCount(event),
                0,
              ),
            0,
          );
        const own = count();
        const done = made.splice();
        for (const end of [client, backend]) end.resume();
        client.end('a LOGOUT\r\n');
        backend.end('a OK\r\n');
        await done;
        listeners += count() - own;
      }),
    );
  }
  expect(listeners).toBeLessThanOrEqual(0);
  await until(() => sockets() <= before);
});

it('counts while it goes on, and what was counted before stays', async () => {
  const { client, backend, traffic, splice } = await rig();
  traffic.bytesUp = 1_000;
  const done = splice();
  client.write('a NOOP\r\n');
  await once(backend, 'data');
  expect(traffic).toEqual({ bytesUp: 1_008, bytesDown: 0 });
  backend.end('a OK\r\n');
  client.resume();
  client.end();
  expect(await done).toMatchObject({ bytesUp: 8, bytesDown: 6 });
});

it('S-14: nothing that only looks like a verified login opens a splice', async () => {
  const { accepted, upstream } = await rig();
  const forged = { ...parts.login, address: 'boss@example.com' } as VerifiedLogin;
  const nothing = Buffer.alloc(0);
  const options = { fromClient: nothing, fromUpstream: nothing, idleTimeMs: 0 };
  await expect(splice(forged, accepted, upstream, options)).rejects.toThrow(TypeError);
});
