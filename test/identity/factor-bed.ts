import { type Config, configSchema } from '../../src/config/schema.ts';
import { AuditTrail } from '../../src/credentials/audit-trail.ts';
import { Journal } from '../../src/credentials/journal.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { SealBox } from '../../src/credentials/seal.ts';
import {
  type FirstFactorSession,
  PortalSessions,
  type SteppedUpSession,
} from '../../src/identity/portal-session.ts';
import { Factors } from '../../src/identity/second-factor/factors.ts';
import type { Peer } from '../../src/identity/sign-in/imap.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAccount, findAccountById } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import type { Account } from '../../src/store/schema.ts';
import { keyRing } from '../credentials/keys.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { type Engine, scratchDatabase } from '../store/scratch-database.ts';
import { Clock } from './clock.ts';
import { Letterbox } from './letterbox.ts';

export const peer: Peer = { address: '203.0.113.7', network: '203.0.113.7/32' };

export type FactorBed = Awaited<ReturnType<typeof openFactorBed>>;

/** What of the configuration second factors ask. */
export function factorConfig(
  changes: { readonly domain?: object; readonly secondFactors?: object } = {},
): Config {
  const domain = {
    backend: 'office',
    sign_in: { method: 'imap' },
    enrollment: 'open',
    aliases: { 'sales@alias.example': ['alice@example.com'] },
  };
  return configSchema.parse({
    hostname: 'mail.example.com',
    tls: { certificates: [{ cert: 'unused', key: 'unused' }] },
    listen: [{ door: 'imap', port: 993, tls: 'implicit' }],
    portal: { port: 8443, public_url: 'https://mail.example.com:8443' },
    backends: {
      office: {
        imap: { host: '127.0.0.1', port: 1, tls: 'none' },
        smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
        login: { method: 'master', user: 'gateway', password: 'unused' },
      },
    },
    domains: {
      'example.com': { ...domain, ...changes.domain },
      'other.example': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' },
    },
    second_factors: { email_code: true, ...changes.secondFactors },
  }) as unknown as Config;
}

/** Second factors on a real store, with a clock that the test moves; `node()` is another process on the same store. */
export async function openFactorBed(engine: Engine = 'SQLite', config: Config = factorConfig()) {
  const clock = new Clock();
  const guard = rowGuard();
  const keys = keyRing();
  const letterbox = new Letterbox();
  const scratch = await scratchDatabase(engine);

  const node = (database: Database, own: Config = config) => {
    const audit = new AuditTrail({ keys, now: clock.now, node: 'test' });
    const journal = new Journal({ audit, notices: null });
    const passwordHash = new PasswordHash({
      keys,
      argon2: { memoryKib: 7_168, passes: 1, lanes: 1 },
      now: clock.now,
    });
    const factors = new Factors({
      database,
      guard,
      keys,
      sealBox: new SealBox(keys),
      passwordHash,
      journal,
      logger: createLogger('silent'),
      now: clock.now,
      config: own,
      codeSender: letterbox,
    });
    const sessions = new PortalSessions({ database, guard, now: clock.now });
    return { database, factors, sessions, journal };
  };

  const own = node(scratch.open());
  await migrate(own.database);
  const { database, factors, sessions } = own;

  const signIn = async (account: Account): Promise<FirstFactorSession> =>
    (await sessions.startFirstFactor(await fresh(account))).session;
  /** The account as it is now. */
  const fresh = async (account: Account): Promise<Account> => {
    const found = await findAccountById(database, guard, account.id);
    if (found === null) throw new Error('the account is gone');
    return found;
  };
  return {
    ...own,
    clock,
    guard,
    keys,
    letterbox,
    config,
    fresh,
    signIn,
    otherNode: (own?: Config) => node(scratch.open(), own),
    account: async (address = 'alice@example.com'): Promise<Account> =>
      (await createAccount(database, guard, address, clock.now())).account,
    /** As after a second factor. */
    stepUp: async (account: Account): Promise<SteppedUpSession> => {
      const started = await sessions.stepUp(await signIn(account));
      if (started === null) throw new Error('the session was gone');
      return started.session;
    },
    /** With an authenticator app, whose key is answered. */
    enroll: async (account: Account): Promise<string> => {
      const session = await signIn(account);
      await factors.apps.begin(session);
      const pending = await factors.apps.pending(session);
      if (pending === null) throw new Error('nothing was begun');
      const outcome = await factors.apps.confirm(session, peer, await codeOf(pending.key, clock.now()));
      if (outcome !== 'added') throw new Error(outcome);
      clock.advance(60_000);
      return pending.key;
    },
    /** One more authenticator app, beside what there is. */
    addApp: async (account: Account): Promise<string> => {
      const started = await sessions.stepUp(await signIn(account));
      if (started === null) throw new Error('the session was gone');
      const { session } = started;
      await factors.apps.begin(session);
      const pending = await factors.apps.pending(session);
      if (pending === null) throw new Error('nothing was begun');
      const outcome = await factors.apps.confirm(session, peer, await codeOf(pending.key, clock.now()));
      if (outcome !== 'added') throw new Error(outcome);
      clock.advance(60_000);
      return pending.key;
    },
    /** An alternate address, confirmed. */
    addAddress: async (account: Account, address: string): Promise<void> => {
      const started = await sessions.stepUp(await signIn(account));
      if (started === null) throw new Error('the session was gone');
      const sent = await factors.emailCodes.begin(started.session, address, 'en');
      if (sent.kind !== 'sent') throw new Error(sent.kind);
      const outcome = await factors.emailCodes.confirm(started.session, peer, letterbox.lastCode);
      if (outcome !== 'added') throw new Error(outcome);
    },
    /** Actions of the audit trail about the account, oldest first. */
    actions: async (account: Account): Promise<readonly string[]> => {
      const rows = await database
        .selectFrom('audit_entry')
        .select('action')
        .where('account_id', '=', account.id)
        .orderBy('at')
        .orderBy('seq')
        .execute();
      return rows.map(({ action }) => action);
    },
    close: scratch.close,
  };
}

export async function codeOf(key: string, now: number): Promise<string> {
  const { generate } = await import('otplib');
  return await generate({ secret: key, epoch: Math.floor(now / 1_000) });
}

/** Six digits that no step of the window has. */
export async function wrongCodeOf(key: string, now: number): Promise<string> {
  const right = await Promise.all([-30_000, 0, 30_000].map((shift) => codeOf(key, now + shift)));
  return ['000000', '111111', '222222', '333333'].find((code) => !right.includes(code)) ?? '';
}
