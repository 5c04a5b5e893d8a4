import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Backend } from '../../src/config/schema.ts';
import { LoginLog } from '../../src/credentials/login-log.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import type { DoorParts } from '../../src/proxy/door/door.ts';
import { type LoginOrder, type LoginResult, logIn } from '../../src/proxy/login.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import { Secret } from '../../src/secret.ts';
import { UpstreamError } from '../../src/upstream/upstream-error.ts';
import { type Bed, openBed } from '../credentials/bed.ts';

let bed: Bed;
let parts: DoorParts;
let password: string;
let gone: AbortController;
let cuts: number;

const link = { cut: () => cuts++ };
const endpoint = { host: '127.0.0.1', port: 1, tls: 'none', caFile: null, serverName: '127.0.0.1' } as const;

beforeEach(async () => {
  bed = await openBed();
  ({ password } = await bed.issue(await bed.account('joe@example.com')));
  gone = new AbortController();
  cuts = 0;
  const backend: Backend = {
    name: 'office',
    imap: endpoint,
    smtp: endpoint,
    pop3: null,
    login: { method: 'master', user: 'gateway' },
    forward: { imapId: false, xclient: false, proxyProtocol: 'none' },
    denyUsers: [],
  };
  parts = {
    config: bed.config,
    verifier: bed.verifier,
    upstreams: new Map([
      ['office', { backend, password: Secret.fromText('x'), imapTls: null, smtpTls: null, pop3Tls: null }],
    ]),
    registry: new SessionRegistry(bed.config.limits),
    loginLog: null,
    replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now }),
    metrics: bed.metrics,
    now: bed.clock.now,
  };
});
afterEach(() => bed.close());

type Open = LoginOrder<typeof link>['open'];

/** A right login at a door that opens its backend so. */
function order(open: Open): LoginOrder<typeof link> {
  return {
    protocol: 'imap',
    connection: {
      socket: new TLSSocket(new Socket()),
      security: 'tls',
      secure: async () => null,
      loggedIn: () => {},
      peer: {
        address: '127.0.0.1',
        port: 1,
        network: '127.0.0.1/32',
        localAddress: '127.0.0.1',
        localPort: 1,
      },
      sessionId: 'k3',
      logger: createLogger('silent'),
    },
    credentials: {
      authzid: Buffer.alloc(0),
      authcid: Buffer.from('joe@example.com'),
      password: Secret.fromText(password),
    },
    mechanism: 'PLAIN',
    client: null,
    gone: gone.signal,
    open,
    end: () => {},
  };
}

const outcomes = () => bed.value('sallyport_logins_total');

describe('S-54: between the opened backend and the answer', () => {
  it('a client that has left gets no session', async () => {
    const open: Open = async () => {
      queueMicrotask(() => gone.abort());
      return { kind: 'open', link };
    };
    expect(await logIn(parts, order(open), ({ kind }) => kind)).toBe('gone');
    expect([cuts, parts.registry.size, await outcomes()]).toEqual([1, 0, 1]);
  });

  it('a session that was ended gets none', async () => {
    const open: Open = async () => {
      queueMicrotask(() => parts.registry.sessions()[0]?.end('by the operator'));
      return { kind: 'open', link };
    };
    expect(await logIn(parts, order(open), codeOf)).toBe('UNAVAILABLE');
    expect([cuts, parts.registry.size]).toEqual([1, 0]);
  });

  it('nothing can come: the door is told in the same turn as it was looked', async () => {
    const events: string[] = [];
    const open: Open = async () => ({ kind: 'open', link });
    const stillValid = parts.verifier.stillValid.bind(parts.verifier);
    parts.verifier.stillValid = (login) => {
      queueMicrotask(() => events.push('something else'));
      return stillValid(login);
    };
    await logIn(parts, order(open), ({ kind }) => events.push(kind));
    expect(events[0]).toBe('logged-in');
    expect([cuts, parts.registry.size]).toEqual([0, 1]);
  });
});

it('a door that fails to take its session has neither session nor backend', async () => {
  const told: string[] = [];
  const answer = (result: LoginResult<typeof link>) => {
    told.push(codeOf(result));
    if (result.kind === 'logged-in') throw new Error('a fault in the door');
    return result.kind;
  };
  expect(
    await logIn(
      parts,
      order(async () => ({ kind: 'open', link })),
      answer,
    ),
  ).toBe('refused');
  expect(told).toEqual(['logged-in', 'SERVERBUG']);
  expect([cuts, parts.registry.size]).toEqual([1, 0]);
  expect(await bed.value('sallyport_sessions')).toBe(0);
  expect(await bed.value('sallyport_logins_total', { outcome: 'bug' })).toBe(1);
  expect(await outcomes()).toBe(1);
});

