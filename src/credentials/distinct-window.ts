/**
 * How many different 32-bit values were seen within a window of seconds. Eight bytes a value and never more than `limit` of
 * them, because strangers choose what is counted; over the limit the oldest goes.
 */
export class DistinctWindow {
  readonly #limit: number;
  #values = new Uint32Array(4);
  #seenAt = new Uint32Array(4);
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds a value seen at `atSeconds` or refreshes it, and forgets what was not seen after `beforeSeconds`. False when it was
   * there already, or is older than all that a full window holds: then it was there once.
   */
  add(value: number, atSeconds: number, beforeSeconds: number): boolean {
    this.forget(beforeSeconds);
    const known = this.#indexOf(value);
    if (known !== -1) {
      this.#seenAt[known] = Math.max(this.#seenAt[known] ?? 0, atSeconds);
      return false;
    }
    if (this.#size >= this.#limit) {
      const oldest = this.#oldest();
      if ((this.#seenAt[oldest] ?? 0) > atSeconds) return false;
      this.#remove(oldest);
    }
    if (this.#size === this.#values.length) this.#grow();
    this.#values[this.#size] = value;
    this.#seenAt[this.#size] = atSeconds;
    this.#size += 1;
    return true;
  }

  /** Lets a value go by another name from now on, unless that is known too. */
  rename(value: number, to: number): void {
    const known = this.#indexOf(value);
    if (known !== -1 && this.#indexOf(to) === -1) this.#values[known] = to;
  }

  /** Forgets what was not seen after that second. */
  forget(beforeSeconds: number): void {
    for (let index = this.#size - 1; index >= 0; index -= 1) {
      if ((this.#seenAt[index] ?? 0) <= beforeSeconds) this.#remove(index);
    }
  }

  /** The clock by which seconds are counted was set by so many. */
  shift(seconds: number): void {
    for (let index = 0; index < this.#size; index += 1) {
      this.#seenAt[index] = Math.max(0, (this.#seenAt[index] ?? 0) + seconds);
    }
  }

  get size(): number {
    return this.#size;
  }

  #indexOf(value: number): number {
    return this.#values.subarray(0, this.#size).indexOf(value);
  }

  #remove(index: number): void {
    this.#size -= 1;
    this.#values[index] = this.#values[this.#size] ?? 0;
    this.#seenAt[index] = this.#seenAt[this.#size] ?? 0;
  }

  #oldest(): number {
    let oldest = 0;
    for (let index = 1; index < this.#size; index += 1) {
      if ((this.#seenAt[index] ?? 0) < (this.#seenAt[oldest] ?? 0)) oldest = index;
    }
    return oldest;
  }

  #grow(): void {
    const length = Math.min(this.#limit, this.#values.length * 2);
    const values = new Uint32Array(length);
    const seenAt = new Uint32Array(length);
    values.set(this.#values);
    seenAt.set(this.#seenAt);
    this.#values = values;
    this.#seenAt = seenAt;
  }
}
