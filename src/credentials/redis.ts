import { Redis } from 'ioredis';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import type { Secret } from '../secret.ts';

export type { Redis };

/** How a connection differs from the plain one; what it says never holds the URL, which may carry a password. */
export interface RedisOptions {
  /** PEM of the private CA of a `rediss:` server; null trusts the system's. */
  readonly ca: Buffer | null;
  /** Told each connection fault: Redis being down is normal and never an error for a login. */
  readonly onError: (error: Error) => void;
  /** A slower answer counts as none. */
  readonly commandTimeoutMs?: number;
}

/**
 * A connection that never makes a login wait: commands fail at once while Redis is away, and after 250 ms while it hangs.
 * It connects in the background and goes on trying; `disconnect()` ends it.
 */
export function connectRedis(url: URL, password: Secret | null, options: RedisOptions): Redis {
  const { ca, onError, commandTimeoutMs = 250 } = options;
  const user = decodeURIComponent(url.username);
  const secret = password?.text() ?? decodeURIComponent(url.password);
  const database = Number(url.pathname.slice(1) || '0');
  const redis = new Redis({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || '6379'),
    db: database,
    ...(user === '' ? {} : { username: user }),
    ...(secret === '' ? {} : { password: secret }),
    ...(url.protocol === 'rediss:' ? { tls: ca === null ? {} : { ca } } : {}),
    // RESP3 delivers no pub/sub message here (measured), and its HELLO is one round trip more.
    protocol: 2,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2_000,
    // Keeps the process alive that long when it stops while Redis is away.
    disconnectTimeout: 250,
    lazyConnect: true,
    retryStrategy: (attempt) => Math.min(100 * 2 ** Math.min(attempt, 4), 1_000),
  });
  onRedisError(redis, onError);
  // Its failure arrives as an `error` event too.
  redis.connect().catch(() => undefined);
  return redis;
}

/** The Redis of the configuration; null where there is none. */
export function openRedis(config: Config, secrets: Secrets, onError: (error: Error) => void): Redis | null {
  if (config.redis === null) return null;
  const { url, caFile } = config.redis;
  const ca = caFile === null ? null : (secrets.authorities.get(caFile) ?? null);
  return connectRedis(url, secrets.redisPassword, { ca, onError });
}

/** Listens for connection faults; what is told is the message alone. */
export function onRedisError(redis: Redis, onError: (error: Error) => void): void {
  // A refused AUTH carries the command, and in it the password.
  redis.on('error', (error: Error) => onError(new Error(error.message)));
}
