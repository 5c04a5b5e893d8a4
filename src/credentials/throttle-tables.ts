import { LRUCache } from 'lru-cache';
import { DistinctWindow } from './distinct-window.ts';
import { widerNetworkOf } from './network.ts';
import type { ThrottleEvent } from './throttle-event.ts';
import type { ThrottleLimits } from './throttle-limits.ts';

export const widerFactor = 8;

/** One count, for the operator's eyes. */
export interface ThrottleEntry {
  /** Of the account's name; null where a network is counted whoever it tries. */
  readonly tag: Buffer | null;
  readonly network: string;
  readonly distinct: number;
  readonly refuseFrom: number;
  /** 0: not refused. */
  readonly refusedUntil: number;
}

export interface ThrottleExemption {
  readonly tag: Buffer;
  readonly network: string;
  readonly until: number;
}

interface Success extends ThrottleExemption {
  until: number;
  toldUntil: number;
}

export interface ThrottleView {
  readonly entries: readonly ThrottleEntry[];
  readonly exempt: readonly ThrottleExemption[];
}

/** null stands for every account, or every network. */
export interface TagFilter {
  readonly tag: Buffer | null;
  readonly network: string | null;
}

interface Count {
  readonly tag: Buffer | null;
  readonly network: string;
  readonly distinct: DistinctWindow;
  /** When the latest different one came, whatever the order in which they are told. */
  newestAt: number;
  refusedUntil: number;
}

type Wrong = ThrottleEvent & { readonly kind: 'wrong' };

/** An operator clears seldom; what is forgotten here is at worst counted again. */
const clearsRemembered = 256;

/**
 * The counts of one process, of fixed size. Applying an event twice, late or out of order gives the same counts, so that
 * events may be read again after a gap.
 */
export class ThrottleTables {
  readonly #limits: ThrottleLimits;
  readonly #pairs: LRUCache<string, Count>;
  readonly #widerPairs: LRUCache<string, Count>;
  readonly #networks: LRUCache<string, Count>;
  readonly #widerNetworks: LRUCache<string, Count>;
  /** Its own table: entries cost a right secret, so strangers cannot push them out. */
  readonly #successes: LRUCache<string, Success>;
  readonly #clears = new LRUCache<string, number>({ max: clearsRemembered });

  constructor(limits: ThrottleLimits) {
    this.#limits = limits;
    const max = limits.entries;
    const widerMax = Math.ceil(max / 4);
    this.#pairs = new LRUCache({ max });
    this.#widerPairs = new LRUCache({ max: widerMax });
    this.#networks = new LRUCache({ max });
    this.#widerNetworks = new LRUCache({ max: widerMax });
    this.#successes = new LRUCache({ max });
  }

  /** Counts a wrong secret. Answers whether any count grew, and those of the account. */
  wrong(
    event: Wrong,
    now: number,
  ): { readonly isNew: boolean; readonly pair: number; readonly wider: number } {
    const { tag, network, seen, former } = event;
    const { refuseFrom, networkRefuseFrom } = this.#limits;
    const at = Math.min(event.at, now);
    const around = widerNetworkOf(addressOf(network));
    const narrow = { value: seen.narrow, former: former?.narrow ?? null, at, now };
    const wide = { value: seen.wide, former: former?.wide ?? null, at, now };
    const counts = [
      this.#count(this.#pairs, tag, network, narrow, refuseFrom),
      this.#count(this.#widerPairs, tag, around, wide, refuseFrom * widerFactor),
      this.#count(this.#networks, null, network, narrow, networkRefuseFrom),
      this.#count(this.#widerNetworks, null, around, wide, networkRefuseFrom * widerFactor),
    ];
    return {
      isNew: counts.some(({ isNew }) => isNew),
      pair: counts[0]?.size ?? 0,
      wider: counts[1]?.size ?? 0,
    };
  }

