import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import { readProxyHeader } from '../../src/protocol/proxy-header/read.ts';
import { type DialOptions, dial } from '../../src/upstream/dial.ts';
import { openImap } from '../../src/upstream/imap.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';
import type { Upstream } from '../../src/upstream/upstreams.ts';
import { until } from '../support/until.ts';
import { outcomeOf, peer, routeContext, upstreamOf, verifiedAlice } from './bed.ts';
import { BlackHole } from './black-hole.ts';
import { ScriptedBackend, type ServerCertificate } from './scripted-backend.ts';

let certificate: ServerCertificate;
let ca: Buffer;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  const scratch = await makeScratchFolder();
  const made = await makeThrowAwayCertificates(scratch.path);
  certificate = { cert: await readFile(made.certFile), key: await readFile(made.keyFile) };
  ca = made.ca;
  await scratch.remove();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const signal = () => new AbortController().signal;

async function backendOn(...options: Parameters<typeof ScriptedBackend.open>): Promise<ScriptedBackend> {
  const backend = await ScriptedBackend.open(...options);
  closers.push(() => backend.close());
  return backend;
}

async function holeOn(host: string, port: number): Promise<void> {
  const hole = await BlackHole.open(host, port);
  closers.push(() => hole.close());
}

/** A name with these addresses, tried in a hurry. */
function named(port: number, found: readonly string[], attemptMs = 10_000) {
  const { context } = routeContext({
    lookup: async () => found,
    connectTimes: { staggerMs: 20, attemptMs },
  });
  return upstreamOf({ host: 'mail.backend.example', port, context });
}

async function dialed(upstream: Upstream, options: Partial<DialOptions> = {}): Promise<Socket> {
  const socket = await dial(upstream, 'imap', { signal: signal(), ...options });
  closers.push(() => void socket.destroy());
  return socket;
}

async function failure(upstream: Upstream, options: Partial<DialOptions> = {}): Promise<string> {
  const error = await dial(upstream, 'imap', { signal: signal(), ...options }).catch(
    (thrown: unknown) => thrown,
  );
  return error instanceof UpstreamError ? `${error.kind}: ${error.message}` : String(error);
}

describe('wire 157: a backend with several addresses', () => {
  it('is logged in to though one of them is a black hole', async () => {
    const backend = await backendOn();
    await holeOn('127.0.0.2', backend.port);
    const alice = await verifiedAlice();
    closers.push(alice.close);
    const upstream = named(backend.port, ['127.0.0.2', '127.0.0.1']);
    expect(await outcomeOf(openImap(upstream, alice.login, { peer, signal: signal() }))).toBe('open');
    // The next one does not try the hole at all: it would wait for the stagger otherwise.
    expect(await upstream.routes?.imap?.addresses.inOrder()).toEqual(['127.0.0.1', '127.0.0.2']);
  });

  it('fails as a timeout that names each of them where all are black holes', async () => {
    const { port } = await backendOn();
    await holeOn('127.0.0.2', port);
    await holeOn('127.0.0.3', port);
    expect(await failure(named(port, ['127.0.0.2', '127.0.0.3'], 60))).toBe(
      'timeout: 127.0.0.2: no answer in time; 127.0.0.3: no answer in time',
    );
  });

  it('tries the next at once where one refuses, and names all that did', async () => {
    const backend = await backendOn();
    const { context } = routeContext({
      lookup: async () => ['127.0.0.2', '127.0.0.3', '127.0.0.1'],
      // Nobody waits for it.
      connectTimes: { staggerMs: 600_000, attemptMs: 600_000 },
    });
    const upstream = upstreamOf({ host: 'mail.backend.example', port: backend.port, context });
    expect((await dialed(upstream)).remoteAddress).toBe('127.0.0.1');
    await backend.close();
    closers.splice(0);
    expect(await failure(upstream)).toMatch(
      /^connect: 127\.0\.0\.1: .*ECONNREFUSED.*; 127\.0\.0\.2: .*; 127\.0\.0\.3: /,
    );
  });

  it('leaves no connection of the losers', async () => {
    const slow = await backendOn();
    const fast = await backendOn({ host: '127.0.0.2', port: slow.port });
    const upstream = named(slow.port, ['127.0.0.1', '127.0.0.2']);
    const sockets = await Promise.all(Array.from({ length: 20 }, () => dialed(upstream)));
    for (const socket of sockets) socket.destroy();
    const all = () => [...slow.sockets, ...fast.sockets];
    await until(() => all().every((socket) => socket.destroyed || socket.readableEnded));
    expect(all().length).toBeGreaterThanOrEqual(20);
  });

  it('says which name it could not resolve', async () => {
    const upstream = upstreamOf({
      host: 'mail.backend.example',
      port: 1,
      context: routeContext({ lookup: () => Promise.reject(new Error('ENOTFOUND')) }).context,
    });
    expect(await failure(upstream)).toBe('connect: mail.backend.example cannot be resolved: ENOTFOUND');
  });

  it('is given up with its caller', async () => {
    const { port } = await backendOn();
    await holeOn('127.0.0.2', port);
    const caller = new AbortController();
    const dialing = failure(named(port, ['127.0.0.2']), { signal: caller.signal });
    setImmediate(() => caller.abort());
    expect(await dialing).toBe('closed: given up by the caller');
    expect(await failure(named(port, ['127.0.0.2']), { signal: AbortSignal.abort() })).toBe(
      'closed: given up by the caller',
    );
  });
});

