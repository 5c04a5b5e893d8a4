import { createHash } from 'node:crypto';
import { setImmediate as breathe } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type Database, writeEach } from '../store/database.ts';
import { accountIdsOf, addLoginEvents, purgeLoginEvents, trimLoginEvents } from '../store/login-events.ts';
import type { NewLoginEventRow } from '../store/schema.ts';
import { ClockSteps, type Clocks } from './clock-steps.ts';
import { lengthPrefixed } from './derive.ts';
import type { LoginReason } from './login-reason.ts';
import type { Protocol } from './verdict.ts';
import { WriteBehind } from './write-behind.ts';

/** How a login ended. `client` and `detail` are printable already. */
export interface LoginReport {
  readonly protocol: Protocol;
  /** null: logged in. */
  readonly reason: LoginReason | null;
  /** What the reason alone does not tell, such as a backend's code. */
  readonly detail: string | null;
  /** Canonical; null for what no account can be called. */
  readonly account: string | null;
  /** What was typed could be a password in the wrong field (S-91): then it is kept only if an account of ours has the name. */
  readonly mayBePassword: boolean;
  readonly address: string;
  readonly client: string | null;
  readonly mechanism: string;
  /** Which app password it was, where that is known. */
  readonly credentialId: Buffer | null;
}

export interface LoginLogLimits {
  readonly keepMs: number;
  /** Rows of an account: half for logins, half for refusals. */
  readonly perAccount: number;
}

/** A row before it is known whose it is; the address in `account` decides. */
interface Fact extends Omit<NewLoginEventRow, 'account_id' | 'name' | 'id'> {
  readonly account: string | null;
  readonly mayBePassword: boolean;
  readonly day: string;
}

const maxPending = 5_000;
const maxText = 128;
/** Different rows of refusals a day and name; what goes beyond is one row for many addresses, or a botnet fills the disk. */
const refusalsPerDay = 50;
const namesCounted = 2_000;
/** The same for all names together that are no account of ours. */
const unknownPerDay = 200;
/** Rows written for an account before its oldest are looked for, and accounts looked at after one writing. */
const trimAfterRows = 25;
const trimmedAtOnce = 50;
const accountsGrowing = 50_000;
const purgeEveryMs = 3_600_000;
const purgedAtOnce = 1_000;

/**
 * Every login and refusal, written behind: never a reason for a login to wait or fail. What differs in nothing but the time is
 * one row a day, so a client that polls every 15 minutes makes one. Bounded by age, by rows of an account, and for names that
 * are no account by rows in all.
 */
