/*
 * Who sits between gateway and backend cannot read TLS, and can break it: a record that no key fits is an error on a
 * socket whose bytes nobody reads any more. It ends that one connection, and not the process (S-07, wire 155).
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { openImap } from '../../src/upstream/imap.ts';
import { until } from '../support/until.ts';
import { peer, upstreamOf, verifiedAlice } from '../upstream/bed.ts';
import { type Certificates, makeCertificates } from '../upstream/certificates.ts';
import { openDoorBed } from '../upstream/door-bed.ts';
import { ScriptedBackend } from '../upstream/scripted-backend.ts';

const broken = Buffer.concat([Buffer.from('1703030020', 'hex'), Buffer.alloc(32)]);
let certificates: Certificates;
let backend: ScriptedBackend;

beforeAll(async () => {
  certificates = await makeCertificates();
});
beforeEach(async () => {
  backend = await ScriptedBackend.open({ tls: certificates.right });
});
afterEach(async () => {
  await backend.close();
});

const options = () =>
  ({
    port: backend.port,
    tls: 'implicit',
    serverName: 'mail.backend.example',
    ca: certificates.ca,
  }) as const;

/** Spoils the backend's last connection, whose TLS knows nothing of it. */
const spoil = () => backend.sockets.at(-1)?.write(broken);

it('ends a connection that nobody listens to yet', async () => {
  const alice = await verifiedAlice();
  const { signal } = new AbortController();
  const opening = await openImap(upstreamOf(options()), alice.login, { peer, signal });
  if (opening.kind !== 'open') throw new Error(opening.kind);
  const { socket } = opening.link;
  spoil();
  // Paused as it is, it reads records.
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  await alice.close();
});

it('ends a session, on both sides', async () => {
  const door = await openDoorBed(options());
  const client = connect({ port: door.port, host: '127.0.0.1' });
  let heard = '';
  client.on('data', (bytes: Buffer) => {
    heard += bytes.toString('latin1');
    if (heard.endsWith('Logged in\r\n')) spoil();
  });
  client.on('error', () => {});
  client.write(`${door.logIn}\r\n`);
  await once(client, 'close');
  expect(heard).toContain('\r\na OK ');
  await until(() => door.log.at(-1)?.msg === 'session ends');
  expect(door.log.at(-1)).toMatchObject({ ended: 'reset' });
  await door.close();
});
