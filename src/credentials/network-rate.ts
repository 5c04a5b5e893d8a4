import { LRUCache } from 'lru-cache';
import { networkOf, widerNetworkOf } from './network.ts';

export interface RateLimit {
  /** On average. */
  readonly perSecond: number;
  /** At once, after a rest. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  /** Milliseconds of the clock. */
  filledAt: number;
}

const widerFactor = 8;
/** Strangers choose the keys; whoever has more networks than this has a fresh bucket in each anyhow. */
const defaultEntries = 16_384;

/** How often a network may do something, a token bucket for it and one of eight times the size for the network around it. */
export class NetworkRate {
  readonly #limit: RateLimit;
  readonly #now: () => number;
  readonly #own: LRUCache<string, Bucket>;
  readonly #wider: LRUCache<string, Bucket>;

  constructor(parts: RateLimit & { readonly now: () => number; readonly entries?: number }) {
    this.#limit = { perSecond: parts.perSecond, burst: parts.burst };
    this.#now = parts.now;
    const max = parts.entries ?? defaultEntries;
    this.#own = new LRUCache({ max });
    this.#wider = new LRUCache({ max: Math.ceil(max / 4) });
  }

  /** Takes one token of each bucket and answers true, or none and false. */
  take(address: string): boolean {
    const [own, wider] = this.#bucketsOf(address);
    if (own.tokens < 1 || wider.tokens < 1) return false;
    own.tokens -= 1;
    wider.tokens -= 1;
    return true;
  }

  /** Undoes a {@link take} that was not made use of. */
  giveBack(address: string): void {
    for (const bucket of this.#bucketsOf(address)) bucket.tokens += 1;
  }

  /** Networks remembered now, wider ones included. */
  get size(): number {
    return this.#own.size + this.#wider.size;
  }

  #bucketsOf(address: string): readonly [Bucket, Bucket] {
    return [
      this.#filled(this.#own, networkOf(address), 1),
      this.#filled(this.#wider, widerNetworkOf(address), widerFactor),
    ];
  }

  #filled(buckets: LRUCache<string, Bucket>, network: string, factor: number): Bucket {
    const now = this.#now();
    const burst = this.#limit.burst * factor;
    const known = buckets.get(network);
    if (known === undefined) {
      const full = { tokens: burst, filledAt: now };
      buckets.set(network, full);
      return full;
    }
    // A clock that was set back fills nothing and takes nothing.
    const seconds = Math.max(0, now - known.filledAt) / 1_000;
    known.tokens = Math.min(burst, known.tokens + seconds * this.#limit.perSecond * factor);
    known.filledAt = now;
    return known;
  }
}
