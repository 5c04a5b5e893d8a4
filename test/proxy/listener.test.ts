import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { mailTls } from '../../src/config/server-tls.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { Connection, Door } from '../../src/proxy/door/door.ts';
import { type Listener, listen } from '../../src/proxy/listener.ts';

let certificates: ThrowAwayCertificates;
let certificate: { cert: Buffer; key: Buffer };
let listener: Listener | null = null;
const clients: TLSSocket[] = [];

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-listener-'));
  certificates = await makeThrowAwayCertificates(folder);
  certificate = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
  await rm(folder, { recursive: true });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  listener?.close();
});

/** Greets and remembers; the doors of the product have tests of their own. */
class GreetingDoor implements Door {
  readonly accepted: Connection[] = [];
  accept(connection: Connection): void {
    this.accepted.push(connection);
    connection.socket.write('hello\r\n');
    connection.socket.once('end', () => connection.socket.end()).resume();
  }
  refuse({ socket }: Connection): void {
    socket.end('too many\r\n');
    socket.resume();
  }
  drain(): void {}
  close(): void {}
}

async function open(connectionsPerNetwork = 200): Promise<{ port: number; door: GreetingDoor }> {
  const door = new GreetingDoor();
  listener = await listen({
    protocol: 'imap',
    host: '127.0.0.1',
    port: 0,
    tls: mailTls({ minVersion: 'TLSv1.2' }, certificate),
    door,
    connectionsPerNetwork,
    logger: createLogger('error'),
  });
  return { port: listener.port, door };
}

function dial(port: number, options: ConnectionOptions & { localAddress?: string } = {}): TLSSocket {
  const client = tlsConnect({
    host: '127.0.0.1',
    port,
    ca: certificates.ca,
    servername: 'localhost',
    ...options,
  });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

async function firstLine(client: TLSSocket): Promise<string> {
  const [line] = (await once(client, 'data')) as [Buffer];
  return line.toString().trim();
}

async function failure(client: TLSSocket): Promise<string> {
  const [error] = (await once(client, 'error')) as [Error & { code: string }];
  return error.code;
}

/** The gateway sees a close a moment after the client: places become free by then, or this fails. */
async function untilGreeted(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const client = dial(port);
    const line = await Promise.race([firstLine(client), once(client, 'close').then(() => 'closed')]).catch(
      () => 'failed',
    );
    if (line === 'hello') return;
    // A refused connection holds a place itself until it is closed.
    if (!client.closed) await once(client.destroy(), 'close');
    await new Promise(setImmediate);
  }
  throw new Error('no place became free');
}

describe('requirements 4.1: TLS of the mail doors', () => {
  it('takes TLS 1.3 with the hybrid group and TLS 1.2 with an old ECDHE suite', async () => {
    const { port } = await open();
    const modern = dial(port);
    expect(await firstLine(modern)).toBe('hello');
    expect(modern.getProtocol()).toBe('TLSv1.3');
    const old = dial(port, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
    expect(await firstLine(old)).toBe('hello');
  });

  it.each([
    ['static RSA, which has no forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES256-SHA' }],
    ['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }],
  ] as const)('refuses %s', async (_, options) => {
    const { port, door } = await open();
    expect(await failure(dial(port, options))).toMatch(/^ERR_SSL_/);
    expect(door.accepted).toHaveLength(0);
  });

  it('wire 119: a client that speaks other protocols is refused, one without ALPN is not', async () => {
    const { port } = await open();
    expect(await failure(dial(port, { ALPNProtocols: ['http/1.1'] }))).toMatch(/ALERT/);
    const mail = dial(port, { ALPNProtocols: ['imap'] });
    expect(await firstLine(mail)).toBe('hello');
    expect(mail.alpnProtocol).toBe('imap');
    expect(await firstLine(dial(port))).toBe('hello');
  });

  it('S-07: any server name gets the same certificate and the process lives', async () => {
    const { port } = await open();
    for (const name of ['__proto__', 'MAIL.EXAMPLE.COM', 'a'.repeat(63), 'unknown.example', 'constructor']) {
      const client = dial(port, { servername: name, checkServerIdentity: () => undefined });
      expect(await firstLine(client)).toBe('hello');
      client.destroy();
    }
  });

  it('S-08: a renegotiation of TLS 1.2 is refused', async () => {
    const { port } = await open();
    const client = dial(port, { maxVersion: 'TLSv1.2' });
    await firstLine(client);
    const failed = failure(client);
    client.renegotiate({}, () => {});
    expect(await failed).toMatch(/NO_RENEGOTIATION/);
  });

  it('takes a replaced certificate without a restart', async () => {
    const { port } = await open();
    const before = dial(port);
    await firstLine(before);
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-listener-'));
    const next = await makeThrowAwayCertificates(folder);
    const replaced = { cert: await readFile(next.certFile), key: await readFile(next.keyFile) };
    listener?.useCertificate(mailTls({ minVersion: 'TLSv1.2' }, replaced));
    await rm(folder, { recursive: true });
    const after = dial(port, { ca: next.ca });
    expect(await firstLine(after)).toBe('hello');
    expect(after.getPeerCertificate().fingerprint256).not.toBe(before.getPeerCertificate().fingerprint256);
  });
});

describe('wire 152: limits are told inside TLS', () => {
  it('the connection over the limit reads why, and a place becomes free again', async () => {
    const { port, door } = await open(2);
    const [first, second] = [dial(port), dial(port)];
    await Promise.all([firstLine(first), firstLine(second)]);
    expect(await firstLine(dial(port))).toBe('too many');
    const accepted = door.accepted[0]?.socket;
    const closed = accepted === undefined ? null : once(accepted, 'close');
    first.destroy();
    await closed;
    await untilGreeted(port);
  });

  it('S-12: the networks of one wider network are bounded together', async () => {
    const { port } = await open(1);
    for (let host = 1; host <= 8; host += 1) {
      expect(await firstLine(dial(port, { localAddress: `127.0.0.${host}` }))).toBe('hello');
    }
    expect(await firstLine(dial(port, { localAddress: '127.0.0.9' }))).toBe('too many');
    expect(await firstLine(dial(port, { localAddress: '127.0.1.1' }))).toBe('hello');
  });

  it('S-12: handshakes that never finish are bounded per network', async () => {
    const { port } = await open();
    const idle = Array.from({ length: 60 }, () => connect({ host: '127.0.0.1', port }));
    const closed = idle.map((socket) =>
      once(
        socket.on('error', () => {}),
        'close',
      ),
    );
    await Promise.all(closed.slice(50));
    expect(idle.filter((socket) => socket.closed)).toHaveLength(10);
    for (const socket of idle) socket.destroy();
    await Promise.all(closed);
    await untilGreeted(port);
  });

  it('wire 128: connect and close, a thousand times, counts for nothing', async () => {
    const { port } = await open(2);
    for (let round = 0; round < 40; round += 1) {
      const probes = Array.from({ length: 25 }, () => connect({ host: '127.0.0.1', port }));
      await Promise.all(
        probes.map((probe) => once(probe, 'connect').then(() => once(probe.destroy(), 'close'))),
      );
    }
    await untilGreeted(port);
  });
});

it('tells the door who is there, by network', async () => {
  const { port, door } = await open();
  await firstLine(dial(port));
  const [connection] = door.accepted;
  expect(connection?.peer).toMatchObject({ address: '127.0.0.1', network: '127.0.0.1/32', localPort: port });
  expect(connection?.sessionId).toMatch(/^[\w-]{12}$/);
});
