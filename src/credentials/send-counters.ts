import { LRUCache } from 'lru-cache';
import { errorText } from '../observability/error-text.ts';
import type { Logger } from '../observability/logger.ts';
import { BucketWindow, bucketsAt, type WindowShape } from './bucket-window.ts';
import type { Clocks } from './clock-steps.ts';
import { withDeadline } from './deadline.ts';
import type { Fence } from './fence.ts';
import type { Redis } from './redis.ts';

// Every process counts what it lets through by itself, and in Redis what all of them let through; both must allow. So Redis
// being down takes nothing away of what this process knows, and one that lies low lets each process have its limit once,
// never more. One that lies high keeps people from sending: 451, told as try again.

export type SendUnit = 'messages' | 'recipients';

/** Why one more is too many. */
export interface SendLimit {
  readonly limit: number;
  readonly per: 'hour' | 'day';
}

/** One message or recipient, counted until it is given back. */
export interface Reservation {
  /** It was not sent after all. Once. Never rejects, and nobody waits for it. */
  release(): void;
}

export type Reserving =
  | { readonly kind: 'reserved'; readonly reservation: Reservation }
  | { readonly kind: 'exceeded'; readonly limit: SendLimit };

const windows: Readonly<Record<SendLimit['per'], WindowShape>> = {
  hour: { bucketMs: 300_000, buckets: 13 },
  day: { bucketMs: 3_600_000, buckets: 25 },
};
const limitsOf: Readonly<
  Record<SendUnit, (fence: Fence) => Readonly<Record<SendLimit['per'], number | null>>>
> = {
  messages: (fence) => ({ hour: fence.messagesPerHour, day: fence.messagesPerDay }),
  recipients: (fence) => ({ hour: fence.recipientsPerHour, day: fence.recipientsPerDay }),
};
const spans = ['hour', 'day'] as const;

const prefix = 'sp:v1:s:';
/** App passwords with a number in their fence that were used lately; some 2 KB each. */
const maxCredentials = 20_000;
const redisMs = 250;
/** After a fault Redis is left alone: a message to 200 people must not wait for it 200 times. */
const restMs = 5_000;

const unlimited: Reserving = { kind: 'reserved', reservation: { release: () => undefined } };

/** What app passwords have sent in the last hour and day, against their fences (S-58). */
export class SendCounters {
  readonly #redis: Redis | null;
  readonly #now: () => number;
  /** What this process counts by: a clock that was set opens and closes nothing. */
  readonly #monotonic: () => number;
  readonly #logger: Logger;
  readonly #own = new LRUCache<string, BucketWindow>({ max: 4 * maxCredentials });
  #restUntil = Number.NEGATIVE_INFINITY;

  constructor(
    parts: Clocks & {
      /** null where one process is all there is. */
      readonly redis: Redis | null;
      readonly logger: Logger;
    },
  ) {
    this.#redis = parts.redis;
    this.#now = parts.now;
    this.#monotonic = parts.monotonic;
    this.#logger = parts.logger;
  }

  /** Counts one more, if it may be. Never rejects. */
  async reserve(credentialId: Buffer, fence: Fence, unit: SendUnit): Promise<Reserving> {
    const limits = spans.flatMap((per) => {
      const limit = limitsOf[unit](fence)[per];
      return limit === null ? [] : [{ per, limit }];
    });
    if (limits.length === 0) return unlimited;
    const at = this.#monotonic();
    const names = limits.map(({ per }) => `${credentialId.toString('base64url')}:${unit[0]}:${per[0]}`);
    const own = limits.map(({ per }, index) => this.#window(names[index] ?? '', per));
    // In one go, with nothing awaited in between: two transactions never both take the last place.
    const exceeded = limits.find(({ limit }, index) => (own[index]?.sum(at) ?? 0) >= limit);
    if (exceeded !== undefined) return { kind: 'exceeded', limit: exceeded };
    for (const window of own) window.add(at, 1);
    const giveBack = () => {
      for (const window of own) window.add(at, -1);
    };

    const time = this.#now();
    const shared = await this.#reserveShared(limits, names, time);
    if (shared !== 'allowed' && shared !== 'unknown') {
      giveBack();
      return { kind: 'exceeded', limit: shared };
    }
    let isReleased = false;
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      giveBack();
      // What is not surely counted is not taken back: a count below the truth would let more through.
      if (shared === 'allowed') void this.#releaseShared(limits, names, time);
    };
    return { kind: 'reserved', reservation: { release } };
  }

