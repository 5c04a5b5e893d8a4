import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { DoorParts } from '../../src/proxy/door/door.ts';
import { LiveSession } from '../../src/proxy/live-session.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import { type Bed, openBed } from '../credentials/bed.ts';

let bed: Bed;
let registry: SessionRegistry;
let phone: VerifiedLogin;
let scanner: VerifiedLogin;
let anna: VerifiedLogin;
let ended: string[];

beforeEach(async () => {
  bed = await openBed();
  ended = [];
  registry = new SessionRegistry({ sessionsPerCredential: 3, sessionsPerAccount: 4 });
  const joe = await bed.account('joe@example.com');
  phone = await logIn('joe@example.com', (await bed.issue(joe, { expiresInMs: 60_000 })).password);
  scanner = await logIn('joe@example.com', (await bed.issue(joe)).password);
  const other = await bed.account('anna@example.com');
  anna = await logIn('anna@example.com', (await bed.issue(other)).password);
});
afterEach(() => bed.close());

async function logIn(address: string, password: string): Promise<VerifiedLogin> {
  const verdict = await bed.login(address, password);
  if (verdict.kind !== 'verified') throw new Error(verdict.kind);
  return verdict.login;
}

/** A session that stays registered when it is ended, as one does whose sockets are still closing. */
function sessionOf(id: string, login: VerifiedLogin): LiveSession {
  const connection = {
    socket: new Socket(),
    security: 'tls' as const,
    secure: async () => null,
    loggedIn: () => {},
    peer: {
      address: '192.0.2.7',
      port: 50_000,
      network: '192.0.2.7/32',
      localAddress: '192.0.2.1',
      localPort: 993,
    },
    sessionId: id,
    logger: createLogger('silent'),
  };
  const end = (reason: string) => void ended.push(`${id}: ${reason}`);
  const parts = { metrics: bed.metrics, registry, now: bed.clock.now } as unknown as DoorParts;
  const session = new LiveSession(parts, connection, { protocol: 'imap', login, end });
  expect(registry.register(session)).toBe('admitted');
  session.begin({ mechanism: 'PLAIN', client: 'Outlook' }, end);
  return session;
}

const owner = ({ accountId }: VerifiedLogin) => accountId.toString('hex');
const ids = (sessions: readonly { readonly id: string }[]) => sessions.map(({ id }) => id);
const hex = (login: VerifiedLogin) => login.credentialId.toString('hex');

it('tells of a session all that is asked about it', () => {
  const session = sessionOf('k3', phone);
  session.count({ bytesUp: 100, bytesDown: 2_000 });
  expect(registry.list({ by: 'all' })).toEqual([
    {
      id: 'k3',
      protocol: 'imap',
      account: 'joe@example.com',
      credential: hex(phone),
      peerAddress: '192.0.2.7',
      network: '192.0.2.7/32',
      since: bed.clock.now(),
      client: 'Outlook',
      mechanism: 'PLAIN',
      security: 'tls',
      backend: 'office',
      bytesUp: 100,
      bytesDown: 2_000,
      state: 'open',
    },
  ]);
  session.end('by the operator');
  expect(registry.list({ by: 'all' })).toMatchObject([{ state: 'ending' }]);
});

