import { availableParallelism } from 'node:os';

/** Whose login a hash is computed for: neither an account nor a network may fill the queue (S-21). */
export interface HashPlace {
  readonly account: string;
  readonly network: string;
}

/** requirements 4.3. */
export interface HashQueueLimits {
  /** More than there are cores buys no throughput, only memory and event-loop delay (measured). */
  readonly threads: number;
  readonly waitingPerAccount: number;
  readonly waitingPerNetwork: number;
  readonly waitMs: number;
}

interface Waiting {
  readonly place: HashPlace | null;
  readonly deadline: number;
  readonly timer: NodeJS.Timeout;
  readonly start: () => void;
  readonly giveUp: () => void;
}

/**
 * A bounded pool, first come first served. A login waits rather than being told `unavailable` at once: after a cache loss
 * everybody comes back within minutes.
 */
export class HashQueue {
  readonly #now: () => number;
  readonly #limits: HashQueueLimits;
  readonly #waiting = new Set<Waiting>();
  readonly #perAccount = new Map<string, number>();
  readonly #perNetwork = new Map<string, number>();
  #running = 0;

  constructor(now: () => number, limits: Partial<HashQueueLimits> = {}) {
    this.#now = now;
    this.#limits = {
      threads: availableParallelism(),
      waitingPerAccount: 4,
      waitingPerNetwork: 32,
      waitMs: 30_000,
      ...limits,
    };
  }

  /** The work's outcome, or `busy` when the place is full or the wait was too long. A null place is bound by time alone. */
  async run<T>(place: HashPlace | null, work: () => Promise<T>): Promise<T | 'busy'> {
    if (this.#running >= this.#limits.threads) {
      if (place !== null && this.#isFull(place)) return 'busy';
      if (!(await this.#wait(place))) return 'busy';
    } else {
      this.#running += 1;
    }
    try {
      return await work();
    } finally {
      this.#handOn();
    }
  }

  #isFull(place: HashPlace): boolean {
    return (
      (this.#perAccount.get(place.account) ?? 0) >= this.#limits.waitingPerAccount ||
      (this.#perNetwork.get(place.network) ?? 0) >= this.#limits.waitingPerNetwork
    );
  }

  #wait(place: HashPlace | null): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        place,
        deadline: this.#now() + this.#limits.waitMs,
        timer: setTimeout(() => waiting.giveUp(), this.#limits.waitMs),
        start: () => {
          this.#leave(waiting);
          resolve(true);
        },
        giveUp: () => {
          this.#leave(waiting);
          resolve(false);
        },
      };
      this.#waiting.add(waiting);
      this.#count(place, 1);
    });
  }

  /** The running place passes to the next who still waits. */
  #handOn(): void {
    for (const next of this.#waiting) {
      if (this.#now() <= next.deadline) {
        next.start();
        return;
      }
      next.giveUp();
    }
    this.#running -= 1;
  }

  #leave(waiting: Waiting): void {
    clearTimeout(waiting.timer);
    this.#waiting.delete(waiting);
    this.#count(waiting.place, -1);
  }

  #count(place: HashPlace | null, step: number): void {
    if (place === null) return;
    add(this.#perAccount, place.account, step);
    add(this.#perNetwork, place.network, step);
  }
}

function add(counts: Map<string, number>, key: string, step: number): void {
  const count = (counts.get(key) ?? 0) + step;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
