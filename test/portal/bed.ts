import { Writable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { KyselyPlugin } from 'kysely';
import { generate } from 'otplib';
import { type Config, configSchema } from '../../src/config/schema.ts';
import type { CertificateFiles, Secrets } from '../../src/config/secrets.ts';
import { portalTls } from '../../src/config/server-tls.ts';
import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { Notices } from '../../src/credentials/notices.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { SealBox } from '../../src/credentials/seal.ts';
import type { SessionDirectory } from '../../src/credentials/session-directory.ts';
import { AccountCare } from '../../src/identity/account-care.ts';
import { PortalSessions, type StartedSession } from '../../src/identity/portal-session.ts';
import { Factors } from '../../src/identity/second-factor/factors.ts';
import { ImapSignIn, type SignInBackend } from '../../src/identity/sign-in/imap.ts';
import { OidcSignIn } from '../../src/identity/sign-in/oidc.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createPortal } from '../../src/portal/server.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { migrate, openDatabase } from '../../src/store/database.ts';
import type { Account } from '../../src/store/schema.ts';
import { keyRing } from '../credentials/keys.ts';
import { Clock } from '../identity/clock.ts';
import { Letterbox } from '../identity/letterbox.ts';
import { testJournal } from '../support/journal.ts';

export const origin = 'https://mail.example.com:8443';

/** A configuration with one backend, whose address nothing listens on unless it is given. */
export function portalConfig(overrides: Readonly<Record<string, unknown>> = {}): Config {
  const parsed = configSchema.parse({
    hostname: 'mail.example.com',
    default_domain: 'example.com',
    tls: { certificates: [{ cert: 'unused', key: 'unused' }] },
    listen: [
      { door: 'imap', port: 993, tls: 'implicit' },
      { door: 'smtp', port: 465, tls: 'implicit' },
    ],
    portal: { host: '127.0.0.1', port: 0, public_url: origin },
    backends: {
      office: {
        imap: { host: '127.0.0.1', port: 1, tls: 'none' },
        smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
        login: { method: 'master', user: 'gateway', password: 'unused' },
      },
    },
    domains: {
      'example.com': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' },
      'free.example': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open', mfa: 'optional' },
      'off.example': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open', mfa: 'off' },
    },
    ...overrides,
  });
  const backends = Object.fromEntries(
    Object.entries(parsed.backends).map(([name, { login, ...backend }]) => [
      name,
      { ...backend, name, login: { method: login.method, user: login.user } },
    ]),
  );
  return { ...parsed, backends, redis: null };
}

export type Bed = Awaited<ReturnType<typeof openBed>>;

/** A portal on a real database, not listening, with a clock that the test moves. */
export async function openBed(
  options: {
    readonly config?: Config;
    readonly upstreams?: ReadonlyMap<string, SignInBackend>;
    readonly tls?: CertificateFiles;
    readonly profileCertificate?: CertificateFiles;
    readonly secrets?: Pick<Secrets, 'oidcProofs' | 'authorities'>;
    readonly oidcRequestMs?: number;
    readonly liveSessions?: SessionDirectory;
    readonly now?: () => number;
    readonly isReady?: () => boolean;
    /** Sees the portal's statements. */
    readonly tap?: KyselyPlugin;
  } = {},
) {
  const clock = new Clock();
  const now = options.now ?? clock.now;
  const config = options.config ?? portalConfig();
  const plain = openDatabase(':memory:');
  const database = options.tap === undefined ? plain : plain.withPlugin(options.tap);
  await migrate(database);
  const log: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk.toString());
      done();
    },
  });
  const logger = createLogger('trace', sink);
  const keys = keyRing();
  const sealBox = new SealBox(keys);
  const metrics = createMetrics();
  const guard = new KeyedRowGuard({ keys, metrics, logger });
  const passwordHash = new PasswordHash({ keys, argon2: { memoryKib: 7_168, passes: 1, lanes: 1 }, now });
  const journal = testJournal(keys, now, { database, guard });
  const notifications = new Notices({ database, guard, settings: { perHour: 20, hasWebhook: false }, now });
  const appPasswords = new AppPasswords({
    database,
    keys,
    passwordHash,
    revocations: null,
    journal,
    config,
    now,
  });
  const upstreams =
    options.upstreams ??
    new Map(Object.entries(config.backends).map(([name, backend]) => [name, { backend, imapTls: null }]));
  const signIn = new ImapSignIn({ config, upstreams, database, guard, journal, logger, now });
  const secrets = options.secrets ?? { oidcProofs: new Map(), authorities: new Map() };
  const oidc = new OidcSignIn({
    ...{ config, secrets, database, guard, journal, sealBox, logger, now },
    ...(options.oidcRequestMs === undefined ? {} : { requestMs: options.oidcRequestMs }),
  });
  const letterbox = new Letterbox();
  const factors = new Factors({
    ...{ config, database, guard, keys, sealBox, passwordHash, journal, logger, now },
    codeSender: letterbox,
  });
  const app = await createPortal({
    config,
    database,
    guard,
    appPasswords,
    factors,
    sealBox,
    signIn,
    oidc,
    profileCertificate: () => options.profileCertificate ?? null,
    ...(options.liveSessions === undefined ? {} : { liveSessions: options.liveSessions }),
    notifications,
    care: new AccountCare({ database, guard, appPasswords, revocations: null, journal, now }),
    logger,
    now,
    tls: options.tls === undefined ? null : portalTls({ minVersion: 'TLSv1.2' }, options.tls),
    isReady: options.isReady ?? (() => true),
  });
  const sessions = new PortalSessions({ database, guard, now });
  return {
    app,
    appPasswords,
    clock,
    config,
    database,
    factors,
    guard,
    journal,
    letterbox,
    log,
    metrics,
    oidc,
    sessions,
    signIn,
    account: async (address: string): Promise<Account> =>
      (await createAccount(database, guard, address, now())).account,
    close: async () => {
      await app.close();
      await database.destroy();
    },
  };
}