describe('sessions are found and ended', () => {
  beforeEach(() => {
    sessionOf('p1', phone);
    sessionOf('p2', phone);
    sessionOf('s1', scanner);
    sessionOf('a1', anna);
  });

  it.each([
    ['all', () => ({ by: 'all' }) as const, ['p1', 'p2', 's1', 'a1']],
    ['account', () => ({ by: 'account', account: 'joe@example.com' }) as const, ['p1', 'p2', 's1']],
    ['credential', () => ({ by: 'credential', credential: hex(phone) }) as const, ['p1', 'p2']],
    ['id', () => ({ by: 'session', session: 's1' }) as const, ['s1']],
    ['an account without any', () => ({ by: 'account', account: 'joe@example.org' }) as const, []],
    ['an id without any', () => ({ by: 'session', session: 'p' }) as const, []],
    ['owner', () => ({ by: 'owner', accountId: owner(phone), session: null }) as const, ['p1', 'p2', 's1']],
    [
      'owner and app password',
      () => ({ by: 'owner', accountId: owner(phone), session: null, credential: hex(scanner) }) as const,
      ['s1'],
    ],
    ['owner and id', () => ({ by: 'owner', accountId: owner(phone), session: 'p2' }) as const, ['p2']],
    [
      'owner and the id of another',
      () => ({ by: 'owner', accountId: owner(phone), session: 'a1' }) as const,
      [],
    ],
    [
      'owner and the app password of another',
      () => ({ by: 'owner', accountId: owner(phone), session: null, credential: hex(anna) }) as const,
      [],
    ],
  ])('by %s', (_, filter, expected) => {
    expect(ids(registry.list(filter()))).toEqual(expected);
    expect(registry.end(filter(), 'by the operator')).toBe(expected.length);
    expect(ended).toEqual(expected.map((id) => `${id}: by the operator`));
  });

  it('once: what is ending is not counted again', () => {
    expect(registry.endCredential(phone.credentialId, 'revoked')).toBe(2);
    expect(registry.endAccount(phone.accountId, 'disabled')).toBe(1);
    expect(registry.end({ by: 'all' }, 'by the operator')).toBe(1);
    expect(ended).toEqual(['p1: revoked', 'p2: revoked', 's1: disabled', 'a1: by the operator']);
  });
});

it('S-56: every session ends at the expiry that its own login saw', () => {
  const first = sessionOf('p1', { ...phone, notAfter: null } as unknown as VerifiedLogin);
  sessionOf('p2', phone);
  sessionOf('s1', scanner);
  bed.clock.advance(59_999);
  expect(registry.endExpired(bed.clock.now())).toBe(0);
  bed.clock.advance(1);
  expect(registry.endExpired(bed.clock.now())).toBe(1);
  expect(registry.endExpired(bed.clock.now())).toBe(0);
  expect(ended).toEqual(['p2: app password expired']);
  expect(first.endedBecause).toBe(null);
});

describe('S-58: caps', () => {
  it('of a credential, until one of its sessions leaves', () => {
    const first = sessionOf('p1', phone);
    sessionOf('p2', phone);
    sessionOf('p3', phone);
    const next = { ...first, login: phone, id: 'p4' } as unknown as LiveSession;
    expect(registry.register(next)).toBe('too-many');
    first.leave('client');
    first.leave('client');
    expect(registry.register(next)).toBe('admitted');
    expect(registry.size).toBe(3);
  });

  it('of an account, whatever its credentials', () => {
    for (const id of ['p1', 'p2']) sessionOf(id, phone);
    for (const id of ['s1', 's2']) sessionOf(id, scanner);
    const next = { login: scanner, id: 's3' } as unknown as LiveSession;
    expect(registry.register(next)).toBe('too-many');
    sessionOf('a1', anna);
  });

  it('a session that was refused takes nobody out of the registry when it leaves', () => {
    sessionOf('p1', phone);
    registry.remove({ login: phone, id: 'p1' } as unknown as LiveSession);
    expect(registry.size).toBe(1);
  });
});

it('metrics keep up with sessions that go on, and count each byte once', async () => {
  const session = sessionOf('p1', phone);
  const down = () => bed.value('sallyport_bytes_total', { direction: 'down' });
  session.count({ bytesUp: 1, bytesDown: 10 });
  registry.publishTraffic();
  registry.publishTraffic();
  expect(await down()).toBe(10);
  session.traffic.bytesDown += 5;
  session.leave('client');
  expect(await down()).toBe(15);
  // A relay's last answer may come behind the client's leaving.
  session.count({ bytesUp: 0, bytesDown: 2 });
  expect(await down()).toBe(17);
});
