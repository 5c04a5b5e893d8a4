import { access } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { databaseName } from '../config/database-schema.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { canonicalName } from '../credentials/account-name.ts';
import { AppPasswords } from '../credentials/app-passwords.ts';
import { AuditTrail } from '../credentials/audit-trail.ts';
import { HighWater } from '../credentials/high-water.ts';
import { type Actor, Journal, type JournalEntry, type JournalEvent } from '../credentials/journal.ts';
import { KeyFileError, type KeyRing, loadKeyFile } from '../credentials/key-file.ts';
import { KeyedRowGuard } from '../credentials/keyed-row-guard.ts';
import { Notices } from '../credentials/notices.ts';
import { PasswordHash } from '../credentials/password-hash.ts';
import { openRedis, type Redis } from '../credentials/redis.ts';
import { RestoredDatabaseError, refuseRestored } from '../credentials/restored-database.ts';
import { RevocationFeed } from '../credentials/revocation.ts';
import { RedisNudge } from '../credentials/revocation-nudge.ts';
import { AccountCare, type Order } from '../identity/account-care.ts';
import { EnrollmentCodes } from '../identity/second-factor/enrollment-code.ts';
import { errorText } from '../observability/error-text.ts';
import { createMetrics } from '../observability/metrics.ts';
import { findAccount, findAccountUnchecked, type UncheckedAccount } from '../store/accounts.ts';
import { openConfiguredDatabase } from '../store/configured-database.ts';
import { type Database, pendingMigrations } from '../store/database.ts';
import { isStoreOutage } from '../store/outage.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode } from './io.ts';

export const defaultConfigFile = 'config/sallyport.yaml';

export function configFileOf(options: CommonOptions, io: CommandIo): string {
  return options.config ?? io.environment.SALLYPORT_CONFIG ?? defaultConfigFile;
}

/** The configuration, or a failure that lists every problem of it (exit 78). */
export async function configurationOf(
  options: CommonOptions,
  io: CommandIo,
): Promise<LoadedConfig & { kind: 'loaded' }> {
  const file = configFileOf(options, io);
  const loaded = await loadConfig(file, io.environment);
  if (loaded.kind === 'loaded') return loaded;
  throw new CommandFailure(
    exitCode.configuration,
    [`The configuration ${file} cannot be used:`, ...loaded.problems.map((problem) => `  ${problem}`)].join(
      '\n',
    ),
  );
}

/** What a command that changes accounts or app passwords works with. */
export interface Workbench {
  readonly config: Config;
  readonly database: Database;
  readonly keys: KeyRing;
  readonly guard: RowGuard;
  readonly appPasswords: AppPasswords;
  readonly revocations: RevocationFeed;
  readonly enrollmentCodes: EnrollmentCodes;
  readonly care: AccountCare;
  /** For `created_by` and the audit trail: who typed the command. */
  readonly operator: string;
  /** The same, as the journal has it. */
  readonly actor: Actor;
  /** Who and why. */
  readonly order: Order;
  /** Enters the journal, with the operator's reason. In the transaction of the change. */
  record(transaction: Database, what: Pick<JournalEntry, 'account' | 'event'>): Promise<void>;
  /** As {@link Workbench.record} of what was only looked at, or is done already: a fault is told and stops nothing. */
  note(what: Pick<JournalEntry, 'account' | 'event'>): Promise<void>;
  /** `revoked by …`, with the operator's reason. */
  because(done: string): string;
}

/**
 * Runs `work` with the configured database and keys, beside a gateway that may be running, and closes them. Work that does
 * more than read is refused on a restored database (S-35).
 */
export async function withWorkbench<T>(
  options: CommonOptions,
  io: CommandIo,
  work: (bench: Workbench) => Promise<T>,
  access: 'read' | 'write' = 'write',
): Promise<T> {
  const { config, secrets } = await configurationOf(options, io);
  const keys = await keysOf(config);
  const database = await existingDatabase({ config, secrets });
  const redis = openRedis(config, secrets, () => undefined);
  const nudge = redis === null ? null : new RedisNudge(redis, keys, () => undefined);
  const highWater = highWaterOf(config, keys, redis, io);
  try {
    const pending = await pendingMigrations(database);
    if (pending.length > 0) {
      throw new CommandFailure(
        exitCode.failed,
        'The database is older than this program: run `sallyport migrate`.',
      );
    }
    // This waits for Redis too, which is to carry the word of what the work revokes.
    if (access === 'write') await refuseWrites(database, highWater, io);
    const metrics = createMetrics();
    const guard = new KeyedRowGuard({ keys, metrics, logger: null });
    const passwordHash = new PasswordHash({ keys, argon2: config.appPasswords.argon2, now: io.now });
    // Never started: it only tells the gateways, which find out by their poll where Redis does not carry the word.
    const revocations = new RevocationFeed({
      database,
      now: io.now,
      monotonic: () => performance.now(),
      windowMs: config.appPasswords.cacheTtlMs,
      maxStalenessMs: config.revocation.maxStalenessMs,
      metrics,
      highWater,
      ...(nudge === null ? {} : { nudge }),
    });
    const { actor, audit, journal } = journalOf({ config, database, keys, guard }, io);
    const appPasswords = new AppPasswords({
      ...{ database, keys, passwordHash, revocations, journal, config, now: io.now },
    });
    const enrollmentCodes = new EnrollmentCodes({ database, guard, passwordHash, journal, now: io.now });
    const { reason } = options;
    const operator = `cli:${actor.user}`;
    const record = async (transaction: Database, what: Pick<JournalEntry, 'account' | 'event'>) =>
      await journal.record(transaction, { ...what, actor, ...(reason === undefined ? {} : { reason }) });
    const bench: Workbench = {
      config,
      database,
      keys,
      guard,
      appPasswords,
      revocations,
      enrollmentCodes,
      care: new AccountCare({ database, guard, appPasswords, revocations, journal, now: io.now }),
      operator,
      actor,
      order: { actor, reason },
      record,
      note: async (what) => await record(database, what).catch((error: unknown) => warnUnwritten(io, error)),
      because: (done) =>
        reason === undefined ? `${done} by ${operator}` : `${done} by ${operator}: ${reason}`,
    };
    try {
      return await work(bench);
    } finally {
      await audit.close(database).catch((error: unknown) => {
        io.err(`Warning: the audit trail of this command has no end: ${errorText(error)}.`);
      });
    }
  } catch (error) {
    if (error instanceof ForgedRowError) throw new CommandFailure(exitCode.failed, explain(error));
    throw explainOutage(error, config);
  } finally {
    await highWater.stop();
    nudge?.stop();
    redis?.disconnect();
    await database.destroy();
  }
}

