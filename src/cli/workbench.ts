import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { canonicalName } from '../credentials/account-name.ts';
import { AppPasswords } from '../credentials/app-passwords.ts';
import { KeyFileError, type KeyRing, loadKeyFile } from '../credentials/key-file.ts';
import { PasswordHash } from '../credentials/password-hash.ts';
import { openRedis } from '../credentials/redis.ts';
import { RevocationFeed } from '../credentials/revocation.ts';
import { RedisNudge } from '../credentials/revocation-nudge.ts';
import { createMetrics } from '../observability/metrics.ts';
import { findAccount } from '../store/accounts.ts';
import { type Database, openDatabase, pendingMigrations } from '../store/database.ts';
import type { Account } from '../store/schema.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode } from './io.ts';

/** A Redis that is down must not hold up the command: the gateways poll. */
const redisTimeMs = 1_000;

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
  readonly appPasswords: AppPasswords;
  readonly revocations: RevocationFeed;
  /** For `created_by` and the audit trail: who typed the command. */
  readonly operator: string;
}

/** Runs `work` with the configured database and keys, beside a gateway that may be running, and closes them. */
export async function withWorkbench<T>(
  options: CommonOptions,
  io: CommandIo,
  work: (bench: Workbench) => Promise<T>,
): Promise<T> {
  const { config, secrets } = await configurationOf(options, io);
  const keys = await keysOf(config);
  const database = await existingDatabase(config);
  const redis = openRedis(config, secrets, () => undefined);
  const nudge = redis === null ? null : new RedisNudge(redis, keys, () => undefined);
  try {
    const pending = await pendingMigrations(database);
    if (pending.length > 0) {
      throw new CommandFailure(
        exitCode.failed,
        'The database is older than this program: run `sallyport migrate`.',
      );
    }
    const passwordHash = new PasswordHash({ keys, argon2: config.appPasswords.argon2, now: io.now });
    // Never started: it only tells the gateways, which find out by their poll where Redis does not carry the word.
    const revocations = new RevocationFeed({
      database,
      now: io.now,
      windowMs: config.appPasswords.cacheTtlMs,
      maxStalenessMs: config.revocation.maxStalenessMs,
      metrics: createMetrics(),
      ...(nudge === null ? {} : { nudge }),
    });
    if (redis !== null)
      await once(redis, 'ready', { signal: AbortSignal.timeout(redisTimeMs) }).catch(() => undefined);
    const appPasswords = new AppPasswords({ database, keys, passwordHash, revocations, config, now: io.now });
    return await work({
      config,
      database,
      keys,
      appPasswords,
      revocations,
      operator: `cli:${userInfo().username}`,
    });
  } finally {
    nudge?.stop();
    redis?.disconnect();
    await database.destroy();
  }
}

export async function keysOf(config: Config): Promise<KeyRing> {
  try {
    return await loadKeyFile(config.keysFile);
  } catch (error) {
    if (error instanceof KeyFileError) throw new CommandFailure(exitCode.configuration, error.message);
    throw error;
  }
}

/** A mistyped path must not become an empty database that knows nobody. */
async function existingDatabase(config: Config): Promise<Database> {
  try {
    await access(config.database.file);
  } catch {
    throw new CommandFailure(
      exitCode.failed,
      `There is no database ${config.database.file}: run \`sallyport migrate\` to make it.`,
    );
  }
  return openDatabase(config.database.file);
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
  const account = await findAccount(bench.database, address);
  if (account === null) {
    throw new CommandFailure(
      exitCode.failed,
      `There is no account ${address}. Make it with \`sallyport account create ${address}\`.`,
    );
  }
  return account;
}
