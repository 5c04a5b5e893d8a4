/** When a backend counts as down, and for how long it is left alone then. */
export interface BreakerLimits {
  /** In a row, with no success of anybody in between. */
  readonly failures: number;
  /** Distinct accounts among them: one client, or one mailbox, closes the door to nobody else (S-52). */
  readonly accounts: number;
  /** Failures further apart than that are not in a row. */
  readonly memoryMs: number;
  readonly pauseMs: number;
  /** The pause doubles up to this while the backend stays down. */
  readonly maxPauseMs: number;
  /** A probe that takes longer does not keep the next from being made. */
  readonly probeMs: number;
}

export const defaultBreakerLimits: BreakerLimits = {
  failures: 5,
  accounts: 3,
  memoryMs: 60_000,
  pauseMs: 5_000,
  maxPauseMs: 30_000,
  probeMs: 5_000,
};

/** `through`: as if there were no breaker. `probe`: it decides for the others. */
export type Admission = 'through' | 'probe' | 'refused';

/** What an admitted attempt showed of the backend. `undecided`: nothing, as when the client left. */
export type Outcome = 'reached' | 'failed' | 'undecided';

type State =
  | {
      readonly name: 'closed';
      readonly failures: number;
      /** No more of them than are needed. */
      readonly accounts: ReadonlySet<string>;
      readonly lastAt: number;
    }
  | { readonly name: 'open'; readonly until: number; readonly pauseMs: number }
  | { readonly name: 'probing'; readonly since: number; readonly pauseMs: number };

const sound: State & { name: 'closed' } = { name: 'closed', failures: 0, accounts: new Set(), lastAt: 0 };

/**
 * Keeps logins from a backend that fails everybody: it answers for it at once, and lets one login at a time through to see
 * whether it is back. Every process has its own. Holds a few names, whatever happens.
 */
export class CircuitBreaker {
  readonly #now: () => number;
  readonly #limits: BreakerLimits;
  #state: State = sound;

  /** `now`: milliseconds of a clock that nobody sets. */
  constructor(now: () => number, limits = defaultBreakerLimits) {
    this.#now = now;
    this.#limits = limits;
  }

  get isOpen(): boolean {
    return this.#state.name !== 'closed';
  }

  /** Every admission but `refused` is to be settled. */
  admit(): Admission {
    const state = this.#state;
    const now = this.#now();
    switch (state.name) {
      case 'closed':
        return 'through';
      case 'open':
        if (now < state.until) return 'refused';
        break;
      case 'probing':
        if (now < state.since + this.#limits.probeMs) return 'refused';
        break;
      default:
        return state satisfies never;
    }
    this.#state = { name: 'probing', since: now, pauseMs: state.pauseMs };
    return 'probe';
  }

  settle(admission: Exclude<Admission, 'refused'>, outcome: Outcome, account: string): void {
    switch (outcome) {
      case 'reached':
        this.#state = sound;
        return;
      case 'failed':
        this.#failed(admission, account);
        return;
      case 'undecided':
        if (admission === 'probe' && this.#state.name === 'probing') {
          this.#state = { name: 'open', until: this.#now(), pauseMs: this.#state.pauseMs };
        }
        return;
      default:
        outcome satisfies never;
    }
  }

  #failed(admission: Exclude<Admission, 'refused'>, account: string): void {
    const state = this.#state;
    const now = this.#now();
    const { failures, accounts, memoryMs, pauseMs, maxPauseMs } = this.#limits;
    if (state.name === 'closed') {
      const before = now - state.lastAt > memoryMs ? sound : state;
      const seen = new Set(before.accounts);
      if (seen.size < accounts) seen.add(account);
      const count = before.failures + 1;
      this.#state =
        count >= failures && seen.size >= accounts
          ? { name: 'open', until: now + pauseMs, pauseMs }
          : { name: 'closed', failures: count, accounts: seen, lastAt: now };
    } else if (admission === 'probe' && state.name === 'probing') {
      const longer = Math.min(state.pauseMs * 2, maxPauseMs);
      this.#state = { name: 'open', until: now + longer, pauseMs: longer };
    }
  }
}