export class LoginLog {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #steps: ClockSteps;
  readonly #limits: LoginLogLimits;
  /** Apart, so that a flood of refusals loses no login. */
  readonly #logins: WriteBehind<Fact>;
  readonly #refusals: WriteBehind<Fact>;
  readonly #rowsOfName = new LRUCache<string, Set<string>>({ max: namesCounted });
  #unknown = { day: '', rows: new Set<string>() };
  /** Rows written since an account was trimmed; of the id null for the names that are none. */
  readonly #grown = new LRUCache<string, { readonly accountId: Buffer | null; rows: number }>({
    max: accountsGrowing,
  });
  readonly #purge: NodeJS.Timeout;

  constructor(
    parts: Clocks & {
      readonly database: Database;
      readonly logger: Logger;
      readonly metrics: Metrics;
      readonly limits: LoginLogLimits;
    },
  ) {
    this.#database = parts.database;
    this.#logger = parts.logger;
    this.#metrics = parts.metrics;
    this.#now = parts.now;
    this.#steps = new ClockSteps(parts);
    this.#limits = parts.limits;
    const behind = {
      now: parts.now,
      write: async (facts: readonly Fact[]) => await this.#write(facts),
      merge: mergeFacts<Fact>,
      onFault: (error: unknown, events: number) =>
        parts.logger.warn({ err: error, events }, 'login log not written'),
      onLost: (events: number) => parts.metrics.loginEventsLost.inc(events),
      maxKeys: maxPending,
    };
    this.#logins = new WriteBehind(behind);
    this.#refusals = new WriteBehind(behind);
    this.#purge = setInterval(() => void this.purge(), purgeEveryMs).unref();
  }

  note(report: LoginReport): void {
    const at = this.#now();
    const fact: Fact = {
      account: report.account,
      mayBePassword: report.mayBePassword,
      day: new Date(at).toISOString().slice(0, 10),
      first_at: at,
      last_at: at,
      times: 1,
      protocol: report.protocol,
      reason: report.reason,
      detail: report.detail?.slice(0, maxText) ?? null,
      address: report.address,
      client: report.client?.slice(0, maxText) ?? null,
      mechanism: report.mechanism.slice(0, maxText),
      credential_id: report.credentialId,
    };
    const bounded = report.reason === null ? fact : this.#bound(fact);
    const behind = report.reason === null ? this.#logins : this.#refusals;
    if (!behind.note(keyOf(bounded), bounded)) this.#metrics.loginEventsLost.inc();
  }

  /** Writes what is left. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.#purge);
    await this.#logins.stop();
    await this.#refusals.stop();
  }

  /** Deletes what is older than is kept; by itself every hour, but not after the clock was set. Never rejects. */
  async purge(): Promise<void> {
    // One that jumped ahead for a while would take the whole log.
    if (this.#steps.take() !== 0) return;
    try {
      const before = this.#now() - this.#limits.keepMs;
      while ((await purgeLoginEvents(this.#database, before, purgedAtOnce)) === purgedAtOnce) await breathe();
    } catch (error) {
      this.#logger.warn({ err: error }, 'old login events not deleted');
    }
  }

  /** One row for many addresses, once a name has had its rows of the day. */
  #bound(fact: Fact): Fact {
    const name = `${fact.day} ${fact.account ?? ''}`;
    const rows = this.#rowsOfName.get(name) ?? new Set();
    this.#rowsOfName.set(name, rows);
    return hasRoom(rows, refusalsPerDay, keyOf(fact)) ? fact : ofMany(fact);
  }

  async #write(facts: readonly Fact[]): Promise<void> {
    const accounts = new Set(facts.flatMap(({ account }) => account ?? []));
    const ids = await accountIdsOf(this.#database, [...accounts]);
    const rows = new Map<string, NewLoginEventRow>();
    for (const each of facts) {
      const accountId = each.account === null ? null : (ids.get(each.account) ?? null);
      const fact = accountId === null ? this.#boundUnknown(each) : each;
      const { account, mayBePassword, day, ...columns } = fact;
      const owner = accountId?.toString('hex') ?? '';
      const key = `${owner} ${keyOf(fact)}`;
      const id = createHash('sha256').update(key).digest().subarray(0, 16);
      const row = { ...columns, id, account_id: accountId, name: accountId === null ? account : null };
      const earlier = rows.get(key);
      rows.set(key, earlier === undefined ? row : mergeFacts(earlier, row));
      const grown = this.#grown.get(owner) ?? { accountId, rows: 0 };
      grown.rows += 1;
      this.#grown.set(owner, grown);
    }
    await addLoginEvents(this.#database, [...rows.values()]);
    await this.#trim();
  }

  /** Names are strangers' text: after so many a day they are counted and not kept. */
  #boundUnknown(fact: Fact): Fact {
    if (this.#unknown.day !== fact.day) this.#unknown = { day: fact.day, rows: new Set() };
    const named = fact.mayBePassword ? { ...fact, account: null } : fact;
    return hasRoom(this.#unknown.rows, unknownPerDay, keyOf(named))
      ? named
      : { ...ofMany(named), account: null };
  }

  /** What was written is written, whatever becomes of this. */
  async #trim(): Promise<void> {
    const keep = Math.ceil(this.#limits.perAccount / 2);
    const grown = [...this.#grown.values()]
      .filter(({ rows }) => rows >= trimAfterRows)
      .slice(0, trimmedAtOnce);
    if (grown.length === 0) return;
    try {
      await writeEach(this.#database, async (to) => {
        for (const { accountId } of grown) await trimLoginEvents(to, accountId, keep);
      });
      for (const each of grown) each.rows = 0;
    } catch (error) {
      this.#logger.warn({ err: error }, 'login log not trimmed');
    }
  }
}

function hasRoom(rows: Set<string>, most: number, key: string): boolean {
  // The texts are strangers', and long where they like: 2,000 names of 50 rows would be 70 MB.
  const short = createHash('sha256').update(key).digest('base64url').slice(0, 12);
  if (rows.has(short)) return true;
  if (rows.size >= most) return false;
  rows.add(short);
  return true;
}

function ofMany(fact: Fact): Fact {
  return { ...fact, address: null, client: null, detail: null, credential_id: null };
}

function mergeFacts<T extends Pick<NewLoginEventRow, 'times' | 'first_at' | 'last_at' | 'mechanism'>>(
  earlier: T,
  later: T,
): T {
  return { ...later, first_at: earlier.first_at, times: earlier.times + later.times };
}

/** What makes a row its own. Not the mechanism: Thunderbird tries three with one password (wire 52). */
function keyOf(fact: Fact): string {
  const { account, day, protocol, reason, detail, address, client, credential_id } = fact;
  const fields = [account, day, protocol, reason, detail, address, client, credential_id?.toString('hex')];
  return Buffer.concat(fields.map((field) => lengthPrefixed(field ?? ''))).toString('latin1');
}