  /**
   * Exempts the account at this network; what was known before lasts if it lasts longer. Answers whether other nodes are to be
   * told: not at each poll of each client, so that what they know is up to a quarter shorter.
   */
  right({ tag, network, at }: { tag: Buffer; network: string; at: number }, now: number): boolean {
    const { exemptMs } = this.#limits;
    if (at + exemptMs <= now) return false;
    const key = keyOf(tag, network);
    const known = this.#successes.get(key);
    const until = Math.max(known?.until ?? 0, Math.min(at, now) + exemptMs);
    const isDue = until - (known?.toldUntil ?? 0) >= exemptMs / 4;
    this.#successes.set(key, { tag, network, until, toldUntil: isDue ? until : (known?.toldUntil ?? 0) });
    return isDue;
  }

  isExempt(tag: Buffer, network: string, now: number): boolean {
    return (this.#successes.get(keyOf(tag, network))?.until ?? 0) > now;
  }

  /** Milliseconds for which the account is refused at this network; 0 when it may try. */
  refusedForMs(tag: Buffer, network: string, wider: string, now: number): number {
    if (this.isExempt(tag, network, now)) return 0;
    const until = Math.max(
      this.#pairs.get(keyOf(tag, network))?.refusedUntil ?? 0,
      this.#widerPairs.get(keyOf(tag, wider))?.refusedUntil ?? 0,
      this.#networks.get(network)?.refusedUntil ?? 0,
      this.#widerNetworks.get(wider)?.refusedUntil ?? 0,
    );
    return Math.max(0, until - now);
  }

  /** Forgets what was counted up to `at`, here and in events that arrive later. Answers how many counts went. */
  clear(filter: TagFilter, at: number): number {
    for (const network of networksOf(filter)) {
      const key = filterKey({ ...filter, network });
      this.#clears.set(key, Math.max(at, this.#clears.get(key) ?? 0));
    }
    const isMeant = meantBy(filter);
    let gone = 0;
    for (const table of this.#tables()) {
      for (const [entry, count] of table) {
        if (!isMeant(count)) continue;
        count.distinct.forget(Math.floor(at / 1_000));
        if (count.refusedUntil - this.#limits.refuseMs <= at) count.refusedUntil = 0;
        if (count.distinct.size > 0) continue;
        table.delete(entry);
        gone += 1;
      }
    }
    return gone;
  }

  /** What is counted now, refused ones first, at most `most` of each kind. */
  view(filter: TagFilter, now: number, most: number): ThrottleView {
    const isMeant = meantBy(filter);
    const entries: ThrottleEntry[] = [];
    for (const table of this.#tables()) {
      for (const count of table.values()) {
        if (!isMeant(count)) continue;
        count.distinct.forget(Math.floor((now - this.#limits.windowMs) / 1_000));
        if (count.distinct.size === 0 && count.refusedUntil <= now) continue;
        const { tag, network, refusedUntil } = count;
        const refuseFrom = this.#refuseFrom(table);
        const distinct = count.distinct.size;
        entries.push({
          tag,
          network,
          distinct,
          refuseFrom,
          refusedUntil: refusedUntil > now ? refusedUntil : 0,
        });
      }
    }
    entries.sort((left, right) => right.refusedUntil - left.refusedUntil || share(right) - share(left));
    const exempt = [...this.#successes.values()]
      .filter((success) => success.until > now && isMeant(success))
      .map(({ tag, network, until }) => ({ tag, network, until }));
    return { entries: entries.slice(0, most), exempt: exempt.slice(0, most) };
  }

  /**
   * The clock was set by so many milliseconds, and all that is remembered is as old as before. Else a clock set back by hours
   * would refuse people for hours, and until then count nothing of what is tried.
   */
  shift(ms: number): void {
    for (const table of this.#tables()) {
      for (const count of table.values()) {
        count.distinct.shift(Math.round(ms / 1_000));
        count.newestAt += ms;
        if (count.refusedUntil > 0) count.refusedUntil += ms;
      }
    }
    for (const success of this.#successes.values()) {
      success.until += ms;
      success.toldUntil += ms;
    }
    for (const [key, at] of [...this.#clears.entries()].toReversed()) this.#clears.set(key, at + ms);
  }

  /** Entries of all tables, for a test of their bound. */
  get size(): number {
    return this.#tables().reduce((sum, table) => sum + table.size, this.#successes.size);
  }

  #tables(): readonly LRUCache<string, Count>[] {
    return [this.#pairs, this.#widerPairs, this.#networks, this.#widerNetworks];
  }

  #refuseFrom(table: LRUCache<string, Count>): number {
    const { refuseFrom, networkRefuseFrom } = this.#limits;
    if (table === this.#pairs) return refuseFrom;
    if (table === this.#widerPairs) return refuseFrom * widerFactor;
    return table === this.#networks ? networkRefuseFrom : networkRefuseFrom * widerFactor;
  }

  #count(
    table: LRUCache<string, Count>,
    tag: Buffer | null,
    network: string,
    secret: {
      readonly value: number;
      readonly former: number | null;
      readonly at: number;
      readonly now: number;
    },
    refuseFrom: number,
  ): { readonly isNew: boolean; readonly size: number } {
    const { windowMs, refuseMs } = this.#limits;
    const key = tag === null ? network : keyOf(tag, network);
    const count = table.get(key) ?? {
      tag,
      network,
      distinct: new DistinctWindow(refuseFrom),
      newestAt: 0,
      refusedUntil: 0,
    };
    if (this.#wasCleared(tag, network, secret.at)) return { isNew: false, size: count.distinct.size };
    if (secret.former !== null) count.distinct.rename(secret.former, secret.value);
    const before = Math.floor((secret.now - windowMs) / 1_000);
    const isNew = count.distinct.add(secret.value, Math.floor(secret.at / 1_000), before);
    // An old secret repeated does not start another quarter of an hour.
    if (isNew) count.newestAt = Math.max(count.newestAt, secret.at);
    if (isNew && count.distinct.size >= refuseFrom) count.refusedUntil = count.newestAt + refuseMs;
    table.set(key, count);
    return { isNew, size: count.distinct.size };
  }

  /** Whether an operator has cleared this count since. */
  #wasCleared(tag: Buffer | null, network: string, at: number): boolean {
    if (this.#clears.size === 0) return false;
    const filters: TagFilter[] = [
      { tag: null, network: null },
      { tag: null, network },
    ];
    if (tag !== null) filters.push({ tag, network: null }, { tag, network });
    return filters.some((filter) => at <= (this.#clears.get(filterKey(filter)) ?? 0));
  }
}

function share({ distinct, refuseFrom }: ThrottleEntry): number {
  return distinct / refuseFrom;
}

/** An account's filter leaves counts of whole networks alone; a network's takes the wider one and every account there. */
function meantBy(filter: TagFilter) {
  const networks = networksOf(filter);
  return (of: { readonly tag: Buffer | null; readonly network: string }): boolean =>
    (filter.tag === null || of.tag?.equals(filter.tag) === true) &&
    (networks.includes(null) || networks.includes(of.network));
}

/** The network and the wider one around it; null for all. */
function networksOf({ network }: TagFilter): readonly (string | null)[] {
  return network === null ? [null] : [network, widerNetworkOf(addressOf(network))];
}

function filterKey({ tag, network }: TagFilter): string {
  return `${tag?.toString('base64url') ?? ''} ${network ?? ''}`;
}

function keyOf(tag: Buffer, network: string): string {
  return `${tag.toString('base64url')} ${network}`;
}

/** The first address of a network. */
function addressOf(network: string): string {
  const slash = network.indexOf('/');
  return slash === -1 ? network : network.slice(0, slash);
}
