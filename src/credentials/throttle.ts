import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Secret } from '../secret.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import { DistinctWindow } from './distinct-window.ts';
import type { KeyRing } from './key-file.ts';
import { networkOf, widerNetworkOf } from './network.ts';

// Counts different wrong secrets, so that a stale phone counts once; slows before it refuses; never locks an account: the
// right app password from another network works at once (S-19). Tables are of fixed size, their keys never a typed name.

/** requirements 4.3. At the /24 or /48 every number counts eightfold. */
export interface ThrottleLimits {
  /** Different wrong secrets of an account and network in an hour, from which on replies are delayed. */
  readonly delayFrom: number;
  readonly refuseFrom: number;
  /** Different wrong pairs of account and secret of a network in an hour. */
  readonly networkRefuseFrom: number;
  readonly windowMs: number;
  readonly refuseMs: number;
  /** How long a success exempts its account and network. */
  readonly exemptMs: number;
  /** Entries of each table; a quarter of it for the wider networks. */
  readonly entries: number;
}

/** Who tries: the canonical name as typed, whether it exists or not, and the client's address. */
export interface LoginOrigin {
  readonly account: string;
  readonly address: string;
}

/** What was tried, where it may be remembered at all. */
export interface WrongSecret {
  readonly accountId: Buffer;
  readonly secret: Secret;
}

interface Count {
  readonly distinct: DistinctWindow;
  refusedUntil: number;
}

const label = 'sallyport/v1/throttle';
const widerFactor = 8;
const maxDelaySeconds = 15;
const defaults: ThrottleLimits = {
  delayFrom: 10,
  refuseFrom: 20,
  networkRefuseFrom: 60,
  windowMs: 3_600_000,
  refuseMs: 15 * 60_000,
  exemptMs: 24 * 3_600_000,
  entries: 16_384,
};

/** The throttle of one process (requirements 4.3; S-18, S-19, S-20). */
export class Throttle {
  readonly #keys: KeyRing;
  readonly #now: () => number;
  readonly #limits: ThrottleLimits;
  readonly #pairs: LRUCache<string, Count>;
  readonly #widerPairs: LRUCache<string, Count>;
  readonly #networks: LRUCache<string, Count>;
  readonly #widerNetworks: LRUCache<string, Count>;
  /** Its own table: entries cost a right secret, so strangers cannot push them out. */
  readonly #successes: LRUCache<string, number>;
  readonly #processKey = randomBytes(32);

  constructor(parts: {
    readonly keys: KeyRing;
    readonly now: () => number;
    readonly limits?: Partial<ThrottleLimits>;
  }) {
    this.#keys = parts.keys;
    this.#now = parts.now;
    this.#limits = { ...defaults, ...parts.limits };
    const max = this.#limits.entries;
    const widerMax = Math.ceil(max / 4);
    this.#pairs = new LRUCache({ max });
    this.#widerPairs = new LRUCache({ max: widerMax });
    this.#networks = new LRUCache({ max });
    this.#widerNetworks = new LRUCache({ max: widerMax });
    this.#successes = new LRUCache({ max });
  }

