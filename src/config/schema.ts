import { join } from 'node:path';
import { z } from 'zod';

const day = 86_400_000;

/** `30s 15m 12h 90d`, to milliseconds. Node's timers overflow at 24.8 days and then fire at once. */
function duration(least: string, most = '24d') {
  return z
    .string()
    .regex(/^\d{1,6}(s|m|h|d)$/, 'must be a duration such as 30s, 15m, 12h or 90d')
    .transform(parseDuration)
    .refine((ms) => ms >= parseDuration(least) && ms <= parseDuration(most), `must be ${least} to ${most}`);
}

/** Milliseconds of a duration that has the shape `30s 15m 12h 90d`; NaN for anything else. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  if (match === null) return Number.NaN;
  const unit = { s: 1_000, m: 60_000, h: 3_600_000, d: day }[match[2] as 's' | 'm' | 'h' | 'd'];
  return Number(match[1]) * unit;
}

const port = z.int().min(0).max(65_535);
const host = z.string().min(1).max(255);
const path = z.string().min(1);

/** S-21: a row asking for 1 GiB holds a thread for seconds at every login, so rows and settings end here. */
export const argon2Maxima = { memoryKib: 65_536, passes: 10, lanes: 4 } as const;

/** S-44: a name with Unicode dots or a NUL is compared differently by different TLS stacks. */
const backendHost = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?$/, 'must be an ASCII host name or address');

const domainName = z
  .string()
  .toLowerCase()
  .regex(/^(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*$/, 'must be an ASCII domain name (use the xn-- form)');

const listen = z
  .strictObject({
    door: z.enum(['imap', 'smtp']),
    host: host.default('::'),
    port,
    tls: z.literal(
      'implicit',
      'only implicit TLS is offered: a clear-text port takes credentials in clear (RFC 8314)',
    ),
  })
  .transform(({ door, host, port }) => ({ door, host, port }));

const backendEndpoint = z
  .strictObject({
    host: backendHost,
    port: port.min(1),
    tls: z.enum(['implicit', 'starttls', 'none']),
    ca_file: path.optional(),
    /** Name in the certificate where it is not `host`, for backends addressed by IP. */
    server_name: backendHost.optional(),
  })
  .transform(({ host, port, tls, ca_file, server_name }) => ({
    host,
    port,
    tls,
    caFile: ca_file ?? null,
    serverName: server_name ?? host,
  }));

const backend = z
  .strictObject({
    imap: backendEndpoint,
    smtp: backendEndpoint,
    login: z.strictObject({
      method: z.literal('master'),
      user: z
        .string()
        .max(255)
        .regex(/^[^\x00-\x1f\x7f]+$/, 'must hold no control characters'),
      password: z.string().min(1).optional(),
      password_file: path.optional(),
    }),
    forward: z
      .strictObject({
        imap_id: z.boolean().default(false),
        xclient: z.boolean().default(false),
        proxy_protocol: z.literal('none').default('none'),
      })
      .prefault({})
      .transform(({ imap_id, xclient }) => ({ imapId: imap_id, xclient })),
    /** S-47: mailboxes that nobody opens through the gateway. The master user itself always is one. */
    deny_users: z.array(z.string()).default([]),
  })
  .refine(({ login }) => (login.password === undefined) !== (login.password_file === undefined), {
    path: ['login'],
    message: 'needs exactly one of password and password_file',
  })
  .transform(({ imap, smtp, login, forward, deny_users }) => ({
    imap,
    smtp,
    login: {
      method: login.method,
      user: login.user,
      password: login.password ?? null,
      passwordFile: login.password_file ?? null,
    },
    forward,
    denyUsers: deny_users,
  }));

const domain = z
  .strictObject({
    backend: z.string(),
    sign_in: z.strictObject({ method: z.literal('imap') }),
    mfa: z.enum(['required', 'optional', 'off']).default('required'),
    /** No default: whoever holds a leaked main password could enroll first, so the operator chooses (S-74). */
    enrollment: z.literal('open', 'must be chosen; this version offers open'),
    main_password: z
      .literal('refuse', 'this version never accepts a main password on a mail port')
      .default('refuse'),
  })
  .transform(({ backend, sign_in, mfa, enrollment }) => ({
    backend,
    signIn: sign_in.method,
    mfa,
    enrollment,
  }));

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
        certificates: z
          .array(z.strictObject({ cert: path, key: path }))
          .length(1, 'this version takes exactly one certificate'),
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
    database: z
      .strictObject({ url: z.string().regex(/^sqlite:.+/, 'must be sqlite:PATH in this version') })
      .optional(),
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
    limits: z
      .strictObject({
        /** Before login, whatever trickles in (wire 151). */
        login_time: duration('10s', '1h').prefault('3m'),
        /** IMAP after login, without a byte either way; never under 30 minutes (RFC 2683 3.1, wire 66). */
        idle_time: duration('30m').prefault('35m'),
        connections_per_network: z.int().min(1).default(200),
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
        sessionsPerCredential: limits.sessions_per_credential,
        sessionsPerAccount: limits.sessions_per_account,
        messageBytes: limits.message_bytes,
        recipients: limits.recipients,
        drainTimeMs: limits.drain_time,
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
    database: {
      file: file.database?.url.slice('sqlite:'.length) ?? join(file.state_dir, 'sallyport.db'),
    },
    redis: file.redis === undefined ? null : { url: file.redis.url, caFile: file.redis.ca_file ?? null },
    backends: file.backends,
    domains: file.domains,
    appPasswords: file.app_passwords,
    revocation: file.revocation,
    limits: file.limits,
    logLevel: file.log_level,
  }));

/** Configuration as the program uses it: defaults filled in, durations in milliseconds, no secret inside. */
export type Config = Omit<z.output<typeof configSchema>, 'backends' | 'redis'> & {
  readonly backends: Readonly<Record<string, Backend>>;
  readonly redis: { readonly url: URL; readonly caFile: string | null } | null;
};
export type BackendEndpoint = z.output<typeof backendEndpoint>;
export type Domain = z.output<typeof domain>;
export type Backend = Omit<z.output<typeof backend>, 'login'> & {
  readonly name: string;
  readonly login: { readonly method: 'master'; readonly user: string };
};
