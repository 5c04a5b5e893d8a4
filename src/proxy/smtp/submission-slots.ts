/** Fires once after `ms` unless the function it answers is called before. */
export type StartTimer = (ms: number, fire: () => void) => () => void;

/** The right to have a transaction open. */
export interface SubmissionSlot {
  /** More than once does nothing. */
  release(): void;
}

interface Line {
  taken: number;
  /** First come, first served. */
  readonly waiting: Set<() => void>;
}

/** Senders that are over the limit wait this long: a mail program hears nothing of it, and a 451 it would show. */
const waitMs = 10_000;
/** Of one account. Sessions of an account are bounded too; this holds whatever their setting is. */
const maxWaiting = 100;

const startTimer: StartTimer = (ms, fire) => {
  const timer = setTimeout(fire, ms);
  return () => clearTimeout(timer);
};

/** How many transactions an account has open at a time in this process (wire 138). */
export class SubmissionSlots {
  readonly #limit: number;
  readonly #startTimer: StartTimer;
  readonly #lines = new Map<string, Line>();

  constructor(parts: { readonly limit: number; readonly startTimer?: StartTimer }) {
    this.#limit = parts.limit;
    this.#startTimer = parts.startTimer ?? startTimer;
  }

  /** Waits for its turn; null: it did not come in time, or too many wait already. */
  async take(account: string): Promise<SubmissionSlot | null> {
    const line = this.#lines.get(account) ?? { taken: 0, waiting: new Set() };
    this.#lines.set(account, line);
    if (line.taken < this.#limit) {
      line.taken++;
      return this.#slot(account, line);
    }
    if (line.waiting.size >= maxWaiting) return null;
    return await new Promise((resolve) => {
      const serve = () => {
        stop();
        resolve(this.#slot(account, line));
      };
      const stop = this.#startTimer(waitMs, () => {
        line.waiting.delete(serve);
        resolve(null);
      });
      line.waiting.add(serve);
    });
  }

  /** Accounts with a transaction open. */
  get size(): number {
    return this.#lines.size;
  }

  #slot(account: string, line: Line): SubmissionSlot {
    let isReleased = false;
    return {
      release: () => {
        if (isReleased) return;
        isReleased = true;
        const [next] = line.waiting;
        if (next !== undefined) {
          // Handed over and never free in between: nobody who comes now overtakes those who wait.
          line.waiting.delete(next);
          next();
          return;
        }
        line.taken--;
        if (line.taken === 0) this.#lines.delete(account);
      },
    };
  }
}
