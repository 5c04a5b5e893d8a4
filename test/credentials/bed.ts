import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Redis } from 'ioredis';
import type { KyselyPlugin } from 'kysely';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { formatAppPassword } from '../../src/credentials/app-password.ts';
import { type AppPasswordOrder, AppPasswords } from '../../src/credentials/app-passwords.ts';
import type { HashQueueLimits } from '../../src/credentials/hash-queue.ts';
import type { KeyRing } from '../../src/credentials/key-file.ts';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { networkOf } from '../../src/credentials/network.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { RevocationFeed, type RevocationNudge } from '../../src/credentials/revocation.ts';
import type { ProofLimits } from '../../src/credentials/stored-proof.ts';
import { Throttle, type ThrottleExchange, type ThrottleLimits } from '../../src/credentials/throttle.ts';
import type { Protocol, Verdict } from '../../src/credentials/verdict.ts';
import { VerificationCache } from '../../src/credentials/verification-cache.ts';
import { Verifier } from '../../src/credentials/verifier.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { Secret } from '../../src/secret.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import type { Account } from '../../src/store/schema.ts';
import { openStore } from '../store/open-store.ts';
import { type Engine, sharedPostgres } from '../store/scratch-database.ts';
import { tester, testJournal } from '../support/journal.ts';
import { asOwner } from '../support/postgres.ts';
import { keyRing } from './keys.ts';

/** A clock that stands still; `monotonic` follows it, but for {@link Clock.step}. */
export class Clock {
  #wall = Date.UTC(2026, 10, 22, 12);
  #monotonic = 0;
  readonly now = () => this.#wall;
  readonly monotonic = () => this.#monotonic;

  advance(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }

  /** Sets the wall clock alone, as an operator or NTP does. */
  step(ms: number): void {
    this.#wall += ms;
  }
}

let standardEngine: Engine = 'SQLite';

/** What beds of this test file stand on where nothing is said. */
export function useEngine(engine: Engine): void {
  standardEngine = engine;
}

export interface BedOptions {
  /** Of another bed: a second process on the same store. A URL where that is a PostgreSQL. */
  readonly file?: string;
  readonly engine?: Engine;
  readonly clock?: Clock;
  readonly redis?: Redis | null;
  readonly keys?: KeyRing;
  readonly nudge?: RevocationNudge;
  readonly mfa?: 'required' | 'optional' | 'off';
  readonly maxPerAccount?: number;
  readonly argon2?: { readonly memory_kib: number; readonly passes: number; readonly lanes: number };
  readonly hashLimits?: Partial<HashQueueLimits>;
  readonly proofLimits?: Partial<ProofLimits>;
  readonly throttleLimits?: Partial<ThrottleLimits>;
  readonly throttleExchange?: ThrottleExchange;
  /** Shows or breaks what goes to SQL. */
  readonly plugin?: KyselyPlugin;
  /** Do not read the feed. */
  readonly isCold?: boolean;
  readonly logLevel?: string;
}

/** Where a login comes from and what it says besides name and password. */
export interface From {
  readonly address?: string;
  readonly protocol?: Protocol;
  readonly authzid?: string | Buffer;
  readonly legacyTls?: boolean;
  readonly client?: string | null;
}

export type Bed = Awaited<ReturnType<typeof openBed>>;

