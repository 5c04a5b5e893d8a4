import { Canary } from './assembly/canary.ts';
import { Closers } from './assembly/closers.ts';
import { assembleCredentials, type Credentials } from './assembly/credentials.ts';
import { type Doors, openDoors } from './assembly/doors.ts';
import { startNotices } from './assembly/notices.ts';
import { openPortal } from './assembly/portal.ts';
import type { LoadedConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import type { Secrets } from './config/secrets.ts';
import { journaledOrders } from './control/journaled-orders.ts';
import { keyOrders } from './control/key-orders.ts';
import { serveControl } from './control/server.ts';
import { sessionOrders } from './control/session-orders.ts';
import { throttleOrders } from './control/throttle-orders.ts';
import type { JournalEntry } from './credentials/journal.ts';
import type { NodeTiming } from './credentials/node-exchange.ts';
import { NodeSessions } from './credentials/node-sessions.ts';
import { errorText } from './observability/error-text.ts';
import type { Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { type MetricsServer, serveMetrics } from './observability/metrics-server.ts';
import { createAuthReplies } from './proxy/auth-reply.ts';
import type { DoorParts } from './proxy/door/door.ts';
import { SessionRegistry } from './proxy/session-registry.ts';
import { OwnEndpoints } from './upstream/own-endpoints.ts';
import { createUpstreams } from './upstream/upstreams.ts';

export interface GatewayOptions {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly logger: Logger;
  /** Milliseconds other than the usual ones, for tests. */
  readonly timing?: { readonly nodes?: Partial<NodeTiming>; readonly revocationPollMs?: number };
}

/** A running gateway. The ports are the bound ones, also where the configuration says 0. */
export interface Gateway {
  readonly ports: Doors['ports'] & {
    readonly portal: number;
    readonly metrics: number | null;
  };
  readonly parts: Pick<Credentials, 'database' | 'guard' | 'appPasswords' | 'revocations' | 'throttle'> & {
    readonly registry: SessionRegistry;
    readonly metrics: Metrics;
  };
  /** Takes new certificate and alias files into use; other settings need a restart. */
  reload(loaded: LoadedConfig & { kind: 'loaded' }): Promise<void>;
  /** Refuses new connections, lets sessions finish for `limits.drain_time`, then stops. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/** How often sessions are held against their app password's expiry; S-56 allows 60 s. */
const expirySweepMs = 30_000;

/**
 * Builds everything in order and opens the ports last. Rejects, with nothing left open, when a part cannot start; with a
 * RestoredDatabaseError when the database is older than the one last worked with.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, secrets, logger } = options;
  const now = Date.now;
  const metrics = createMetrics();
  const closers = new Closers(logger);

  try {
    const credentials = await assembleCredentials({ ...options, metrics, now }, closers);
    const { database, guard, revocations, throttle, verifier, loginLog, appPasswords } = credentials;

    const own = new OwnEndpoints();
    const upstreams = createUpstreams(config, secrets, {
      now: () => performance.now(),
      logger,
      metrics,
      own,
    });
    const codeSender = startNotices({ ...options, metrics, now, credentials, upstreams }, closers);
    const registry = new SessionRegistry(config.limits);
    revocations.onRevoked(({ credentialId, accountId, reason }) => {
      if (credentialId === null) registry.endAccount(accountId, reason);
      else registry.endCredential(credentialId, reason);
    });
    const sweep = setInterval(() => {
      registry.endExpired(now());
      for (const session of registry.sessions()) {
        const { login, protocol, peerAddress: address } = session;
        if (login.lapses) verifier.noteOpen(login, { address, protocol, client: session.view().client });
      }
      registry.publishTraffic();
    }, expirySweepMs).unref();
    closers.add(() => clearInterval(sweep));

    const portalUrl = config.portal.publicUrl.href.replace(/\/$/, '');
    const replies = createAuthReplies({ portalUrl, now });
    const parts: DoorParts = { config, verifier, upstreams, registry, replies, metrics, loginLog, now };
    const sessions = new NodeSessions({
      local: registry,
      ...{ redis: credentials.redis, keys: credentials.keys, now, logger },
      ...(options.timing?.nodes === undefined ? {} : { timing: options.timing.nodes }),
      onRedisError: (error) => logger.warn({ detail: errorText(error) }, 'redis'),
    });
    closers.add(() => sessions.stop());
    const record = async (entry: JournalEntry) => await credentials.journal.record(database, entry);
    // Before the ports: a second gateway of this state directory must not answer a client first.
    const control = await serveControl({
      stateDir: config.stateDir,
      commands: {
        ...journaledOrders({ ...sessionOrders(sessions), ...throttleOrders(credentials.throttle) }, record),
        ...keyOrders(credentials.reloadKeys),
      },
      logger,
    });
    closers.add(() => control.close());
    const doors = await openDoors({ ...options, own, redis: credentials.redis, parts }, closers);

    let ready = true;
    const isReady = () => ready && revocations.isCurrent();
    const portal = await openPortal(
      { ...options, now, credentials, upstreams, liveSessions: sessions, codeSender, isReady },
      closers,
    );
    let metricsServer: MetricsServer | null = null;
    if (config.metrics !== null) {
      metricsServer = await serveMetrics(metrics, config.metrics, isReady);
      closers.add(metricsServer.close);
    }

    const canary =
      config.canary === null || secrets.canary === null
        ? null
        : new Canary({
            ...{ ...config.canary, hostname: config.hostname, secrets: secrets.canary },
            doors: () => doors.open(),
            metrics,
            logger,
          });
    canary?.start();

    const stop = async () => {
      ready = false;
      canary?.stop();
      doors.end();
      await closers.closeAll();
    };
    return {
      ports: {
        ...doors.ports,
        portal: portal.port,
        metrics: metricsServer?.port ?? null,
      },
      parts: { database, guard, appPasswords, registry, revocations, throttle, metrics },
      reload: async (loaded) => {
        await doors.reload(loaded);
        await credentials.reloadKeys().catch((error: unknown) => {
          // The certificates must not wait for a key file that is being mended.
          logger.error(
            { detail: errorText(error) },
            'keys not reloaded: the gateway goes on with those it has',
          );
        });
        portal.reload(loaded);
        logger.info('certificates, aliases and keys reloaded');
      },
      drain: async () => {
        ready = false;
        canary?.stop();
        doors.drain();
        await untilEmpty(registry, config.limits.drainTimeMs);
        await stop();
      },
      stop,
    };
  } catch (error) {
    await closers.closeAll();
    throw error;
  }
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
