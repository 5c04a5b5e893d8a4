import { LRUCache } from 'lru-cache';

// requirements 4.3, S-73: the portal must not lock people out of the backend's directory, nor be a faster way to guess.

const quarterMs = 15 * 60_000;
const hourMs = 3_600_000;
/** At the /24 or /48 around a network every number counts eightfold. */
const widerFactor = 8;
/** Wrong answers within the window, from which on the next attempt waits. */
const accountLimit = { windowMs: quarterMs, wrong: 5 };
const networkLimit = { windowMs: hourMs, wrong: 20 };
/** Wrong passwords of one account that reach the backend in an hour, whoever sends them. */
const accountWrongPerHour = 10;
const firstWaitMs = 30_000;
const longestWaitMs = hourMs;
/** Names and networks are chosen by whoever comes: the table stays this small whatever arrives. */
const keysKept = 50_000;

interface Record {
  /** Attempts of the last hour that were wrong or are not answered yet. */
  times: number[];
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
  readonly #now: () => number;
  readonly #accounts = new LRUCache<string, Record>({ max: keysKept });
  readonly #networks = new LRUCache<string, Record>({ max: keysKept });

  constructor(parts: { readonly now: () => number }) {
    this.#now = parts.now;
  }

  /** `networks` null: the peer is a web proxy and says nothing about the person. */
  attempt(
    account: string,
    networks: { readonly own: string; readonly wider: string } | null,
  ): Attempt | { readonly kind: 'throttled'; readonly until: number } {
    const now = this.#now();
    const places = [{ record: recordOf(this.#accounts, account, now), limit: accountLimit }];
    if (networks !== null) {
      const { own, wider } = networks;
      const widerLimit = { ...networkLimit, wrong: networkLimit.wrong * widerFactor };
      places.push({ record: recordOf(this.#networks, own, now), limit: networkLimit });
      places.push({ record: recordOf(this.#networks, wider, now), limit: widerLimit });
    }
    const until = Math.max(...places.map(({ record }) => record.blockedUntil));
    if (until > now) return { kind: 'throttled', until };
    const undo = places.map(({ record, limit }, index) => count(record, limit, now, index === 0));
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
}

function recordOf(table: LRUCache<string, Record>, key: string, now: number): Record {
  const record = table.get(key) ?? { times: [], strikes: 0, blockedUntil: 0 };
  record.times = record.times.filter((time) => time > now - hourMs);
  if (record.times.length === 0) record.strikes = 0;
  table.set(key, record);
  return record;
}

/** Enters an attempt and blocks the next one where a limit is reached. Answers how to take it back. */
function count(record: Record, limit: typeof accountLimit, now: number, isAccount: boolean): () => void {
  const before = { strikes: record.strikes, blockedUntil: record.blockedUntil };
  record.times.push(now);
  const recent = record.times.filter((time) => time > now - limit.windowMs);
  if (recent.length >= limit.wrong) {
    record.blockedUntil = now + Math.min(longestWaitMs, firstWaitMs * 2 ** record.strikes);
    record.strikes += 1;
  }
  const oldest = record.times.at(-accountWrongPerHour);
  if (isAccount && oldest !== undefined) record.blockedUntil = Math.max(record.blockedUntil, oldest + hourMs);
  const after = record.blockedUntil;
  return () => {
    const index = record.times.indexOf(now);
    if (index !== -1) record.times.splice(index, 1);
    if (record.blockedUntil === after) Object.assign(record, before);
  };
}