/** An account with an authenticator app, and the code that it shows. */
export async function enroll(bed: Bed, account: Account): Promise<{ readonly code: () => Promise<string> }> {
  const { session } = await bed.sessions.startFirstFactor(account);
  await bed.factors.apps.begin(session);
  const pending = await bed.factors.apps.pending(session);
  if (pending === null) throw new Error('no enrollment was begun');
  const code = () => generate({ secret: pending.key, epoch: Math.floor(bed.clock.now() / 1_000) });
  const peer = { address: '203.0.113.7', network: '203.0.113.7/32' };
  const outcome = await bed.factors.apps.confirm(session, peer, await code());
  if (outcome !== 'added') throw new Error(`the enrollment ended as ${outcome}`);
  return { code };
}

/** A browser in miniature: cookies, forms and the token of the page it looks at. */
export class Browser {
  readonly #app: FastifyInstance;
  readonly cookies = new Map<string, string>();
  csrf: string | null = null;
  remoteAddress = '203.0.113.7';

  constructor(bed: Bed) {
    this.#app = bed.app;
  }

  /** Takes a session as if it had been given here. */
  show({
    token,
    session,
  }: StartedSession<never> | { token: string; session: { level: string; csrf: string } }): void {
    this.cookies.set(session.level === 'first-factor' ? '__Host-sp-pre' : '__Host-sp', token);
    this.csrf = session.csrf;
  }

  async get(url: string, headers: Readonly<Record<string, string>> = {}) {
    return await this.#send('GET', url, headers, undefined);
  }

  async post(
    url: string,
    fields: Readonly<Record<string, string>> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    const hasNone = this.csrf === null || ['/sign-in', '/language', '/p', '/p/profile'].includes(url);
    const csrf = hasNone ? {} : { csrf: this.csrf ?? '' };
    const body = new URLSearchParams({ ...csrf, ...fields }).toString();
    return await this.#send(
      'POST',
      url,
      { origin, 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body,
    );
  }

  async #send(
    method: 'GET' | 'POST',
    url: string,
    headers: Readonly<Record<string, string>>,
    payload: string | undefined,
  ) {
    const response = await this.#app.inject({
      method,
      url,
      remoteAddress: this.remoteAddress,
      headers: {
        host: 'mail.example.com:8443',
        cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...headers,
      },
      ...(payload === undefined ? {} : { payload }),
    });
    for (const cookie of response.cookies) {
      if (cookie.value === '') this.cookies.delete(cookie.name);
      else this.cookies.set(cookie.name, cookie.value);
    }
    const token = /name="csrf" value="([^"]+)"/.exec(response.body)?.[1];
    if (token !== undefined) this.csrf = token;
    return response;
  }
}