/** The credentials layer of one process on a real database, with a clock that the test moves. */
export async function openBed(options: BedOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-credentials-'));
  const engine = options.engine ?? standardEngine;
  const file = options.file ?? (await newStore(engine, folder));
  const plain = openStore(file);
  await migrate(plain);
  // A server is a process that this machine must first let run.
  const storeMs = file.startsWith('postgres:') ? 1_000 : 150;
  const database: Database = options.plugin === undefined ? plain : plain.withPlugin(options.plugin);
  const clock = options.clock ?? new Clock();
  const { now, monotonic } = clock;
  const keys = options.keys ?? keyRing();
  const config = bedConfig(options);
  const metrics = createMetrics();
  const log: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk.toString());
      done();
    },
  });
  const logger = createLogger(options.logLevel ?? 'trace', sink);
  const guard = new KeyedRowGuard({ keys, metrics, logger });
  const passwordHash = new PasswordHash({
    keys,
    argon2: config.appPasswords.argon2,
    now,
    ...(options.hashLimits === undefined ? {} : { limits: options.hashLimits }),
  });
  const revocations = new RevocationFeed({
    database,
    now,
    monotonic,
    windowMs: config.appPasswords.cacheTtlMs,
    maxStalenessMs: config.revocation.maxStalenessMs,
    metrics,
    logger,
    // Where word is sent, nothing else is to bring it.
    ...(options.nudge === undefined ? {} : { nudge: options.nudge, pollMs: 600_000 }),
  });
  const throttle = new Throttle({
    keys,
    now,
    monotonic,
    exchange: options.throttleExchange ?? null,
    ...(options.throttleLimits === undefined ? {} : { limits: options.throttleLimits }),
  });
  const cache = new VerificationCache({
    redis: options.redis ?? null,
    database,
    keys,
    revocations,
    ttlMs: config.appPasswords.cacheTtlMs,
    metrics,
    now,
    monotonic,
    storeMs,
  });
  const waits: number[] = [];
  const wait = async (ms: number) => {
    waits.push(ms);
  };
  const journal = testJournal(keys, now, { database, guard });
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
    wait,
    limits: { storeMs, hashMs: 20_000, ...options.proofLimits },
  });
  const appPasswords = new AppPasswords({
    ...{ database, keys, passwordHash, revocations, journal, config, now },
  });
  if (options.isCold !== true) await revocations.poll();

  const account = async (address: string): Promise<Account> =>
    (await createAccount(plain, guard, address, now())).account;
  const issue = async (owner: Account, order: Partial<AppPasswordOrder> = {}) => {
    const outcome = await appPasswords.create({
      account: owner,
      label: 'Test',
      scopes: ['imap', 'smtp'],
      networks: [],
      expiresInMs: undefined,
      unusedAfterMs: null,
      createdBy: 'test',
      actor: tester,
      isByOperator: true,
      ...order,
    });
    if (outcome.kind !== 'created') throw new Error(`not created: ${outcome.kind}`);
    return { id: outcome.id, password: formatAppPassword(outcome.secret), row: outcome.row };
  };
  const login = (name: string | Buffer, password: string | Buffer, from: From = {}): Promise<Verdict> => {
    const address = from.address ?? '203.0.113.7';
    return verifier.verify({
      protocol: from.protocol ?? 'imap',
      credentials: {
        authzid: Buffer.from(from.authzid ?? ''),
        authcid: Buffer.from(name),
        password: new Secret(Buffer.from(password)),
      },
      address,
      network: networkOf(address),
      legacyTls: from.legacyTls ?? false,
      client: from.client ?? null,
    });
  };
  const value = async (name: string, labels: Record<string, string> = {}): Promise<number> => {
    const metric = (await metrics.registry.getMetricsAsJSON()).find((each) => each.name === name);
    const values = metric?.values.filter((each) =>
      Object.entries(labels).every(([label, text]) => each.labels[label] === text),
    );
    return values?.reduce((sum, each) => sum + each.value, 0) ?? 0;
  };
  /** With rights on the schema. */
  const asSchemaOwner = async (work: (owner: Database) => Promise<unknown>) => {
    const owner = openStore(asOwner(file));
    await work(owner).finally(() => owner.destroy());
  };
  const close = async () => {
    await verifier.stop();
    await revocations.stop();
    await plain.destroy();
    await rm(folder, { recursive: true, force: true });
  };
  return {
    folder,
    file,
    database: plain,
    clock,
    keys,
    guard,
    config,
    log,
    logger,
    metrics,
    passwordHash,
    revocations,
    throttle,
    cache,
    verifier,
    appPasswords,
    waits,
    account,
    issue,
    login,
    value,
    asSchemaOwner,
    close,
  };
}

async function newStore(engine: Engine, folder: string): Promise<string> {
  if (engine === 'SQLite') return join(folder, 'store', 'sallyport.db');
  // S-33: all that the credentials layer does, it does without rights on the schema.
  const postgres = await sharedPostgres();
  const url = await postgres.createDatabase();
  const owner = openStore(url);
  await migrate(owner);
  await owner.destroy();
  return await postgres.asRuntimeRole(url);
}

function bedConfig(options: BedOptions): Config {
  const parsed = configSchema.parse({
    hostname: 'mail.example.com',
    default_domain: 'example.com',
    tls: { certificates: [{ cert: 'none', key: 'none' }] },
    listen: [{ door: 'imap', port: 0, tls: 'implicit' }],
    portal: { port: 0, public_url: 'https://mail.example.com' },
    backends: {
      office: {
        imap: { host: 'backend.example', port: 993, tls: 'implicit' },
        smtp: { host: 'backend.example', port: 465, tls: 'implicit' },
        login: { method: 'master', user: 'gateway', password: 'not used here' },
        deny_users: ['root@example.com'],
      },
    },
    domains: {
      'example.com': {
        backend: 'office',
        sign_in: { method: 'imap' },
        enrollment: 'open',
        mfa: options.mfa ?? 'required',
      },
      'off.example': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open', mfa: 'off' },
    },
    app_passwords: {
      max_per_account: options.maxPerAccount ?? 40,
      // Cheap where the cost is not the subject.
      argon2: options.argon2 ?? { memory_kib: 7_168, passes: 1, lanes: 1 },
    },
  });
  const { office } = parsed.backends;
  if (office === undefined) throw new Error('no backend');
  const login = { method: office.login.method, user: office.login.user };
  return { ...parsed, backends: { office: { ...office, name: 'office', login } }, redis: null };
}

/** One word for a verdict: its kind, or why it was rejected. */
export function outcomeOf(verdict: Verdict): string {
  return verdict.kind === 'rejected' ? verdict.reason : verdict.kind;
}
