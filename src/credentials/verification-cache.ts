import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Metrics } from '../observability/metrics.ts';
import type { Secret } from '../secret.ts';
import { currentCacheSalts } from '../store/cache-salts.ts';
import type { Database } from '../store/database.ts';
import { type CacheRecord, decodeRecord, encodeRecord } from './cache-record.ts';
import { ClockSteps, toleratedStepMs } from './clock-steps.ts';
import { withDeadline } from './deadline.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { type Redis, readAll } from './redis.ts';
import type { RevocationFeed } from './revocation.ts';

const indexLabel = 'sallyport/v1/cache/index';
const prefix = 'sp:v1:c:';
/** In front of Redis; without Redis the whole life of a record. */
const memoryMs = 60_000;
const memoryEntries = 50_000;
/** A cluster may send a command on from node to node. */
const redisMs = 500;
const saltMs = 24 * 3_600_000;
const saltReadMs = 60_000;
const saltRetryMs = 5_000;
const defaultStoreMs = 2_000;

/** A verification that still holds. */
export interface CacheHit {
  readonly record: CacheRecord;
  readonly source: 'memory' | 'redis';
}

/**
 * Successful verifications, in process and in Redis (requirements 3.4). It says nothing but yes: every doubt and every fault
 * is a miss, and then the store is asked. Attributes are judged by the caller at each login (S-17).
 */
