import { join } from 'node:path';
import { z } from 'zod';
import { appPasswords } from './app-password-schema.ts';
import { type BackendEndpoint, backend } from './backend-schema.ts';
import { canary } from './canary-schema.ts';
import { clientSetup, profileSigning } from './client-setup-schema.ts';
import { type DatabaseLocation, database } from './database-schema.ts';
import { type Domain, domain } from './domain-schema.ts';
import { duration } from './duration.ts';
import { limits } from './limits-schema.ts';
import { certificateFiles, listen } from './listen-schema.ts';
import { audit, notices } from './notices-schema.ts';
import { type OidcProvider, oidc } from './oidc-schema.ts';
import { domainName, host, mailbox, path, port, timeZone } from './primitives.ts';
import { type RedisLocation, redis } from './redis-schema.ts';
import { secondFactors } from './second-factors-schema.ts';
import { throttle } from './throttle-schema.ts';

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
        /** Of people whose browser asks for none that there is. */
        default_language: z
          .string()
          .regex(/^[a-z]{2,3}$/)
          .default('en'),
        /** Of the times on the pages and in the mails; the browser tells none. */
        time_zone: timeZone.prefault(Intl.DateTimeFormat().resolvedOptions().timeZone),
        /** Whose sessions may administer; an identity provider may name more (oidc, admin_claim). */
        administrators: z.array(mailbox).default([]),
        /** Where people's mail apps and browsers connect from: the address, or the /24 or /48 around it (S-95). */
        administrators_see_addresses: z.boolean().default(false),
        profile_signing: profileSigning,
        /** In clear, for programs that ask http first: answers nothing but where the portal is. */
        redirect_port: port.optional(),
      })
      .transform(({ public_url, default_language, time_zone, profile_signing, redirect_port, ...portal }) => {
        const { administrators_see_addresses, ...rest } = portal;
        return {
          ...rest,
          administratorsSeeAddresses: administrators_see_addresses,
          publicUrl: new URL(public_url),
          defaultLanguage: default_language,
          timeZone: time_zone,
          profileSigning: profile_signing,
          redirectPort: redirect_port ?? null,
        };
      }),
    metrics: z.strictObject({ host: host.default('127.0.0.1'), port }).optional(),
    /** Without it the database lies in state_dir. */
    database: database.optional(),
    redis: redis.optional(),
    backends: z.record(z.string().regex(/^[a-z0-9-]{1,32}$/), backend),
    domains: z.record(domainName, domain),
    client_setup: clientSetup,
    oidc,
    app_passwords: appPasswords,
    second_factors: secondFactors,
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
    throttle,
    limits,
    canary,
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
    notices,
    audit,
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
    redis: file.redis ?? null,
    backends: file.backends,
    domains: file.domains,
    clientSetup: file.client_setup,
    oidc: file.oidc,
    appPasswords: file.app_passwords,
    secondFactors: file.second_factors,
    revocation: file.revocation,
    loginLog: file.login_log,
    notices: file.notices,
    audit: file.audit,
    throttle: file.throttle,
    limits: file.limits,
    canary: file.canary ?? null,
    smtp: file.smtp,
    logLevel: file.log_level,
  }));

/** Configuration as the program uses it: defaults filled in, durations in milliseconds, no secret inside. */
export type Config = Omit<z.output<typeof configSchema>, 'backends' | 'database' | 'oidc' | 'redis'> & {
  readonly database: DatabaseLocation;
  readonly backends: Readonly<Record<string, Backend>>;
  readonly oidc: Readonly<Record<string, OidcProvider>>;
  readonly redis: RedisLocation | null;
};
export type Backend = Omit<z.output<typeof backend>, 'login'> & {
  readonly name: string;
  readonly login: { readonly method: 'master'; readonly user: string };
};