function codeOf(result: LoginResult<typeof link>): string {
  return result.kind === 'refused' ? result.refusal.imap.code : result.kind;
}

describe('S-91: the log names accounts, never what may be a password in the wrong field', () => {
  const refusedAs = async (name: string): Promise<unknown> => {
    const lines: string[] = [];
    const logger = createLogger('info', { write: (line: string) => void lines.push(line) });
    const base = order(async () => ({ kind: 'open', link }));
    const credentials = {
      authzid: Buffer.alloc(0),
      authcid: Buffer.from(name),
      password: Secret.fromText('aaaaaaaaaaaaaaar'),
    };
    await logIn(
      parts,
      { ...base, connection: { ...base.connection, logger }, credentials },
      ({ kind }) => kind,
    );
    return (JSON.parse(lines.join('')) as { account: unknown }).account;
  };

  it.each([
    ['joe@example.com', 'joe@example.com'],
    ['JOE@example.com', 'joe@example.com'],
    ['joe', 'joe@example.com'],
    ['nobody@example.com', 'nobody@example.com'],
    ['Tr0ub4dor&3', null],
    ['correct-horse@battery.staple', null],
    ['abcdefghijklmnoq', null],
  ])('%s is logged as %s', async (typed, logged) => {
    expect(await refusedAs(typed)).toBe(logged);
  });
});

describe('the login log', () => {
  const opened: Open = async () => ({ kind: 'open', link });

  const logged = async (
    change: Partial<LoginOrder<typeof link>>,
    answer: (result: LoginResult<typeof link>) => unknown = () => undefined,
  ): Promise<unknown[]> => {
    const { clock, metrics, database } = bed;
    const limits = bed.config.loginLog;
    const logger = createLogger('silent');
    const loginLog = new LoginLog({
      database,
      logger,
      metrics,
      now: clock.now,
      monotonic: clock.now,
      limits,
    });
    await logIn({ ...parts, loginLog }, { ...order(opened), client: 'K-9\u0007', ...change }, answer);
    await loginLog.stop();
    const rows = await database.selectFrom('login_event').selectAll().execute();
    return rows.map((row) => [row.reason, row.detail, row.account_id !== null, row.credential_id !== null]);
  };
  const typed = (name: string, secret: string) => ({
    credentials: {
      authzid: Buffer.alloc(0),
      authcid: Buffer.from(name),
      password: Secret.fromText(secret),
    },
  });

  it('has each login, with app password, client and mechanism', async () => {
    expect(await logged({})).toEqual([[null, null, true, true]]);
    expect(await bed.database.selectFrom('login_event').selectAll().execute()).toMatchObject([
      { protocol: 'imap', address: '127.0.0.1', client: 'K-9\\x07', mechanism: 'PLAIN', times: 1 },
    ]);
  });

  it.each([
    ['joe', 'aaaaaaaaaaaaaaar', ['wrong', null, true, false]],
    ['joe', 'his main password', ['not-an-app-password', null, true, false]],
    ['joe', 'abcdefghijklmnop', ['one-letter-wrong', null, true, false]],
    ['jo@example.com', 'aaaaaaaaaaaaaaar', ['unknown-account', null, false, false]],
  ])('has each refusal: %s with %s', async (name, secret, row) => {
    expect(await logged(typed(name, secret))).toEqual([row]);
  });

  it('has what is right and not allowed, with the app password that it was', async () => {
    expect(await logged({ protocol: 'pop3' })).toEqual([['wrong-protocol', null, true, true]]);
  });

  it.each<[string, Open, unknown[]]>([
    [
      'a backend that is down',
      async () => {
        throw new UpstreamError('office', 'connect', 'refused at 192.0.2.1');
      },
      ['backend-down', 'connect: refused at 192.0.2.1', true, false],
    ],
    [
      'a backend that turns the mailbox away',
      async () => ({ kind: 'mailbox-refused', code: 'OVERQUOTA', text: 'full' }),
      ['backend-refused', 'OVERQUOTA', true, false],
    ],
    [
      'a fault of ours',
      async () => {
        throw new TypeError('bug');
      },
      ['fault', null, true, false],
    ],
  ])('has %s', async (_, open, row) => {
    expect(await logged({ open })).toEqual([row]);
  });

  it('has no login that a door failed to take, nor one that nobody waited for', async () => {
    const failing = (result: LoginResult<typeof link>) => {
      if (result.kind === 'logged-in') throw new Error('a fault in the door');
    };
    expect(await logged({}, failing)).toEqual([['fault', null, true, false]]);
    await bed.database.deleteFrom('login_event').execute();
    gone.abort();
    expect(await logged({})).toEqual([]);
  });
});
