import type { Secret } from '../secret.ts';
import { ClockSteps, type Clocks } from './clock-steps.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { networkOf, widerNetworkOf } from './network.ts';
import { type Fingerprints, type ThrottleEvent, tagBytes } from './throttle-event.ts';
import { defaultThrottleLimits, type ThrottleLimits } from './throttle-limits.ts';
import { type TagFilter, ThrottleTables, type ThrottleView, widerFactor } from './throttle-tables.ts';

export type { ThrottleLimits, ThrottleView };

// Counts different wrong secrets, so that a stale phone counts once; slows before it refuses; never locks an account: the
// right app password from another network works at once (S-19). Tables are of fixed size, their keys never a typed name.

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

/** How nodes share what they count. Nobody waits for it: without it, each counts alone. */
export interface ThrottleExchange {
  /** Tells the other nodes, soon and not surely. */
  send(event: ThrottleEvent): void;
  /** Calls back for every event of any node, perhaps several times and out of order. */
  receive(onEvent: (event: ThrottleEvent) => void): void;
}

/** A canonical name and an address or network; null stands for all. */
export interface ThrottleFilter {
  readonly account: string | null;
  readonly network: string | null;
}

const label = 'sallyport/v1/throttle';
const tagLabel = 'sallyport/v1/throttle/account';
const viewEntries = 1_000;
/** A node whose clock is further ahead says nothing that can be counted. */
const clockMs = 60_000;

/**
 * The throttle (requirements 4.3; S-18, S-19, S-20). It counts in this process and asks nobody: what other nodes count arrives
 * by the exchange and is added. So a Redis that is slow, down, flushed or lying delays no login, lifts no refusal and, as
 * events are sealed, makes none.
 */
export class Throttle {
  readonly #keys: KeyRing;
  readonly #clock: () => number;
  readonly #steps: ClockSteps;
  readonly #limits: ThrottleLimits;
  readonly #tables: ThrottleTables;
  readonly #exchange: ThrottleExchange | null;

  constructor(
    parts: Clocks & {
      readonly keys: KeyRing;
      readonly limits?: Partial<ThrottleLimits>;
      readonly exchange?: ThrottleExchange | null;
    },
  ) {
    this.#keys = parts.keys;
    this.#clock = parts.now;
    this.#steps = new ClockSteps(parts);
    this.#limits = { ...defaultThrottleLimits, ...parts.limits };
    this.#tables = new ThrottleTables(this.#limits);
    this.#exchange = parts.exchange ?? null;
    this.#exchange?.receive((event) => this.apply(event));
  }

  /** Milliseconds for which this origin is refused; 0 when it may try. */
  refusedForMs({ account, address }: LoginOrigin): number {
    const now = this.#now();
    return this.#tables.refusedForMs(this.#tag(account), networkOf(address), widerNetworkOf(address), now);
  }

