import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { LoadedConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import type { Secrets } from './config/secrets.ts';
import { mailTls, portalTls } from './config/server-tls.ts';
import { AppPasswords } from './credentials/app-passwords.ts';
import { withDeadline } from './credentials/deadline.ts';
import { HighWater } from './credentials/high-water.ts';
import { loadKeyFile } from './credentials/key-file.ts';
import { KeyedRowGuard } from './credentials/keyed-row-guard.ts';
import { PasswordHash } from './credentials/password-hash.ts';
import { openRedis } from './credentials/redis.ts';
import { refuseRestored } from './credentials/restored-database.ts';
import { RevocationFeed } from './credentials/revocation.ts';
import { RedisNudge } from './credentials/revocation-nudge.ts';
import { SealBox } from './credentials/seal.ts';
import { Throttle } from './credentials/throttle.ts';
import { VerificationCache } from './credentials/verification-cache.ts';
import { Verifier } from './credentials/verifier.ts';
import { ImapSignIn } from './identity/sign-in/imap.ts';
import { errorText } from './observability/error-text.ts';
import type { Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { type MetricsServer, serveMetrics } from './observability/metrics-server.ts';
import { createPortal } from './portal/server.ts';
import { createAuthReplies } from './proxy/auth-reply.ts';
import type { Door, DoorParts } from './proxy/door/door.ts';
import { createImapDoor } from './proxy/door/imap.ts';
import { createSmtpDoor } from './proxy/door/smtp.ts';
import { type Listener, listen } from './proxy/listener.ts';
import { SessionRegistry } from './proxy/session-registry.ts';
import { type Database, migrate, openDatabase } from './store/database.ts';
import type { RowGuard } from './store/row-guard.ts';
import { renewRowMacs } from './store/row-renewal.ts';
import { createUpstreams } from './upstream/upstreams.ts';

export interface GatewayOptions {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly logger: Logger;
}

/** A running gateway. The ports are the bound ones, also where the configuration says 0. */
export interface Gateway {
  readonly ports: {
    readonly imap: readonly number[];
    readonly smtp: readonly number[];
    readonly portal: number;
    readonly metrics: number | null;
  };
  readonly parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly appPasswords: AppPasswords;
    readonly registry: SessionRegistry;
    readonly revocations: RevocationFeed;
    readonly metrics: Metrics;
  };
  /** Takes new certificate files into use; other settings need a restart. */
  reload(loaded: LoadedConfig & { kind: 'loaded' }): void;
  /** Refuses new connections, lets sessions finish for `limits.drain_time`, then stops. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** How often sessions are held against their app password's expiry; S-56 allows 60 s. */
const expirySweepMs = 30_000;
const closeMs = 5_000;

/**
 * Builds everything in order and opens the ports last. Rejects, with nothing left open, when a part cannot start; with a
 * RestoredDatabaseError when the database is older than the one last worked with.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, secrets, logger } = options;
  const now = Date.now;
  const metrics = createMetrics();
  const closers: (() => unknown)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) {
      // One part that hangs must not keep the others, nor the process.
      await withDeadline(Promise.resolve(close()), closeMs, 'a part that closes').catch((error: unknown) => {
        logger.error({ err: error }, 'not closed in order');
      });
    }
  };

  try {
    const keys = await loadKeyFile(config.keysFile);
    const database = openDatabase(config.database.file);
    closers.push(() => database.destroy());
    const ran = await migrate(database);
    if (ran.length > 0) logger.info({ migrations: ran }, 'database brought up to date');

    const guard = new KeyedRowGuard({ keys, metrics, logger });

    const onRedisError = (error: Error) => logger.warn({ detail: errorText(error) }, 'redis');
    const redis = openRedis(config, secrets, onRedisError);
    if (redis !== null) closers.push(() => redis.disconnect());
    const nudge = redis === null ? null : new RedisNudge(redis, keys, onRedisError);
    if (nudge !== null) closers.push(() => nudge.stop());
    const highWater = new HighWater({
      folder: config.stateDir,
      keys,
      redis,
      onFault: (problem) => logger.error(problem),
    });
    closers.push(() => highWater.stop());
    const unmarked = await refuseRestored(database, highWater);
    if (unmarked !== null) logger.warn(unmarked);
    if (keys.ids('mac').length > 1) {
      const moved = await renewRowMacs(database, guard);
      if (moved > 0) logger.info({ moved }, 'rows moved to the active mac key');
    }
    const revocations = new RevocationFeed({
      database,
      now,
      windowMs: config.appPasswords.cacheTtlMs,
      maxStalenessMs: config.revocation.maxStalenessMs,
      metrics,
      logger,
      highWater,
      ...(nudge === null ? {} : { nudge }),
    });
    await revocations.start();
    closers.push(() => revocations.stop());
    const passwordHash = new PasswordHash({ keys, argon2: config.appPasswords.argon2, now });
    const cache = new VerificationCache({
      database,
      keys,
      redis,
      revocations,
      ttlMs: config.appPasswords.cacheTtlMs,
      metrics,
      now,
    });
    const throttle = new Throttle({ keys, now });
    const verifier = new Verifier({
      config,
      database,
      keys,
      passwordHash,
      cache,
      revocations,
      throttle,
      logger,
      metrics,
      now,
    });
    closers.push(() => verifier.stop());
    const appPasswords = new AppPasswords({ database, keys, passwordHash, revocations, config, now });

    const upstreams = createUpstreams(config, secrets);
    const registry = new SessionRegistry(config.limits);
    revocations.onRevoked(({ credentialId, accountId, reason }) => {
      if (credentialId === null) registry.endAccount(accountId, reason);
      else registry.endCredential(credentialId, reason);
    });
    const sweep = setInterval(() => registry.endExpired(now()), expirySweepMs).unref();
    closers.push(() => clearInterval(sweep));

    const portalUrl = config.portal.publicUrl.href.replace(/\/$/, '');
    const replies = createAuthReplies({ portalUrl, now });
    const parts: DoorParts = { config, verifier, upstreams, registry, replies, metrics, now };
    const doors = { imap: createImapDoor(parts), smtp: createSmtpDoor(parts) };
    const { ports, listeners } = await openDoors(config, secrets, doors, logger, closers);

    let ready = true;
    const isReady = () => ready && revocations.isCurrent();
    const signIn = new ImapSignIn({ config, upstreams, database, guard, logger, now });
    const portal = await createPortal({
      config,
      database,
      guard,
      appPasswords,
      sealBox: new SealBox(keys),
      signIn,
      logger,
      now,
      isReady,
      tls: config.portal.tls === 'none' ? null : portalTls(config.tls, firstCertificate(secrets)),
    });
    closers.push(() => portal.close());
    await portal.listen({ host: config.portal.host, port: config.portal.port });
    let metricsServer: MetricsServer | null = null;
    if (config.metrics !== null) {
      metricsServer = await serveMetrics(metrics, config.metrics, isReady);
      closers.push(metricsServer.close);
    }

    const stop = async () => {
      ready = false;
      for (const door of Object.values(doors)) door.close();
      await closeAll();
    };
    return {
      ports: {
        ...ports,
        portal: boundPort(portal.server.address()),
        metrics: metricsServer?.port ?? null,
      },
      parts: { database, guard, appPasswords, registry, revocations, metrics },
      reload: (loaded) => {
        const certificate = firstCertificate(loaded.secrets);
        for (const listener of listeners) listener.useCertificate(mailTls(loaded.config.tls, certificate));
        const { server } = portal as { server: object };
        if (server instanceof HttpsServer) server.setSecureContext(portalTls(loaded.config.tls, certificate));
        logger.info('certificates reloaded');
      },
      drain: async () => {
        ready = false;
        for (const listener of listeners) listener.close();
        for (const door of Object.values(doors)) door.drain();
        await untilEmpty(registry, config.limits.drainTimeMs);
        await stop();
      },
      stop,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function openDoors(
  config: Config,
  secrets: Secrets,
  doors: Readonly<Record<'imap' | 'smtp', Door>>,
  logger: Logger,
  closers: (() => unknown)[],
) {
  const ports: { imap: number[]; smtp: number[] } = { imap: [], smtp: [] };
  const listeners: Listener[] = [];
  for (const { door: protocol, host, port } of config.listen) {
    const listener = await listen({
      protocol,
      host,
      port,
      tls: mailTls(config.tls, firstCertificate(secrets)),
      door: doors[protocol],
      connectionsPerNetwork: config.limits.connectionsPerNetwork,
      logger,
    });
    closers.push(listener.close);
    listeners.push(listener);
    ports[protocol].push(listener.port);
    logger.info({ door: protocol, host, port: listener.port }, 'door open');
  }
  return { ports, listeners };
}

function boundPort(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the portal has no TCP port');
  return address.port;
}

function firstCertificate(secrets: Secrets) {
  const [certificate] = secrets.certificates;
  if (certificate === undefined) throw new Error('no certificate was loaded');
  return certificate;
}

/** Resolves when no session is left, or when the time is up. */
function untilEmpty(registry: SessionRegistry, timeMs: number): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearInterval(poll);
      clearTimeout(limit);
      resolve();
    };
    const poll = setInterval(() => {
      if (registry.size === 0) finish();
    }, 100);
    const limit = setTimeout(finish, timeMs);
    if (registry.size === 0) finish();
  });
}