describe('wire 67: the backend leg', () => {
  it.each(['none', 'implicit'] as const)(
    'has keep-alive of 2 minutes from the connect on: TLS %s',
    async (tls) => {
      const backend = await backendOn(tls === 'none' ? {} : { tls: certificate });
      const upstream = upstreamOf({ port: backend.port, tls, ca, serverName: 'localhost' });
      const socket = await dialed(upstream);
      expect(await keepAliveTimer(socket)).toEqual({ timer: 'keepalive', isWithin4Minutes: true });
      expect(socket.allowHalfOpen).toBe(true);
      expect(socket.isPaused()).toBe(true);
    },
  );
});

/** What the kernel says of a connection's timer (proc_net_tcp: `02` is keep-alive, in ticks of 10 ms). */
async function keepAliveTimer({ localPort = 0, remotePort = 0 }: Socket) {
  const hex = (port: number) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let timer: string | undefined;
  let ticks: string | undefined;
  await until(async () => {
    const table = await readFile('/proc/net/tcp', 'latin1');
    const row = table
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .find(([, local, remote]) => local?.endsWith(hex(localPort)) && remote?.endsWith(hex(remotePort)));
    [timer, ticks] = row?.[5]?.split(':') ?? [];
    // `01` while something just sent is not acknowledged yet.
    return timer === '02';
  });
  return {
    timer: timer === '02' ? 'keepalive' : timer,
    isWithin4Minutes: Number.parseInt(ticks ?? 'ffffffff', 16) <= 24_000,
  };
}

describe('a PROXY v2 header', () => {
  async function headerFor(options: Partial<DialOptions>, tls: 'none' | 'implicit') {
    const received: Buffer[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => received.push(bytes));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as { port: number };
    const upstream = upstreamOf({ port, tls, ca, serverName: 'localhost', proxyProtocol: 'v2' });
    const caller = new AbortController();
    const dialing = dial(upstream, 'imap', { ...options, signal: caller.signal });
    const enough = () => Buffer.concat(received).length >= (tls === 'none' ? 28 : 29);
    await until(enough);
    const bytes = Buffer.concat(received);
    const reading = readProxyHeader(bytes);
    if (reading.kind !== 'header') throw new Error(reading.kind);
    caller.abort();
    await dialing.then(
      (socket) => socket.destroy(),
      () => {},
    );
    return { header: reading.header, next: bytes[reading.length] };
  }

  it('comes before everything, the TLS handshake too, and tells whom the backend serves', async () => {
    const told = {
      kind: 'proxied',
      source: { address: '203.0.113.7', port: 51_234 },
      destination: { address: '198.51.100.1', port: 993 },
    };
    expect(await headerFor({ peer }, 'none')).toEqual({ header: told, next: undefined });
    // 22: a TLS handshake record.
    expect(await headerFor({ peer }, 'implicit')).toEqual({ header: told, next: 22 });
  });

  it('without a client tells of the gateway itself', async () => {
    const { header } = await headerFor({}, 'none');
    expect(header).toMatchObject({ kind: 'proxied', source: { address: '127.0.0.1' } });
  });
});
