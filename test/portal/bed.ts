import { Writable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { generate } from 'otplib';
import { type Config, configSchema } from '../../src/config/schema.ts';
import type { CertificateFiles } from '../../src/config/secrets.ts';
import { portalTls } from '../../src/config/server-tls.ts';
import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { SealBox } from '../../src/credentials/seal.ts';
import { PortalSessions, type StartedSession } from '../../src/identity/portal-session.ts';
import { TotpFactors } from '../../src/identity/second-factor/totp.ts';
import { ImapSignIn, type SignInBackend } from '../../src/identity/sign-in/imap.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createPortal } from '../../src/portal/server.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { migrate, openDatabase } from '../../src/store/database.ts';
import type { Account } from '../../src/store/schema.ts';
import { keyRing } from '../credentials/keys.ts';
import { Clock } from '../identity/clock.ts';

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
    readonly now?: () => number;
    readonly isReady?: () => boolean;
  } = {},
) {
  const clock = new Clock();
  const now = options.now ?? clock.now;
  const config = options.config ?? portalConfig();
  const database = openDatabase(':memory:');
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
  const appPasswords = new AppPasswords({
    database,
    keys,
    passwordHash: new PasswordHash({ keys, argon2: { memoryKib: 7_168, passes: 1, lanes: 1 }, now }),
    revocations: null,
    config,
    now,
  });
  const upstreams =
    options.upstreams ??
    new Map(Object.entries(config.backends).map(([name, backend]) => [name, { backend, imapTls: null }]));
  const signIn = new ImapSignIn({ config, upstreams, database, guard, logger, now });
  const app = await createPortal({
    config,
    database,
    guard,
    appPasswords,
    sealBox,
    signIn,
    logger,
    now,
    tls: options.tls === undefined ? null : portalTls({ minVersion: 'TLSv1.2' }, options.tls),
    isReady: options.isReady ?? (() => true),
  });
  const sessions = new PortalSessions({ database, guard, now });
  const factors = new TotpFactors({ database, guard, sealBox, now, issuer: 'mail.example.com' });
  return {
    app,
    appPasswords,
    clock,
    config,
    database,
    factors,
    guard,
    log,
    metrics,
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
  await bed.factors.begin(session);
  const pending = await bed.factors.pending(session);
  if (pending === null) throw new Error('no enrollment was begun');
  const code = () => generate({ secret: pending.key, epoch: Math.floor(bed.clock.now() / 1_000) });
  const outcome = await bed.factors.confirm(session, await code());
  if (outcome !== 'confirmed') throw new Error(`the enrollment ended as ${outcome}`);
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
    const csrf = this.csrf === null || url === '/sign-in' ? {} : { csrf: this.csrf };
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
