import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Database } from '../store/database.ts';
import { isRestore, purgeRevocations, revocationStart, revocationsFrom } from '../store/revocations.ts';
import type { RevocationRow } from '../store/schema.ts';
import { type Clocks, toleratedStepMs } from './clock-steps.ts';
import { withDeadline } from './deadline.ts';
import type { HighWater } from './high-water.ts';

// What is revoked comes from SQL only, held in memory: a Redis writer who restores a dumped cache record finds it void
// here, and one who publishes causes at most a read (S-26, S-30).

/** Something was revoked; without a credential everything of the account ends. */
export interface Revoked {
  readonly credentialId: Buffer | null;
  readonly accountId: Buffer;
  readonly reason: string;
}

/** Tells other processes that the feed has grown. It carries no authority: they read the feed. */
export interface RevocationNudge {
  publish(seq: number): Promise<void>;
  subscribe(onNudge: (seq: number) => void): void;
}

const defaultPollMs = 2_000;
const readMs = 5_000;
const batch = 1_000;
/** Kept beyond the life of the oldest cached record, for clocks that differ (requirements 3.4). */
const graceMs = 5 * 60_000;
/**
 * How long entries are kept: far beyond any cached record, for a gateway that was cut off and still has sessions open. One
 * that misses the last entry it has read lets nobody in until it is started anew, and so has no session left.
 */
const keepMs = 30 * 86_400_000;
const purgeEveryMs = 3_600_000;
/** S-55: half a minute of blindness is an incident, a slow poll is not. */
const alarmMs = 10_000;

/** The revocation window: what was revoked lately, kept current from the feed in SQL (S-26, S-54, S-55). */
export class RevocationFeed {
  readonly #database: Database;
  readonly #now: () => number;
  /** Measures age: a clock that was set makes nothing older or younger. */
  readonly #monotonic: () => number;
  readonly #windowMs: number;
  readonly #maxStalenessMs: number;
  readonly #pollMs: number;
  readonly #metrics: Metrics;
  readonly #logger: Logger | null;
  readonly #nudge: RevocationNudge | null;
  readonly #highWater: Pick<HighWater, 'note' | 'save'> | null;
  readonly #listeners: ((entry: Revoked) => void)[] = [];
  /** Highest feed number by hexadecimal id; credentials and accounts never share one. */
  readonly #latest = new Map<string, { readonly seq: number; readonly learnedAt: number }>();
  #seq = -1;
  #nudgedSeq = -1;
  #readAt = Number.NEGATIVE_INFINITY;
  /** By the time of day. */
  #readAtTime = Number.NEGATIVE_INFINITY;
  #startedAt: number;
  #isAlarmed = false;
  /** The entry that bears the number read last; null before there was one. */
  #last: RevocationRow | null = null;
  /** The database went back behind what was read here: a backup or a standby that lags took its place. */
  #isBehind = false;
  #purgeDueAt: number;
  #reading: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  /** `windowMs` is the longest life of a cached record. */
  constructor(
    parts: Clocks & {
      readonly database: Database;
      readonly windowMs: number;
      readonly maxStalenessMs: number;
      readonly metrics: Metrics;
      readonly logger?: Logger;
      readonly nudge?: RevocationNudge;
      readonly pollMs?: number;
      /** Remembers outside SQL how far the feed has come (S-35). */
      readonly highWater?: Pick<HighWater, 'note' | 'save'>;
    },
  ) {
    this.#database = parts.database;
    this.#now = parts.now;
    this.#monotonic = parts.monotonic;
    this.#windowMs = parts.windowMs + graceMs;
    this.#maxStalenessMs = parts.maxStalenessMs;
    this.#pollMs = parts.pollMs ?? defaultPollMs;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger ?? null;
    this.#nudge = parts.nudge ?? null;
    this.#highWater = parts.highWater ?? null;
    this.#startedAt = parts.monotonic();
    this.#purgeDueAt = this.#startedAt + purgeEveryMs;
  }

  /** Reads the feed, then polls it every 2 s. Never rejects: with the store down it stays unread and goes on trying. */
  async start(): Promise<void> {
    this.#startedAt = this.#monotonic();
    this.#nudge?.subscribe((seq) => this.#onNudge(seq));
    await this.poll();
    this.#timer = setInterval(() => void this.poll(), this.#pollMs);
    this.#timer.unref();
  }

  /** Called once for each new entry, in order, also for entries found at the start. */
  onRevoked(listener: (entry: Revoked) => void): void {
    this.#listeners.push(listener);
  }