  /** Counts first and looks then, so that no two processes both see the last place free. */
  async #reserveShared(
    limits: readonly SendLimit[],
    names: readonly string[],
    at: number,
  ): Promise<SendLimit | 'allowed' | 'unknown'> {
    const now = this.#monotonic();
    if (this.#redis === null || now < this.#restUntil) return 'unknown';
    try {
      const sums = await withDeadline(this.#count(this.#redis, limits, names, at), redisMs, 'Redis');
      const exceeded = limits.find(({ limit }, index) => (sums[index] ?? 0) > limit);
      if (exceeded === undefined) return 'allowed';
      void this.#releaseShared(limits, names, at);
      return exceeded;
    } catch (error) {
      if (now >= this.#restUntil) {
        this.#logger.warn({ detail: errorText(error) }, 'sent messages are counted by this process alone');
      }
      this.#restUntil = now + restMs;
      return 'unknown';
    }
  }

  /** Adds one to each window and answers their sums. */
  async #count(
    redis: Redis,
    limits: readonly SendLimit[],
    names: readonly string[],
    at: number,
  ): Promise<readonly number[]> {
    const transaction = redis.multi();
    for (const [index, { per }] of limits.entries()) {
      const keys = keysOf(names[index] ?? '', per, at);
      transaction.incr(keys[0] ?? '');
      transaction.pexpire(keys[0] ?? '', lifeMs(per));
      transaction.mget(...keys);
    }
    const replies = await transaction.exec();
    if (replies === null) throw new Error('Redis did not execute the transaction');
    const failed = replies.find(([error]) => error !== null);
    if (failed !== undefined) throw new Error(failed[0]?.message);
    return limits.map((_, index) => sumOf(replies[index * 3 + 2]?.[1]));
  }

  async #releaseShared(limits: readonly SendLimit[], names: readonly string[], at: number): Promise<void> {
    try {
      const transaction = this.#redis?.multi();
      for (const [index, { per }] of limits.entries()) {
        const key = keysOf(names[index] ?? '', per, at)[0] ?? '';
        // Where the bucket is gone already this leaves -1, which is read as 0 and goes too.
        transaction?.decr(key);
        transaction?.pexpire(key, lifeMs(per));
      }
      await transaction?.exec();
    } catch {
      // It counts until its window is over.
    }
  }

  #window(name: string, per: SendLimit['per']): BucketWindow {
    const known = this.#own.get(name);
    if (known !== undefined) return known;
    const window = new BucketWindow(windows[per]);
    this.#own.set(name, window);
    return window;
  }
}

function keysOf(name: string, per: SendLimit['per'], at: number): readonly string[] {
  const [credential = '', ...rest] = name.split(':');
  // In braces, so that a cluster keeps the keys of one transaction together.
  return bucketsAt(windows[per], at).map((bucket) => [`${prefix}{${credential}}`, ...rest, bucket].join(':'));
}

function lifeMs(per: SendLimit['per']): number {
  const { bucketMs, buckets } = windows[per];
  return bucketMs * (buckets + 1);
}

function sumOf(values: unknown): number {
  if (!Array.isArray(values)) return 0;
  const counts = values.map((value) => Number(value ?? 0));
  return counts.reduce((sum, count) => sum + (Number.isFinite(count) ? Math.max(0, count) : 0), 0);
}
