import { join } from 'node:path';
import { z } from 'zod';
import { type BackendEndpoint, backend } from './backend-schema.ts';
import { type DatabaseLocation, database } from './database-schema.ts';
import { type Domain, domain } from './domain-schema.ts';
import { duration } from './duration.ts';
import { certificateFiles, listen } from './listen-schema.ts';
import { argon2Maxima, domainName, host, path, port } from './primitives.ts';

export type { BackendEndpoint, Domain };

/** The whole configuration file; see `config/sallyport.example.yaml` for every key with its default. */
export const configSchema = z
  .strictObject({
    hostname: domainName,
    state_dir: path.default('var'),
    default_domain: domainName.optional(),
    workers: z.literal(1, 'this version runs one process').default(1),
    keys_file: path.default('keys/keys.json'),
    tls: z
      .strictObject({
        certificates: z.array(certificateFiles).min(1),
        min_version: z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'),
      })
      .transform(({ certificates, min_version }) => ({ certificates, minVersion: min_version })),
    listen: z.array(listen).min(1),
    portal: z
      .strictObject({
        host: host.default('::'),
        port,
        tls: z.enum(['implicit', 'none']).default('implicit'),
        public_url: z.url({ protocol: /^https$/ }),
      })
      .transform(({ host, port, tls, public_url }) => ({ host, port, tls, publicUrl: new URL(public_url) })),
    metrics: z.strictObject({ host: host.default('127.0.0.1'), port }).optional(),
    /** Without it the database lies in state_dir. */
    database: database.optional(),
    redis: z.strictObject({ url: z.string().regex(/^rediss?:\/\//), ca_file: path.optional() }).optional(),
    backends: z.record(z.string().regex(/^[a-z0-9-]{1,32}$/), backend),
    domains: z.record(domainName, domain),
    app_passwords: z
      .strictObject({
        max_per_account: z.int().min(1).max(1_000).default(40),
        default_expiry: duration('1m', '3650d').nullable().default(null),
        cache_ttl: duration('1m', '1d').prefault('1h'),
        argon2: z
          .strictObject({
            memory_kib: z.int().min(7_168).max(argon2Maxima.memoryKib).default(12_288),
            passes: z.int().min(1).max(argon2Maxima.passes).default(3),
            lanes: z.int().min(1).max(argon2Maxima.lanes).default(1),
          })
          .prefault({})
          .transform(({ memory_kib, passes, lanes }) => ({ memoryKib: memory_kib, passes, lanes })),
      })
      .prefault({})
      .transform(({ max_per_account, default_expiry, cache_ttl, argon2 }) => ({
        maxPerAccount: max_per_account,
        defaultExpiryMs: default_expiry,
        cacheTtlMs: cache_ttl,
        argon2,
      })),
    revocation: z
      .strictObject({ max_staleness: duration('10s', '1d').prefault('15m') })
      .prefault({})
      .transform(({ max_staleness }) => ({ maxStalenessMs: max_staleness })),
    login_log: z
      .strictObject({
        keep: duration('1d', '3650d').prefault('90d'),
        /** Rows; half of them for logins, half for refusals. */
        per_account: z.int().min(20).max(100_000).default(1_000),
      })
      .prefault({})
      .transform(({ keep, per_account }) => ({ keepMs: keep, perAccount: per_account })),
    limits: z
      .strictObject({
        /** Before login, whatever trickles in (wire 151). */
        login_time: duration('10s', '1h').prefault('3m'),
        /** IMAP after login, without a byte either way; never under 30 minutes (RFC 2683 3.1, wire 66). */
        idle_time: duration('30m').prefault('35m'),
        connections_per_network: z.int().min(1).default(200),
        /** Of one listener, whoever they are from; more are closed unheard. */
        connections: z.int().min(10).default(10_000),
        /** TLS handshakes of a network: on average a second, and at once (S-12). */
        handshakes_per_second: z.int().min(1).default(20),
        handshake_burst: z.int().min(1).default(60),
        sessions_per_credential: z.int().min(1).default(50),
        sessions_per_account: z.int().min(1).default(100),
        message_bytes: z.int().min(1_000_000).default(52_428_800),
        recipients: z.int().min(1).max(10_000).default(200),
        drain_time: duration('1s', '1h').prefault('30s'),
      })
      .prefault({})
      .transform((limits) => ({
        loginTimeMs: limits.login_time,
        idleTimeMs: limits.idle_time,
        connectionsPerNetwork: limits.connections_per_network,
        connections: limits.connections,
        handshakesPerSecond: limits.handshakes_per_second,
        handshakeBurst: limits.handshake_burst,
        sessionsPerCredential: limits.sessions_per_credential,
        sessionsPerAccount: limits.sessions_per_account,
        messageBytes: limits.message_bytes,
        recipients: limits.recipients,
        drainTimeMs: limits.drain_time,
      })),
    smtp: z
      .strictObject({
        /** A bare CR or LF in a message: made CRLF, as Postfix does, or refused with 550 5.6.11 (wire 107). */
        bare_newlines: z.enum(['normalize', 'refuse']).default('normalize'),
        /** Mail transactions of one account at a time and process; Exchange Online takes 3 of a mailbox (wire 138). */
        concurrent_submissions: z.int().min(1).max(1_000).default(10),
      })
      .prefault({})
      .transform(({ bare_newlines, concurrent_submissions }) => ({
        bareNewlines: bare_newlines,
        concurrentSubmissions: concurrent_submissions,
      })),
    log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  })
  .transform((file) => ({
    hostname: file.hostname,
    stateDir: file.state_dir,
    defaultDomain: file.default_domain ?? null,
    keysFile: file.keys_file,
    tls: file.tls,
    listen: file.listen,
    portal: file.portal,
    metrics: file.metrics ?? null,
    database: file.database ?? {
      engine: 'sqlite' as const,
      file: join(file.state_dir, 'sallyport.db'),
      password: null,
      passwordFile: null,
    },
    redis: file.redis === undefined ? null : { url: file.redis.url, caFile: file.redis.ca_file ?? null },
    backends: file.backends,
    domains: file.domains,
    appPasswords: file.app_passwords,
    revocation: file.revocation,
    loginLog: file.login_log,
    limits: file.limits,
    smtp: file.smtp,
    logLevel: file.log_level,
  }));

/** Configuration as the program uses it: defaults filled in, durations in milliseconds, no secret inside. */
export type Config = Omit<z.output<typeof configSchema>, 'backends' | 'database' | 'redis'> & {
  readonly database: DatabaseLocation;
  readonly backends: Readonly<Record<string, Backend>>;
  readonly redis: { readonly url: URL; readonly caFile: string | null } | null;
};
export type Backend = Omit<z.output<typeof backend>, 'login'> & {
  readonly name: string;
  readonly login: { readonly method: 'master'; readonly user: string };
};