  /** Reads what is new. Calls during a read share one more read. Never rejects. */
  poll(): Promise<void> {
    if (this.#reading !== null) {
      this.#next ??= this.#reading.then(() => {
        this.#next = null;
        return this.poll();
      });
      return this.#next;
    }
    this.#reading = this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  /**
   * After a revocation was committed here: reads it at once, nudges the other processes, and settles when the high-water
   * mark stands, so that whoever is told of the revocation can rely on it. Never rejects.
   */
  async announce(): Promise<void> {
    await this.poll();
    await Promise.all([
      this.#nudge?.publish(this.#seq).catch(() => undefined),
      this.#seq > 0 ? this.#highWater?.save(this.#seq) : undefined,
    ]);
  }

  /** Whether something was revoked after the moment the number stands for. */
  voids(credentialId: Buffer, accountId: Buffer, feedSeq: number): boolean {
    const credential = this.#latest.get(credentialId.toString('hex'))?.seq ?? -1;
    const account = this.#latest.get(accountId.toString('hex'))?.seq ?? -1;
    return credential > feedSeq || account > feedSeq;
  }

  /**
   * Number of the last entry read; -1 before the first read, when nobody may log in (S-26), and while the database is one
   * of before that entry (S-35).
   */
  get seq(): number {
    return this.#isBehind ? -1 : this.#seq;
  }

  /** Whether cached records may be accepted: the feed was read, and not too long ago by either clock (S-55). */
  isCurrent(): boolean {
    if (this.seq < 0) return false;
    const sinceRead = this.#now() - this.#readAtTime;
    // After a step back records count again whose revocations were read over: not before the next read (S-27).
    if (sinceRead < -toleratedStepMs) return false;
    return Math.max(sinceRead, this.#monotonic() - this.#readAt) <= this.#maxStalenessMs;
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#reading;
  }

  /** A replayed nudge names a number that is known, or was asked for already: it costs nothing. */
  #onNudge(seq: number): void {
    if (seq <= Math.max(this.#seq, this.#nudgedSeq)) return;
    this.#nudgedSeq = seq;
    void this.poll();
  }

  async #read(): Promise<void> {
    try {
      await withDeadline(this.#readNew(), readMs, 'the revocation feed');
    } catch (error) {
      this.#logger?.warn({ err: error }, 'revocation feed not read');
    }
    const staleMs = this.#monotonic() - Math.max(this.#readAt, this.#startedAt);
    this.#metrics.revocationStaleness.set(Math.max(0, staleMs) / 1_000);
    if (staleMs >= alarmMs && !this.#isAlarmed) {
      this.#logger?.error({ staleMs }, 'revocations are not known for 10 s');
    }
    this.#isAlarmed = staleMs >= alarmMs;
    await this.#purge().catch((error: unknown) => {
      this.#logger?.warn({ err: error }, 'old revocations not deleted');
    });
  }

  async #readNew(): Promise<void> {
    const at = this.#monotonic();
    const time = this.#now();
    if (this.#seq >= 0 && time - this.#readAtTime < -toleratedStepMs) await this.#readAgain(time, at);
    let last = this.#last;
    let from = this.#seq >= 0 ? this.#seq : await revocationStart(this.#database, time - this.#windowMs);
    for (;;) {
      // From the last one on, which must still be there.
      const rows = await revocationsFrom(this.#database, from, batch);
      this.#compare(last, rows[0]);
      if (this.#isBehind) return;
      for (const row of rows) if (row.seq > Math.max(this.#seq, from)) this.#enter(row, at);
      last = rows.at(-1) ?? last;
      from = last?.seq ?? from;
      // Not before the last entry is in: half a window would accept what the other half voids.
      if (rows.length < batch) break;
    }
    if (from > Math.max(this.#seq, 0)) this.#highWater?.note(from);
    // A read that was given up on may end after its successor.
    if (from >= this.#seq) this.#last = last;
    this.#seq = Math.max(this.#seq, from);
    this.#readAt = Math.max(this.#readAt, at);
    this.#readAtTime = time;
    this.#forget(at);
  }

  /** A start by a clock that was ahead has read over what was not old at all. Nobody is told of it twice. */
  async #readAgain(time: number, at: number): Promise<void> {
    let from = await revocationStart(this.#database, time - this.#windowMs);
    while (from < this.#seq) {
      const rows = await revocationsFrom(this.#database, from + 1, batch);
      for (const row of rows) if (row.seq <= this.#seq) this.#remember(row, at);
      from = rows.at(-1)?.seq ?? this.#seq;
    }
  }

  /** The database is the one that `last` was read from, or one that was told of its restore. */
  #compare(last: RevocationRow | null, first: RevocationRow | undefined): void {
    const goesOn = last === null || (first !== undefined && (isSame(first, last) || isRestore(first)));
    if (!goesOn && !this.#isBehind) {
      this.#logger?.error(
        { event: 'database-went-back', seq: last.seq },
        'the database lacks what this gateway has read from it, as after a restore: nobody is let in. ' +
          'Stop every gateway, run `sallyport migrate --after-restore`, start them',
      );
    }
    this.#isBehind = !goesOn;
  }

  /** Not more than a batch at a time; what is left is due at the next poll. */
  async #purge(): Promise<void> {
    const at = this.#monotonic();
    if (at < this.#purgeDueAt || this.#isBehind) return;
    this.#purgeDueAt = at + purgeEveryMs;
    const purged = await purgeRevocations(this.#database, { now: this.#now(), keepMs, limit: batch });
    if (purged === batch) this.#purgeDueAt = at;
  }

  #enter(row: RevocationRow, at: number): void {
    this.#remember(row, at);
    const entry = { credentialId: row.credential_id, accountId: row.account_id, reason: row.reason };
    for (const listener of this.#listeners) {
      try {
        listener(entry);
      } catch (error) {
        // The other sessions must end all the same.
        this.#logger?.error({ err: error }, 'a revocation listener failed');
      }
    }
  }

  #remember(row: RevocationRow, at: number): void {
    const id = (row.credential_id ?? row.account_id).toString('hex');
    const seq = Math.max(row.seq, this.#latest.get(id)?.seq ?? 0);
    this.#latest.delete(id);
    this.#latest.set(id, { seq, learnedAt: at });
  }

  /** The map is in order of learning. */
  #forget(at: number): void {
    for (const [id, { learnedAt }] of this.#latest) {
      if (at - learnedAt <= this.#windowMs) return;
      this.#latest.delete(id);
    }
  }
}

/** A number may come twice, after a restore; never with the same entry. */
function isSame(row: RevocationRow, other: RevocationRow): boolean {
  return (
    row.seq === other.seq &&
    row.at === other.at &&
    row.account_id.equals(other.account_id) &&
    (row.credential_id?.equals(other.credential_id ?? nothing) ?? other.credential_id === null)
  );
}

const nothing = Buffer.alloc(0);
