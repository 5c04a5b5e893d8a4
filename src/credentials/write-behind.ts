const tickMs = 1_000;
/** A statement of so many rows keeps the embedded engine, and so this process, for a few milliseconds. */
const mostAtOnce = 200;

/**
 * Facts that are written after the login they come from and never delay one: each key within a second, then at most once a
 * minute, what came in between merged into one. Bounded: strangers make keys.
 */
export class WriteBehind<T> {
  readonly #now: () => number;
  readonly #write: (facts: readonly T[]) => Promise<void>;
  readonly #merge: (earlier: T, later: T) => T;
  readonly #onFault: (error: unknown, facts: number) => void;
  readonly #onLost: (facts: number) => void;
  readonly #everyMs: number;
  readonly #maxKeys: number;
  readonly #pending = new Map<string, T>();
  readonly #writtenAt = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<boolean> | null = null;

  constructor(parts: {
    readonly now: () => number;
    /** Never two at a time, and no key twice in one call. */
    readonly write: (facts: readonly T[]) => Promise<void>;
    readonly merge: (earlier: T, later: T) => T;
    readonly onFault: (error: unknown, facts: number) => void;
    /** Told of facts that could not be written and for which there is no room any more. */
    readonly onLost?: (facts: number) => void;
    readonly maxKeys: number;
    readonly everyMs?: number;
  }) {
    this.#now = parts.now;
    this.#write = parts.write;
    this.#merge = parts.merge;
    this.#onFault = parts.onFault;
    this.#onLost = parts.onLost ?? (() => undefined);
    this.#everyMs = parts.everyMs ?? 60_000;
    this.#maxKeys = parts.maxKeys;
  }

  /** False when there is no room: the fact is lost. */
  note(key: string, fact: T): boolean {
    const earlier = this.#pending.get(key);
    if (earlier === undefined && this.#pending.size >= this.#maxKeys) return false;
    this.#pending.set(key, earlier === undefined ? fact : this.#merge(earlier, fact));
    this.#timer ??= setTimeout(() => void this.#tick(), tickMs).unref();
    return true;
  }

  /** Writes what is left, whatever the minute. Never rejects. */
  async stop(): Promise<void> {
    await this.#writing;
    // Not before: what is being written starts the next one when it fails, and the database would be closed by then.
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    let isTaken = true;
    while (isTaken && this.#pending.size > 0) {
      isTaken = await this.#writeSome([...this.#pending.keys()].slice(0, mostAtOnce));
    }
  }

  async #tick(): Promise<void> {
    const now = this.#now();
    for (const [key, at] of this.#writtenAt) {
      // Written in the future: the clock was set back since.
      if (now - at >= this.#everyMs || at > now) this.#writtenAt.delete(key);
    }
    const due: string[] = [];
    for (const key of this.#pending.keys()) {
      if (this.#writtenAt.has(key)) continue;
      // As bounded as what waits: else a minute's worth of strangers' keys is held here.
      if (this.#writtenAt.size < this.#maxKeys) this.#writtenAt.set(key, now);
      due.push(key);
      if (due.length === mostAtOnce) break;
    }
    this.#writing = this.#writeSome(due);
    await this.#writing;
    this.#writing = null;
    // Only now: a database that hangs must not gather ticks.
    this.#timer = this.#pending.size > 0 ? setTimeout(() => void this.#tick(), tickMs).unref() : null;
  }

  async #writeSome(keys: readonly string[]): Promise<boolean> {
    const facts = new Map<string, T>();
    for (const key of keys) {
      const fact = this.#pending.get(key);
      if (fact !== undefined) facts.set(key, fact);
      this.#pending.delete(key);
    }
    if (facts.size === 0) return true;
    try {
      await this.#write([...facts.values()]);
      return true;
    } catch (error) {
      this.#onFault(error, facts.size);
      this.#takeBack(facts);
      return false;
    }
  }

  /** For another try in a minute, in front of what came meanwhile. */
  #takeBack(facts: ReadonlyMap<string, T>): void {
    let lost = 0;
    for (const [key, fact] of facts) {
      const later = this.#pending.get(key);
      if (later === undefined && this.#pending.size >= this.#maxKeys) lost += 1;
      else this.#pending.set(key, later === undefined ? fact : this.#merge(fact, later));
    }
    if (lost > 0) this.#onLost(lost);
  }
}
