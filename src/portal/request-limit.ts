import { LRUCache } from 'lru-cache';

const windowMs = 60_000;

/** Counts requests per network in fixed minutes, in a table of fixed size. */
export class RequestLimit {
  readonly #now: () => number;
  readonly #perMinute: number;
  readonly #counts = new LRUCache<string, { minute: number; requests: number }>({ max: 20_000 });

  constructor(parts: { readonly now: () => number; readonly perMinute: number }) {
    this.#now = parts.now;
    this.#perMinute = parts.perMinute;
  }

  /** Counts one request; answers when the next minute begins where there were too many in this one, else null. */
  blockedUntil(network: string): number | null {
    const minute = Math.floor(this.#now() / windowMs);
    const seen = this.#counts.get(network);
    const count = seen?.minute === minute ? seen : { minute, requests: 0 };
    count.requests += 1;
    this.#counts.set(network, count);
    return count.requests > this.#perMinute ? (minute + 1) * windowMs : null;
  }
}
