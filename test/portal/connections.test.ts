import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { portalTls } from '../../src/config/server-tls.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { ConnectionGuard } from '../../src/portal/connection-guard.ts';
import { createHttpServer } from '../../src/portal/http-server.ts';
import { until } from '../support/until.ts';
import { openBed } from './bed.ts';

let scratch: ScratchFolder;
let certificates: ThrowAwayCertificates;
let certificate: { cert: Buffer; key: Buffer };
let app: FastifyInstance | null = null;
const sockets: Socket[] = [];

beforeAll(async () => {
  scratch = await makeScratchFolder();
  certificates = await makeThrowAwayCertificates(scratch.path);
  certificate = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await app?.close();
  app = null;
});

afterAll(() => scratch.remove());

async function open(options: { perNetwork?: number; quietMs: number; handshakeMs?: number }) {
  const tls = portalTls({ minVersion: 'TLSv1.2' }, certificate);
  app = createHttpServer({ ...tls, handshakeTimeout: options.handshakeMs ?? 15_000 });
  app.get('/', async () => 'here');
  const guard = new ConnectionGuard(app.server, options.perNetwork ?? 200, options.quietMs);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { guard, port: (app.server.address() as AddressInfo).port };
}

function silent(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {}).resume();
  sockets.push(socket);
  return socket;
}

async function secured(port: number): Promise<Socket> {
  const socket = tlsConnect({ host: 'localhost', port, ca: certificates.ca });
  socket.on('error', () => {});
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket.resume();
}

/** A reset is an end like another, and `once` would take it for a failure of the wait. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

/** Sends `text` again and again until the other side has had enough. */
async function trickle(socket: Socket, text: string): Promise<void> {
  const timer = setInterval(() => socket.write(text), 10);
  await closed(socket);
  clearInterval(timer);
}

describe('S-72, S-12: a stranger cannot use up the portal', () => {
  it('a handshake that never comes leaves nothing behind', async () => {
    const { guard, port } = await open({ quietMs: 30_000, handshakeMs: 50 });
    await Promise.all(Array.from({ length: 20 }, () => closed(silent(port))));
    await until(async () => guard.size === 0);
  });

  it.each(['\r\n', 'x-a: b\r\n', 'G'])('a connection that only trickles %j ends', async (text) => {
    const { guard, port } = await open({ quietMs: 150 });
    const socket = await secured(port);
    if (text.startsWith('x')) socket.write('GET / HTTP/1.1\r\n');
    await trickle(socket, text);
    await until(async () => guard.size === 0);
  });

  it('one that asks now and then goes on', async () => {
    const { port } = await open({ quietMs: 400 });
    const socket = await secured(port);
    for (let round = 0; round < 4; round += 1) {
      socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  it('connections of one network are bounded, and a place becomes free again', async () => {
    const { guard, port } = await open({ perNetwork: 3, quietMs: 30_000 });
    const held = [silent(port), silent(port), silent(port)];
    await until(async () => guard.size === 3);
    await closed(silent(port));
    held[0]?.destroy();
    await until(async () => guard.size === 2);
    await secured(port);
  });

  it('S-72: closing waits for nobody who trickles or never finishes a handshake', async () => {
    const bed = await openBed({ tls: certificate });
    await bed.app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = bed.app.server.address() as AddressInfo;
    const ended = closed(silent(port));
    const socket = await secured(port);
    const trickling = trickle(socket, '\r\n');
    await bed.close();
    await Promise.all([ended, trickling]);
  });
});
