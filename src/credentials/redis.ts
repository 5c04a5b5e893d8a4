import { Cluster, Redis as SingleRedis } from 'ioredis';
import type { RedisLocation } from '../config/redis-schema.ts';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import type { Secret } from '../secret.ts';
import { clearIsRefused, NodeConnector, nodeConnectorOf } from './redis-connector.ts';

export type { SingleRedis };
/** One server, found by its address or by sentinels, or a cluster. Commands on it name one key, or keys of one slot. */
export type Redis = SingleRedis | Cluster;

/** How a connection differs from the plain one. */
export interface RedisOptions {
  /** PEM of the private CA of a `rediss:` server; null trusts the system's. */
  readonly ca: Buffer | null;
  /** Told each connection fault: Redis being down is normal and never an error for a login. */
  readonly onError: (error: Error) => void;
  /** A slower answer counts as none. */
  readonly commandTimeoutMs?: number;
}

export interface RedisPasswords {
  readonly password: Secret | null;
  readonly sentinelPassword: Secret | null;
}

/** Where it was cut off without a word, a connection looks open for a quarter of an hour (tcp(7), tcp_retries2). */
const silentMs = 2_000;
const connectMs = 2_000;
const retryAfter = (attempt: number): number => Math.min(100 * 2 ** Math.min(attempt, 4), 1_000);

/**
 * A connection that never makes a login wait: commands fail at once while Redis is away, and after 250 ms while it hangs.
 * It connects in the background and goes on trying; `disconnect()` ends it.
 */
export function connectRedis(
  location: RedisLocation & { readonly kind: 'single' | 'sentinel' },
  passwords: RedisPasswords,
  options: RedisOptions,
): SingleRedis;
export function connectRedis(
  location: RedisLocation,
  passwords: RedisPasswords,
  options: RedisOptions,
): Redis;
export function connectRedis(
  location: RedisLocation,
  passwords: RedisPasswords,
  options: RedisOptions,
): Redis {
  const redis = build(location, passwords, options);
  onRedisError(redis, options.onError);
  // Its failure arrives as an `error` event too.
  redis.connect().catch(() => undefined);
  return redis;
}

function build(location: RedisLocation, passwords: RedisPasswords, options: RedisOptions): Redis {
  const { ca, commandTimeoutMs = 250 } = options;
  const tls = location.isTls ? (ca === null ? {} : { ca }) : undefined;
  const shared = {
    ...(location.user === null ? {} : { username: location.user }),
    ...(passwords.password === null ? {} : { password: passwords.password.text() }),
    ...(tls === undefined ? {} : { tls }),
    // RESP3 delivers no pub/sub message here (measured), and its HELLO is one round trip more.
    protocol: 2 as const,
    maxRetriesPerRequest: 1,
    commandTimeout: commandTimeoutMs,
    socketTimeout: silentMs,
    connectTimeout: connectMs,
    // Keeps the process alive that long when it stops while Redis is away.
    disconnectTimeout: 250,
  };
  const patience = { enableOfflineQueue: false, lazyConnect: true, retryStrategy: retryAfter };
  switch (location.kind) {
    case 'single':
      return new SingleRedis({ ...location.hosts[0], db: location.database, ...shared, ...patience });
    case 'sentinel':
      return new SingleRedis({
        sentinels: [...location.hosts],
        name: location.master,
        db: location.database,
        ...(location.user === null ? {} : { sentinelUsername: location.user }),
        ...(passwords.sentinelPassword === null
          ? {}
          : { sentinelPassword: passwords.sentinelPassword.text() }),
        ...(tls === undefined ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
        sentinelCommandTimeout: connectMs,
        sentinelRetryStrategy: retryAfter,
        // Those that the configuration names, and no other that a sentinel speaks of.
        updateSentinels: false,
        natMap: (address) => {
          const host = address.slice(0, address.lastIndexOf(':'));
          if (clearIsRefused(host, location.isTls)) throw new Error(clearText);
          return null;
        },
        // A master that was demoted while the connection stood.
        reconnectOnError: (error) => error.message.startsWith('READONLY'),
        ...shared,
        ...patience,
      });
    case 'cluster':
      return new Cluster([...location.hosts], {
        enableOfflineQueue: false,
        lazyConnect: true,
        clusterRetryStrategy: retryAfter,
        // A login asks once more after a failover, and then the store.
        maxRedirections: 3,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        slotsRefreshTimeout: connectMs,
        slotsRefreshInterval: 5_000,
        // A certificate is for the name, so the name is what is connected to.
        dnsLookup: (host, callback) => callback(null, host),
        redisOptions: { ...shared, Connector: NodeConnector },
      });
    default:
      return location satisfies never;
  }
}

const clearText = 'the sentinels name a master on another host, which needs rediss+sentinel://';

/** The Redis of the configuration; null where there is none. */
export function openRedis(config: Config, secrets: Secrets, onError: (error: Error) => void): Redis | null {
  if (config.redis === null) return null;
  const { caFile } = config.redis;
  const ca = caFile === null ? null : (secrets.authorities.get(caFile) ?? null);
  const passwords = { password: secrets.redisPassword, sentinelPassword: secrets.redisSentinelPassword };
  return connectRedis(config.redis, passwords, { ca, onError });
}

/** Listens for connection faults; what is told is the message alone. */
export function onRedisError(redis: Redis, onError: (error: Error) => void): void {
  // A refused AUTH carries the command, and in it the password.
  const tell = (error: Error) => onError(new Error(error.message));
  redis.on('error', tell);
  if (redis instanceof Cluster) redis.on('node error', tell);
}

/** The same Redis over a connection of its own, for commands that block up to `timeoutMs`. Not yet connected. */
export function blockingConnection(redis: Redis, timeoutMs: number): Redis {
  // A read ends with its connection, and the next one begins anew.
  const settings = { commandTimeout: timeoutMs, socketTimeout: timeoutMs, maxRetriesPerRequest: 0 };
  return redis instanceof Cluster
    ? redis.duplicate([], { lazyConnect: true, maxRedirections: 1, redisOptions: settings })
    : redis.duplicate({ lazyConnect: true, ...settings });
}

/** The same Redis over a connection of its own, for subscriptions: of a cluster one node, which hears all. Not yet connected. */
export function listeningConnection(redis: Redis, silentAfterMs: number): SingleRedis {
  const settings = { autoResubscribe: false, lazyConnect: true, socketTimeout: silentAfterMs };
  if (!(redis instanceof Cluster)) return redis.duplicate(settings);
  const { replyMapping: _replyMapping, ...shared } = redis.options.redisOptions ?? {};
  return new SingleRedis({
    ...shared,
    ...settings,
    enableOfflineQueue: false,
    retryStrategy: retryAfter,
    Connector: nodeConnectorOf(redis),
  });
}

/** Each server behind it that is known, over connections that end with it. */
export function serversOf(redis: Redis): readonly SingleRedis[] {
  return redis instanceof Cluster ? redis.nodes('all') : [redis];
}

/** The values of keys that a cluster may hold in different places. */
export async function readAll(redis: Redis, keys: readonly string[]): Promise<readonly (Buffer | null)[]> {
  if (redis instanceof Cluster) return await Promise.all(keys.map((key) => redis.getBuffer(key)));
  return await redis.mgetBuffer([...keys]);
}
