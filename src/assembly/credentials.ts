import { hostname } from 'node:os';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { AppPasswords } from '../credentials/app-passwords.ts';
import { AuditTrail } from '../credentials/audit-trail.ts';
import { AuditUpkeep } from '../credentials/audit-upkeep.ts';
import { EndedAppPasswords } from '../credentials/ended-app-passwords.ts';
import { HighWater } from '../credentials/high-water.ts';
import { Journal } from '../credentials/journal.ts';
import { loadKeyFile } from '../credentials/key-file.ts';
import { KeyMoves } from '../credentials/key-moves.ts';
import { KeyedRowGuard } from '../credentials/keyed-row-guard.ts';
import { LoginLog } from '../credentials/login-log.ts';
import { Notices } from '../credentials/notices.ts';
import { PasswordHash } from '../credentials/password-hash.ts';
import { openRedis } from '../credentials/redis.ts';
import { refuseRestored } from '../credentials/restored-database.ts';
import { RevocationFeed } from '../credentials/revocation.ts';
import { RedisNudge } from '../credentials/revocation-nudge.ts';
import { Throttle } from '../credentials/throttle.ts';
import { RedisThrottleExchange } from '../credentials/throttle-exchange.ts';
import { VerificationCache } from '../credentials/verification-cache.ts';
import { Verifier } from '../credentials/verifier.ts';
import { errorText } from '../observability/error-text.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { migrateConfiguredDatabase, openConfiguredDatabase } from '../store/configured-database.ts';
import type { Closers } from './closers.ts';

export type Credentials = Awaited<ReturnType<typeof assembleCredentials>>;

/**
 * Everything that decides about logins, from the key file to the verifier, ready to decide: the database brought up to date
 * and the revocation feed read. Rejects with a RestoredDatabaseError when the database is older than the one last worked with.
 */
export async function assembleCredentials(
  given: {
    readonly config: Config;
    readonly secrets: Secrets;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly timing?: { readonly revocationPollMs?: number };
  },
  closers: Closers,
) {
  const { config, secrets, logger, metrics, now } = given;
  const keys = await loadKeyFile(config.keysFile);
  const monotonic = () => performance.now();
  const ran = await migrateConfiguredDatabase(given);
  if (ran.length > 0) logger.info({ migrations: ran }, 'database brought up to date');
  const database = openConfiguredDatabase(given, {
    onFault: (detail) => logger.warn({ detail }, 'database'),
  });
  closers.add(() => database.destroy());
  const guard = new KeyedRowGuard({ keys, metrics, logger });

  const onRedisError = (error: Error) => logger.warn({ detail: errorText(error) }, 'redis');
  const redis = openRedis(config, secrets, onRedisError);
  if (redis !== null) closers.add(() => redis.disconnect());
  const nudge = redis === null ? null : new RedisNudge(redis, keys, onRedisError);
  if (nudge !== null) closers.add(() => nudge.stop());

  const highWater = new HighWater({
    folder: config.stateDir,
    keys,
    redis,
    onFault: (problem) => logger.error(problem),
  });
  closers.add(() => highWater.stop());
  const unmarked = await refuseRestored(database, highWater);
  if (unmarked !== null) logger.warn(unmarked);
  const revocations = new RevocationFeed({
    database,
    now,
    monotonic,
    windowMs: config.appPasswords.cacheTtlMs,
    maxStalenessMs: config.revocation.maxStalenessMs,
    metrics,
    logger,
    highWater,
    ...(nudge === null ? {} : { nudge }),
    ...(given.timing?.revocationPollMs === undefined ? {} : { pollMs: given.timing.revocationPollMs }),
  });
  await revocations.start();
  closers.add(() => revocations.stop());
  const keyMoves = new KeyMoves({ database, keys, guard, highWater, revocations, logger });
  closers.add(() => keyMoves.stop());
  void keyMoves.start();
  const reloadKeys = async () => {
    await keys.reload();
    void keyMoves.start();
  };
  const passwordHash = new PasswordHash({
    keys,
    argon2: config.appPasswords.argon2,
    now: monotonic,
    limits: {
      waitingPerAccount: config.limits.hashesWaitingPerAccount,
      waitingPerNetwork: config.limits.hashesWaitingPerNetwork,
      waitMs: config.limits.hashWaitMs,
    },
  });
  const cache = new VerificationCache({
    database,
    keys,
    redis,
    revocations,
    ttlMs: config.appPasswords.cacheTtlMs,
    metrics,
    now,
    monotonic,
  });
  const exchange = redis === null ? null : new RedisThrottleExchange({ redis, keys, metrics, logger });
  if (exchange !== null) closers.add(() => exchange.stop());
  const throttle = new Throttle({ keys, now, monotonic, limits: config.throttle.mail, exchange });
  const audit = new AuditTrail({ keys, now, node: hostname(), logger, metrics });
  const noticeSettings = { perHour: config.notices.perHour, hasWebhook: config.notices.webhook !== null };
  const notices = config.notices.enabled
    ? new Notices({ database, guard, settings: noticeSettings, now })
    : null;
  const journal = new Journal({ audit, notices });
  const upkeep = new AuditUpkeep({ database, keys, audit, logger, now, keepMs: config.audit.keepMs });
  upkeep.start();
  // Behind everything that enters something as it stops.
  closers.add(() => upkeep.stop());
  const verifier = new Verifier({
    config,
    database,
    keys,
    passwordHash,
    cache,
    revocations,
    throttle,
    journal,
    logger,
    metrics,
    now,
  });
  closers.add(() => verifier.stop());
  const loginLog = new LoginLog({ database, logger, metrics, now, monotonic, limits: config.loginLog });
  closers.add(() => loginLog.stop());
  const appPasswords = new AppPasswords({
    ...{ database, keys, passwordHash, revocations, journal, config, now },
  });
  const { keepEndedMs: keepMs } = config.appPasswords;
  const ended = new EndedAppPasswords({ database, keepMs, now, monotonic, logger });
  ended.start();
  closers.add(() => ended.stop());
  return {
    keys,
    reloadKeys,
    database,
    guard,
    redis,
    revocations,
    throttle,
    verifier,
    loginLog,
    appPasswords,
    passwordHash,
    audit,
    journal,
    notices,
  };
}