export class VerificationCache {
  readonly #redis: Redis | null;
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #revocations: RevocationFeed;
  readonly #ttlMs: number;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #steps: ClockSteps;
  readonly #storeMs: number;
  readonly #memory = new LRUCache<string, { record: CacheRecord; until: number }>({
    max: memoryEntries,
  });
  /** Of this process alone: a dump of another one shares no key with it. */
  readonly #processKey = randomBytes(32);
  #salts: readonly Buffer[] = [];
  #saltsDueAt = Number.NEGATIVE_INFINITY;
  #saltRead: Promise<void> | null = null;

  constructor(parts: {
    readonly redis: Redis | null;
    readonly database: Database;
    readonly keys: KeyRing;
    readonly revocations: RevocationFeed;
    readonly ttlMs: number;
    readonly metrics: Metrics;
    readonly now: () => number;
    /** Milliseconds that no clock step changes. */
    readonly monotonic?: () => number;
    /** How long the store may take to answer for salts. */
    readonly storeMs?: number;
  }) {
    this.#redis = parts.redis;
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#revocations = parts.revocations;
    this.#ttlMs = parts.ttlMs;
    this.#metrics = parts.metrics;
    this.#now = parts.now;
    const monotonic = parts.monotonic ?? (() => performance.now());
    this.#steps = new ClockSteps({ now: parts.now, monotonic });
    this.#storeMs = parts.storeMs ?? defaultStoreMs;
  }

  /** null proves nothing. Never rejects. */
  async find(accountId: Buffer, secret: Secret): Promise<CacheHit | null> {
    if (!this.#revocations.isCurrent()) return null;
    const remembered = this.#recall(accountId, secret);
    if (remembered !== null || this.#redis === null) return remembered;
    try {
      return await this.#fetch(this.#redis, accountId, secret);
    } catch {
      // Redis away, slow or odd.
      return null;
    }
  }

  /** Keeps a verification that was just made. Never rejects. */
  async keep(secret: Secret, record: CacheRecord): Promise<void> {
    const lifeMs = this.#lifeMs(record);
    if (lifeMs <= 0) return;
    this.#remember(secret, record, lifeMs);
    if (this.#redis === null) return;
    try {
      const [salt] = await this.#currentSalts();
      if (salt === undefined) return;
      const key = this.#index(this.#keys.activeId('mac'), salt, record.accountId, secret);
      if (key === null) return;
      await this.#redis.set(key, encodeRecord(this.#keys, key, record), 'PX', lifeMs);
    } catch {
      // The next login asks the store again.
    }
  }

  #recall(accountId: Buffer, secret: Secret): CacheHit | null {
    this.#forgetAfterClockStep();
    const key = this.#memoryKey(accountId, secret);
    const entry = this.#memory.get(key);
    if (entry === undefined) return null;
    if (entry.until > this.#now() && this.#holds(entry.record)) {
      return { record: entry.record, source: 'memory' };
    }
    this.#memory.delete(key);
    return null;
  }

  async #fetch(redis: Redis, accountId: Buffer, secret: Secret): Promise<CacheHit | null> {
    const salts = await this.#currentSalts();
    const keys = this.#keys
      .ids('mac')
      .flatMap((id) => salts.map((salt) => this.#index(id, salt, accountId, secret)))
      .filter((key) => key !== null);
    if (keys.length === 0) return null;
    const values = await withDeadline(readAll(redis, keys), redisMs, 'Redis');
    for (const [index, key] of keys.entries()) {
      const value = values[index] ?? null;
      const record = value === null ? null : this.#accept(key, value, accountId);
      if (record === null) continue;
      this.#remember(secret, record, this.#lifeMs(record));
      return { record, source: 'redis' };
    }
    return null;
  }

  #accept(key: string, value: Buffer, accountId: Buffer): CacheRecord | null {
    const record = decodeRecord(this.#keys, key, value);
    if (typeof record === 'string') return this.#reject(record);
    if (!record.accountId.equals(accountId)) return this.#reject('other-account');
    return this.#holds(record) ? record : this.#reject('void');
  }

  #reject(reason: string): null {
    this.#metrics.cacheRejected.inc({ reason });
    return null;
  }

  /** The rule of requirements 3.4: by times inside the MAC and the gateway's clock, never by a TTL of Redis. */
  #holds(record: CacheRecord): boolean {
    const now = this.#now();
    return (
      (record.notAfter === null || now < record.notAfter) &&
      (record.lapsesAt === null || now < record.lapsesAt) &&
      now < record.verifiedAt + this.#ttlMs &&
      // Another node's clock, or this one's before it was set, may be off by so much.
      record.verifiedAt <= now + toleratedStepMs &&
      !this.#revocations.voids(record.credentialId, record.accountId, record.feedSeq)
    );
  }

  /** Up to a tenth shorter, by chance: records made together must not expire together. */
  #lifeMs(record: CacheRecord): number {
    const never = Number.POSITIVE_INFINITY;
    const end = Math.min(record.verifiedAt + this.#ttlMs, record.notAfter ?? never, record.lapsesAt ?? never);
    const left = end - this.#now();
    return Math.floor(left * (0.9 + Math.random() * 0.1));
  }

  #remember(secret: Secret, record: CacheRecord, lifeMs: number): void {
    this.#forgetAfterClockStep();
    const until = this.#now() + (this.#redis === null ? lifeMs : Math.min(lifeMs, memoryMs));
    this.#memory.set(this.#memoryKey(record.accountId, secret), { record, until });
  }

  #forgetAfterClockStep(): void {
    if (this.#steps.take() === 0) return;
    this.#memory.clear();
    this.#saltsDueAt = Number.NEGATIVE_INFINITY;
  }

  #memoryKey(accountId: Buffer, secret: Secret): string {
    return keyedHash(this.#processKey, lengthPrefixed(accountId), lengthPrefixed(secret.bytes())).toString(
      'base64url',
    );
  }

  #index(macId: number, salt: Buffer, accountId: Buffer, secret: Secret): string | null {
    return cacheKey(this.#keys, macId, salt, accountId, secret);
  }

  /** Known salts at once, and read again behind the scenes each minute; only the first reading is waited for. */
  async #currentSalts(): Promise<readonly Buffer[]> {
    const now = this.#now();
    if (now >= this.#saltsDueAt) {
      this.#saltsDueAt = now + saltReadMs;
      this.#saltRead = this.#readSalts();
    }
    if (this.#salts.length === 0) await this.#saltRead;
    return this.#salts;
  }

  async #readSalts(): Promise<void> {
    try {
      const reading = currentCacheSalts(this.#database, this.#now(), saltMs);
      this.#salts = await withDeadline(reading, this.#storeMs, 'the store');
    } catch {
      this.#saltsDueAt = this.#now() + saltRetryMs;
    }
  }
}

/** The Redis key of an account and secret under one salt. null: the mac key is gone. */
export function cacheKey(
  keys: KeyRing,
  macId: number,
  salt: Buffer,
  accountId: Buffer,
  secret: Secret,
): string | null {
  const key = keys.derive('mac', macId, indexLabel, salt);
  if (key === null) return null;
  const index = keyedHash(key, lengthPrefixed(accountId), lengthPrefixed(secret.bytes()));
  return `${prefix}${index.toString('base64url')}`;
}
