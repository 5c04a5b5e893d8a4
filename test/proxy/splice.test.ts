import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { splice } from '../../src/proxy/splice.ts';
import { type Bed, openBed } from '../credentials/bed.ts';

let bed: Bed;
let login: VerifiedLogin;
let folder: string;
let certificates: ThrowAwayCertificates;
const opened: { destroy(): void }[] = [];

beforeAll(async () => {
  bed = await openBed();
  const { password } = await bed.issue(await bed.account('joe@example.com'));
  const verdict = await bed.login('joe@example.com', password);
  if (verdict.kind !== 'verified') throw new Error(verdict.kind);
  login = verdict.login;
  folder = await mkdtemp(join(tmpdir(), 'sallyport-splice-'));
  certificates = await makeThrowAwayCertificates(folder);
});

afterAll(async () => {
  for (const socket of opened) socket.destroy();
  await bed.close();
  await rm(folder, { recursive: true });
});

interface Rig {
  /** The mail program's end, TLS. */
  readonly client: Socket;
  /** The backend's end, clear. */
  readonly backend: Socket;
  readonly done: ReturnType<typeof splice>;
}

const nothing = Buffer.alloc(0);

/** client ══TLS══ [gateway side | splice | gateway side] ──TCP── backend */
async function rig(options: Partial<Parameters<typeof splice>[3]> = {}): Promise<Rig> {
  const outer = createTlsServer({
    cert: await readFile(certificates.certFile),
    key: await readFile(certificates.keyFile),
    allowHalfOpen: true,
  });
  const inner = createServer({ allowHalfOpen: true });
  outer.listen(0, '127.0.0.1');
  inner.listen(0, '127.0.0.1');
  await Promise.all([once(outer, 'listening'), once(inner, 'listening')]);
  const toGateway = {
    port: (outer.address() as AddressInfo).port,
    host: '127.0.0.1',
    ca: certificates.ca,
    servername: 'localhost',
    allowHalfOpen: true,
  };
  const client = tlsConnect(toGateway);
  const upstream = connect({
    port: (inner.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const [[accepted], [backend]] = (await Promise.all([
    once(outer, 'secureConnection'),
    once(inner, 'connection'),
    once(client, 'secureConnect'),
  ])) as unknown as [[Socket], [Socket]];
  outer.close();
  inner.close();
  for (const socket of [client, backend, accepted, upstream]) {
    opened.push(socket);
    socket.on('error', () => {});
  }
  accepted.pause();
  upstream.pause();
  const done = splice(login, accepted, upstream, {
    fromClient: nothing,
    fromUpstream: nothing,
    idleTimeMs: 0,
    ...options,
  });
  return { client, backend, done };
}

async function digestUntilEnd(socket: Socket): Promise<string> {
  // Not `for await`: it destroys the socket at the end of its reading side.
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  await once(socket, 'end');
  return hash.digest('hex');
}

async function textUntilEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks).toString();
}

describe('wire 61: the splice is byte-exact', () => {
  it('8 MB of anything both ways at once', async () => {
    const { client, backend, done } = await rig();
    const up = randomBytes(8 << 20);
    const down = randomBytes(8 << 20);
    client.end(up);
    backend.end(down);
    const [atBackend, atClient, result] = await Promise.all([
      digestUntilEnd(backend),
      digestUntilEnd(client),
      done,
    ]);
    expect(atBackend).toBe(createHash('sha256').update(up).digest('hex'));
    expect(atClient).toBe(createHash('sha256').update(down).digest('hex'));
    expect(result).toMatchObject({ bytesUp: up.length, bytesDown: down.length });
  });

  it('wire 56, 59: bytes read before the splice go first, in order', async () => {
    const { client, backend } = await rig({
      fromClient: Buffer.from('b SELECT'),
      fromUpstream: Buffer.from('* 1 EX'),
    });
    client.end(' INBOX\r\n');
    backend.end('ISTS\r\n');
    expect(await Promise.all([textUntilEnd(backend), textUntilEnd(client)])).toEqual([
      'b SELECT INBOX\r\n',
      '* 1 EXISTS\r\n',
    ]);
  });
});

describe('wire 64: backpressure', () => {
  it('a client that does not read stops the backend from writing', async () => {
    const { client, backend } = await rig();
    client.pause();
    const chunk = Buffer.alloc(1 << 20);
    // Kernel and TLS buffers take some MB; after those a write must stop being taken.
    for (let written = 0; backend.write(chunk) || backend.writableLength < 4 << 20; written += 1) {
      if (written > 200) throw new Error('200 MB were taken although nobody reads');
      await new Promise(setImmediate);
    }
    const before = process.memoryUsage().rss;
    for (let mb = 0; mb < 64; mb += 1) {
      if (backend.writableLength < 1 << 20) backend.write(chunk);
      await new Promise(setImmediate);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(16 << 20);
    client.destroy();
  });
});

describe('wire 65: half-close and reset', () => {
  it('what the backend answers to a closed write side still arrives', async () => {
    const { client, backend, done } = await rig();
    client.end('x LOGOUT\r\n');
    expect(await textUntilEnd(backend)).toBe('x LOGOUT\r\n');
    backend.end('* BYE\r\nx OK\r\n');
    expect(await textUntilEnd(client)).toBe('* BYE\r\nx OK\r\n');
    expect((await done).ended).toBe('client');
  });

  it('the end of the backend reaches the client', async () => {
    const { client, backend, done } = await rig();
    backend.end('* BYE shutting down\r\n');
    expect(await textUntilEnd(client)).toBe('* BYE shutting down\r\n');
    client.end();
    expect((await done).ended).toBe('upstream');
  });

  it('a client that vanishes takes the backend connection with it', async () => {
    const { client, backend, done } = await rig();
    // IDLE news for a client that is gone: the first write fails, and the backend must hear of it.
    const news = setInterval(() => backend.write('* 1 EXISTS\r\n'), 5);
    backend.resume();
    backend.once('end', () => backend.end());
    const closed = once(backend, 'close');
    client.destroy();
    await closed;
    clearInterval(news);
    await done;
  });

  it('a backend that resets takes the client connection with it', async () => {
    const { client, backend, done } = await rig();
    client.resume();
    const ended = once(client, 'end');
    backend.resetAndDestroy();
    await ended;
    expect((await done).ended).toBe('reset');
  });
});

it('wire 66: a connection without a byte either way ends at the idle limit', async () => {
  const { client, backend, done } = await rig({ idleTimeMs: 50 });
  client.resume();
  backend.resume();
  expect((await done).ended).toBe('idle');
});

it('S-14: nothing that only looks like a verified login opens a splice', async () => {
  const { client, backend } = await rig();
  const forged = { ...login, address: 'boss@example.com' } as VerifiedLogin;
  const options = { fromClient: nothing, fromUpstream: nothing, idleTimeMs: 0 };
  await expect(splice(forged, client, backend, options)).rejects.toThrow(TypeError);
});