  /**
   * Counts a wrong secret and answers how long its reply is to be delayed. null stands for a secret without the shape of
   * an app password: all of them count as one, for nothing derived from a main password is kept (S-15).
   */
  wrong(origin: LoginOrigin, tried: WrongSecret | null): number {
    const now = this.#now();
    const tag = this.#tag(origin.account);
    const network = networkOf(origin.address);
    const event = {
      kind: 'wrong',
      at: now,
      tag,
      network,
      ...this.#fingerprints(origin, tried, now),
    } as const;
    const counted = this.#tables.wrong(event, now);
    if (counted.isNew) this.#exchange?.send(event);
    if (this.#tables.isExempt(tag, network, now)) return 0;
    const over = Math.max(counted.pair, Math.floor(counted.wider / widerFactor)) - this.#limits.delayFrom;
    return over < 0 ? 0 : Math.min(this.#limits.maxDelayMs, 2 ** over * 1_000);
  }

  /** A success exempts the account at this network, never the network: else one's own login frees a botnet (S-20). */
  right({ account, address }: LoginOrigin): void {
    const now = this.#now();
    const event = { kind: 'right', at: now, tag: this.#tag(account), network: networkOf(address) } as const;
    if (this.#tables.right(event, now)) this.#exchange?.send(event);
  }

  /** What is counted now, here and at the other nodes, refused ones first; at most 1,000 entries. */
  view(filter: ThrottleFilter): ThrottleView {
    return this.#tables.view(this.#tagFilter(filter), this.#now(), viewEntries);
  }

  /** Forgets what was counted so far, at every node. Answers how many counts that were here. */
  clear(filter: ThrottleFilter): number {
    const at = this.#now();
    const tagFilter = this.#tagFilter(filter);
    this.#exchange?.send({ kind: 'clear', at, ...tagFilter });
    return this.#tables.clear(tagFilter, at);
  }

  /** Takes in what another node counted. */
  apply(event: ThrottleEvent): void {
    const now = this.#now();
    if (event.at > now + clockMs) return;
    const at = Math.min(event.at, now);
    switch (event.kind) {
      case 'wrong':
        if (at > now - this.#limits.windowMs) this.#tables.wrong({ ...event, at }, now);
        return;
      case 'right':
        this.#tables.right({ ...event, at }, now);
        return;
      case 'clear':
        this.#tables.clear(event, at);
        return;
      default:
        event satisfies never;
    }
  }

  /** Entries of all tables, for a test of their bound. */
  get size(): number {
    return this.#tables.size;
  }

  #now(): number {
    const step = this.#steps.take();
    if (step !== 0) this.#tables.shift(step);
    return this.#clock();
  }

  #tagFilter({ account, network }: ThrottleFilter): TagFilter {
    return {
      tag: account === null ? null : this.#tag(account),
      network: network === null ? null : networkOf(network.replace(/\/\d+$/, '')),
    };
  }

  /** Of one length whatever was typed. */
  #tag(account: string): Buffer {
    return throttleTag(this.#keys, account);
  }

  #fingerprints(
    { account, address }: LoginOrigin,
    tried: WrongSecret | null,
    now: number,
  ): { readonly seen: Fingerprints; readonly former: Fingerprints | null } {
    if (tried === null) {
      const value = keyedHash(
        macKey(this.#keys, label),
        lengthPrefixed('not an app password'),
        lengthPrefixed(account),
      ).readUInt32BE(0);
      return { seen: { narrow: value, wide: value }, former: null };
    }
    const { accountId, secret } = tried;
    const at = (time: number): Fingerprints => ({
      narrow: throttleFingerprint(this.#keys, time, accountId, networkOf(address), secret),
      wide: throttleFingerprint(this.#keys, time, accountId, widerNetworkOf(address), secret),
    });
    const before = now - this.#limits.windowMs;
    // Across midnight a stale phone is to count once all the same.
    return { seen: at(now), former: dayOf(before) === dayOf(now) ? null : at(before) };
  }
}

/** What a canonical name is called in events and views. */
export function throttleTag(keys: KeyRing, account: string): Buffer {
  return keyedHash(macKey(keys, tagLabel), lengthPrefixed(account)).subarray(0, tagBytes);
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function macKey(keys: KeyRing, keyLabel: string): Buffer {
  const key = keys.derive('mac', keys.activeId('mac'), keyLabel);
  if (key === null) throw new Error('the active mac key cannot be derived');
  return key;
}

/** 32 bits that tell wrong secrets apart for a day and confirm none (requirements 3.5). */
export function throttleFingerprint(
  keys: KeyRing,
  now: number,
  accountId: Buffer,
  network: string,
  secret: Secret,
): number {
  return keyedHash(
    macKey(keys, label),
    lengthPrefixed(dayOf(now)),
    lengthPrefixed(accountId),
    lengthPrefixed(network),
    lengthPrefixed(secret.bytes()),
  ).readUInt32BE(0);
}