  /** Milliseconds for which this origin is refused; 0 when it may try. */
  refusedForMs(origin: LoginOrigin): number {
    const now = this.#now();
    const keys = this.#tableKeys(origin);
    if (this.#isExempt(keys.pair, now)) return 0;
    const until = Math.max(
      this.#pairs.get(keys.pair)?.refusedUntil ?? 0,
      this.#widerPairs.get(keys.widerPair)?.refusedUntil ?? 0,
      this.#networks.get(keys.network)?.refusedUntil ?? 0,
      this.#widerNetworks.get(keys.wider)?.refusedUntil ?? 0,
    );
    return Math.max(0, until - now);
  }

  /**
   * Counts a wrong secret and answers how long its reply is to be delayed. null stands for a secret without the shape of
   * an app password: all of them count as one, for nothing derived from a main password is kept (S-15).
   */
  wrong(origin: LoginOrigin, tried: WrongSecret | null): number {
    const now = this.#now();
    const { delayFrom, refuseFrom, networkRefuseFrom } = this.#limits;
    const keys = this.#tableKeys(origin);
    const narrow = this.#fingerprint(origin.account, keys.network, tried, now);
    const wide = this.#fingerprint(origin.account, keys.wider, tried, now);
    const pair = this.#count(this.#pairs, keys.pair, narrow, refuseFrom, now);
    const widerPair = this.#count(this.#widerPairs, keys.widerPair, wide, refuseFrom * widerFactor, now);
    this.#count(this.#networks, keys.network, narrow, networkRefuseFrom, now);
    this.#count(this.#widerNetworks, keys.wider, wide, networkRefuseFrom * widerFactor, now);
    if (this.#isExempt(keys.pair, now)) return 0;
    const over = Math.max(pair, Math.floor(widerPair / widerFactor)) - delayFrom;
    return over < 0 ? 0 : Math.min(maxDelaySeconds, 2 ** over) * 1_000;
  }

  /** A success exempts the account at this network, never the network: else one's own login frees a botnet (S-20). */
  right(origin: LoginOrigin): void {
    this.#successes.set(this.#tableKeys(origin).pair, this.#now());
  }

  /** Entries of all tables, for a test of their bound. */
  get size(): number {
    return (
      this.#pairs.size +
      this.#widerPairs.size +
      this.#networks.size +
      this.#widerNetworks.size +
      this.#successes.size
    );
  }

  #isExempt(pair: string, now: number): boolean {
    const at = this.#successes.get(pair);
    return at !== undefined && now - at < this.#limits.exemptMs;
  }

  #count(
    table: LRUCache<string, Count>,
    key: string,
    fingerprint: number,
    refuseFrom: number,
    now: number,
  ): number {
    const count = table.get(key) ?? { distinct: new DistinctWindow(refuseFrom), refusedUntil: 0 };
    const seconds = Math.floor(now / 1_000);
    const isNew = count.distinct.add(fingerprint, seconds, this.#limits.windowMs / 1_000);
    // An old secret repeated does not start another quarter of an hour.
    if (isNew && count.distinct.size >= refuseFrom) count.refusedUntil = now + this.#limits.refuseMs;
    table.set(key, count);
    return count.distinct.size;
  }

  #fingerprint(account: string, network: string, tried: WrongSecret | null, now: number): number {
    if (tried === null) return keyedHash(this.#processKey, lengthPrefixed(account)).readUInt32BE(0);
    return throttleFingerprint(this.#keys, now, tried.accountId, network, tried.secret);
  }

  /** Of one length whatever was typed. */
  #tableKeys({ account, address }: LoginOrigin) {
    const network = networkOf(address);
    const wider = widerNetworkOf(address);
    return {
      network,
      wider,
      pair: this.#pairKey(account, network),
      widerPair: this.#pairKey(account, wider),
    };
  }

  #pairKey(account: string, network: string): string {
    const hash = keyedHash(this.#processKey, lengthPrefixed(account), lengthPrefixed(network));
    return hash.toString('base64url', 0, 16);
  }
}

/** 32 bits that tell wrong secrets apart for a day and confirm none (requirements 3.5). */
export function throttleFingerprint(
  keys: KeyRing,
  now: number,
  accountId: Buffer,
  network: string,
  secret: Secret,
): number {
  const key = keys.derive('mac', keys.activeId('mac'), label);
  if (key === null) throw new Error('the active mac key cannot be derived');
  const date = new Date(now).toISOString().slice(0, 10);
  return keyedHash(
    key,
    lengthPrefixed(date),
    lengthPrefixed(accountId),
    lengthPrefixed(network),
    lengthPrefixed(secret.bytes()),
  ).readUInt32BE(0);
}
