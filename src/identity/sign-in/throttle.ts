import { LRUCache } from 'lru-cache';
import { ClockSteps, type Clocks } from '../../credentials/clock-steps.ts';

// requirements 4.3, S-73: the portal must not lock people out of the backend's directory, nor be a faster way to guess.

const quarterMs = 15 * 60_000;
const hourMs = 3_600_000;
/** At the /24 or /48 around a network every number counts eightfold. */
const widerFactor = 8;

export interface SignInLimits {
  /** Wrong answers of an account in 15 minutes, from which on the next attempt waits. */
  readonly accountWrong: number;
  /** The same of a network in an hour. */
  readonly networkWrong: number;
  /** Wrong passwords of one account that reach the backend in an hour, whoever sends them. */
  readonly backendWrong: number;
}

export const defaultSignInLimits: SignInLimits = { accountWrong: 5, networkWrong: 20, backendWrong: 10 };

interface Limit {
  readonly windowMs: number;
  readonly wrong: number;
}
const firstWaitMs = 30_000;
const longestWaitMs = hourMs;
/** Names and networks are chosen by whoever comes: the table stays this small whatever arrives. */
const keysKept = 50_000;

interface Record {
  /** Attempts of the last hour that were wrong or are not answered yet. */
  times: { at: number }[];
  strikes: number;
  blockedUntil: number;
}

/** An attempt let through. Counts as wrong from the start, so that parallel attempts cannot all pass. */
export interface Attempt {
  readonly kind: 'allowed';
  /** It was right: the account starts anew. */
  succeeded(): void;
  /** Nobody could tell: as if it had not been made. */
  undecided(): void;
}

/** Counts sign-ins in this process, in a table of fixed size. Nothing here ever locks an account for mail. */
export class SignInThrottle {
  readonly #clock: () => number;
  readonly #steps: ClockSteps;
  readonly #limits: SignInLimits;
  readonly #accounts = new LRUCache<string, Record>({ max: keysKept });
  readonly #networks = new LRUCache<string, Record>({ max: keysKept });

  constructor(parts: Clocks & { readonly limits?: Partial<SignInLimits> }) {
    this.#clock = parts.now;
    this.#steps = new ClockSteps(parts);
    this.#limits = { ...defaultSignInLimits, ...parts.limits };
  }

  /** `networks` null: the peer is a web proxy and says nothing about the person. */
  attempt(
    account: string,
    networks: { readonly own: string; readonly wider: string } | null,
  ): Attempt | { readonly kind: 'throttled'; readonly until: number } {
    const now = this.#now();
    const { accountWrong, networkWrong, backendWrong } = this.#limits;
    const ofAccount = { windowMs: quarterMs, wrong: accountWrong };
    const places = [{ record: recordOf(this.#accounts, account, now), limit: ofAccount }];
    if (networks !== null) {
      const { own, wider } = networks;
      const limit = { windowMs: hourMs, wrong: networkWrong };
      const around = { windowMs: hourMs, wrong: networkWrong * widerFactor };
      places.push({ record: recordOf(this.#networks, own, now), limit });
      places.push({ record: recordOf(this.#networks, wider, now), limit: around });
    }
    const until = Math.max(...places.map(({ record }) => record.blockedUntil));
    if (until > now) return { kind: 'throttled', until };
    const undo = places.map(({ record, limit }, index) =>
      count(record, limit, now, index === 0 ? backendWrong : null),
    );
    return {
      kind: 'allowed',
      succeeded: () => {
        this.#accounts.delete(account);
        for (const back of undo) back();
      },
      undecided: () => {
        for (const back of undo) back();
      },
    };
  }

  /** After the clock was set all is as old as before: set back by hours it must keep nobody out for hours. */
  #now(): number {
    const step = this.#steps.take();
    if (step !== 0) {
      for (const record of [...this.#accounts.values(), ...this.#networks.values()]) {
        for (const time of record.times) time.at += step;
        if (record.blockedUntil > 0) record.blockedUntil += step;
      }
    }
    return this.#clock();
  }
}

function recordOf(table: LRUCache<string, Record>, key: string, now: number): Record {
  const record = table.get(key) ?? { times: [], strikes: 0, blockedUntil: 0 };
  record.times = record.times.filter(({ at }) => at > now - hourMs);
  if (record.times.length === 0) record.strikes = 0;
  table.set(key, record);
  return record;
}

/** Enters an attempt and blocks the next one where a limit is reached. Answers how to take it back. */
function count(record: Record, limit: Limit, now: number, mostPerHour: number | null): () => void {
  const before = { strikes: record.strikes, blockedUntil: record.blockedUntil };
  const own = { at: now };
  record.times.push(own);
  const recent = record.times.filter(({ at }) => at > now - limit.windowMs);
  if (recent.length >= limit.wrong) {
    record.blockedUntil = now + Math.min(longestWaitMs, firstWaitMs * 2 ** record.strikes);
    record.strikes += 1;
  }
  const oldest = mostPerHour === null ? undefined : record.times.at(-mostPerHour);
  if (oldest !== undefined) record.blockedUntil = Math.max(record.blockedUntil, oldest.at + hourMs);
  const after = record.blockedUntil;
  return () => {
    const index = record.times.indexOf(own);
    if (index !== -1) record.times.splice(index, 1);
    if (record.blockedUntil === after) Object.assign(record, before);
  };
}
