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

  /** Adds or refreshes a value; false when it was there already. */
  add(value: number, atSeconds: number, windowSeconds: number): boolean {
    this.#prune(atSeconds - windowSeconds);
    const known = this.#values.subarray(0, this.#size).indexOf(value);
    if (known !== -1) {
      this.#seenAt[known] = atSeconds;
      return false;
    }
    if (this.#size >= this.#limit) this.#remove(this.#oldest());
    if (this.#size === this.#values.length) this.#grow();
    this.#values[this.#size] = value;
    this.#seenAt[this.#size] = atSeconds;
    this.#size += 1;
    return true;
  }

  get size(): number {
    return this.#size;
  }

  #prune(before: number): void {
    for (let index = this.#size - 1; index >= 0; index -= 1) {
      if ((this.#seenAt[index] ?? 0) <= before) this.#remove(index);
    }
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