/**
 * Enters what was done without a workbench, such as to a file. A fault is told and stops nothing: there may be no database
 * yet, or one that this user must not write to.
 */
export async function noteDone(options: CommonOptions, io: CommandIo, event: JournalEvent): Promise<void> {
  const work = async (bench: Workbench) => await bench.record(bench.database, { account: null, event });
  await withWorkbench(options, io, work, 'read').catch((error: unknown) => warnUnwritten(io, error));
}

function warnUnwritten(io: CommandIo, error: unknown): void {
  io.err(`Warning: the audit trail does not have it. ${errorText(error)}`);
}

/** A journal of this run of the command line: it has a chain of its own. */
export function journalOf(
  parts: {
    readonly config: Config;
    readonly database: Database;
    readonly keys: KeyRing;
    readonly guard: RowGuard;
  },
  io: CommandIo,
) {
  const { config, database, keys, guard } = parts;
  const { now } = io;
  const actor = { kind: 'operator', user: userInfo().username } as const;
  const audit = new AuditTrail({ keys, now, node: `${hostname()}-cli` });
  const settings = { perHour: config.notices.perHour, hasWebhook: config.notices.webhook !== null };
  const notices = config.notices.enabled ? new Notices({ database, guard, settings, now }) : null;
  return { actor, audit, journal: new Journal({ audit, notices }) };
}

/** The mark of the configured state directory; a fault of it is told and stops nothing. */
export function highWaterOf(config: Config, keys: KeyRing, redis: Redis | null, io: CommandIo): HighWater {
  return new HighWater({
    folder: config.stateDir,
    keys,
    redis,
    onFault: (problem) => io.err(`Warning: ${problem}.`),
  });
}

/** A failure (exit 78) that names the way out, where the database was restored from a backup. */
export async function refuseWrites(database: Database, highWater: HighWater, io: CommandIo): Promise<void> {
  try {
    const unmarked = await refuseRestored(database, highWater);
    if (unmarked !== null) io.err(`Warning: ${unmarked}.`);
  } catch (error) {
    if (error instanceof RestoredDatabaseError) {
      throw new CommandFailure(exitCode.configuration, error.message);
    }
    throw error;
  }
}

function explain({ message }: ForgedRowError): string {
  return (
    `Refused: ${message}. Somebody has changed the database by hand. Restore it from a backup and run ` +
    '`sallyport migrate --after-restore`. Until then `account disable` and `app-password revoke ID` still work.'
  );
}

export async function keysOf(config: Config): Promise<KeyRing> {
  try {
    return await loadKeyFile(config.keysFile);
  } catch (error) {
    if (error instanceof KeyFileError) throw new CommandFailure(exitCode.configuration, error.message);
    throw error;
  }
}

/** A failure that says so where the database does not answer; else the error as it is. */
export function explainOutage(error: unknown, config: Config): unknown {
  if (!isStoreOutage(error)) return error;
  const name = databaseName(config.database);
  return new CommandFailure(exitCode.failed, `The database ${name} does not answer: ${errorText(error)}.`);
}

/** A mistyped path must not become an empty database that knows nobody. */
async function existingDatabase(place: {
  readonly config: Config;
  readonly secrets: Secrets;
}): Promise<Database> {
  const { database } = place.config;
  if (database.engine === 'sqlite') {
    try {
      await access(database.file);
    } catch {
      throw new CommandFailure(
        exitCode.failed,
        `There is no database ${database.file}: run \`sallyport migrate\` to make it.`,
      );
    }
  }
  return openConfiguredDatabase(place);
}

/** The canonical form of an address typed by the operator, or a usage error. */
export function addressOf(
  config: Config,
  typed: string,
): { readonly address: string; readonly domain: string } {
  const name = canonicalName(typed, config.defaultDomain);
  if (name === null) throw new CommandFailure(exitCode.usage, `"${typed}" is not a mailbox address.`);
  return name;
}

/** The account, or a failure that says how to make it. */
export async function accountOf(bench: Workbench, typed: string): Promise<Account> {
  const { address } = addressOf(bench.config, typed);
  return existing(await findAccount(bench.database, bench.guard, address), address);
}

/** As {@link accountOf}, but also where the row is forged: for what ends something. */
export async function accountToEnd(bench: Workbench, typed: string): Promise<UncheckedAccount> {
  const { address } = addressOf(bench.config, typed);
  return existing(await findAccountUnchecked(bench.database, { address }), address);
}

function existing<A>(account: A | null, address: string): A {
  if (account !== null) return account;
  throw new CommandFailure(
    exitCode.failed,
    `There is no account ${address}. Make it with \`sallyport account create ${address}\`.`,
  );
}
