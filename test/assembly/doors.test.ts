import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Closers } from '../../src/assembly/closers.ts';
import { type Doors, openDoors } from '../../src/assembly/doors.ts';
import type { Config } from '../../src/config/schema.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import { OwnEndpoints } from '../../src/upstream/own-endpoints.ts';
import { type Bed, openBed } from '../credentials/bed.ts';
import { makeCertificate } from '../proxy/listener-bed.ts';

const logger = createLogger('info', { write: () => {} });
let bed: Bed;
let closers: Closers;
let doors: Doors;
const clients: Socket[] = [];

beforeEach(async () => {
  bed = await openBed();
  closers = new Closers(logger);
  const config: Config = {
    ...bed.config,
    listen: [
      {
        door: 'imap',
        host: '127.0.0.1',
        port: 0,
        tls: 'starttls',
        proxyProtocolFrom: [],
        legacyTls: false,
        certificates: null,
      },
    ],
  };
  const parts = {
    config,
    verifier: bed.verifier,
    upstreams: new Map(),
    registry: new SessionRegistry(config.limits),
    replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now }),
    metrics: bed.metrics,
    loginLog: null,
    now: bed.clock.now,
  };
  const certificates = [await makeCertificate('ec', 'localhost')];
  const secrets = {
    masterPasswords: new Map(),
    authorities: new Map(),
    certificates,
    listenCertificates: [certificates],
  } as unknown as Parameters<typeof openDoors>[0]['secrets'];
  doors = await openDoors({ config, secrets, logger, own: new OwnEndpoints(), redis: null, parts }, closers);
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  doors.end();
  await closers.closeAll();
  await bed.close();
});

function dial(): Socket {
  const client = connect({ port: doors.ports.imap[0] ?? 0, host: '127.0.0.1' });
  clients.push(client);
  return client.on('error', () => {});
}

it('an end closes the ports too: a session begun while other parts close would have no end', async () => {
  const before = dial();
  await once(before, 'data');
  doors.end();
  await once(before, 'close');
  const [error] = await once(dial(), 'error');
  expect(error.code).toBe('ECONNREFUSED');
});

it('a start that fails later ends whom the ports had let in', async () => {
  const client = dial();
  await once(client, 'data');
  await closers.closeAll();
  await once(client.resume(), 'close');
  expect(client.bytesWritten).toBe(0);
});
