/**
 * Counts of a sliding window, kept by buckets of a fixed width. A whole bucket counts as long as any of it is in the window,
 * so that no more than a limit fits into any stretch of the window's length.
 */
export class BucketWindow {
  readonly #bucketMs: number;
  readonly #numbers: Float64Array;
  readonly #counts: Float64Array;

  constructor(window: WindowShape) {
    this.#bucketMs = window.bucketMs;
    this.#numbers = new Float64Array(window.buckets).fill(Number.NEGATIVE_INFINITY);
    this.#counts = new Float64Array(window.buckets);
  }

  /** Adds to the bucket of `at`, which may lie in the past; less than nothing takes away. */
  add(at: number, count: number): void {
    const number = Math.floor(at / this.#bucketMs);
    const slot = number % this.#numbers.length;
    const held = this.#numbers[slot] ?? 0;
    // Given back too late, or a clock was set back: counted with the later bucket, which is there longer.
    if (held > number && count < 0) return;
    if (held < number) {
      this.#numbers[slot] = number;
      this.#counts[slot] = 0;
    }
    this.#counts[slot] = Math.max(0, (this.#counts[slot] ?? 0) + count);
  }

  /** Later buckets count too: they are what a clock that was set back leaves. */
  sum(at: number): number {
    const oldest = Math.floor(at / this.#bucketMs) - this.#numbers.length + 1;
    return this.#counts.reduce(
      (sum, count, slot) => ((this.#numbers[slot] ?? 0) >= oldest ? sum + count : sum),
      0,
    );
  }
}

export interface WindowShape {
  readonly bucketMs: number;
  /** One more than fit into the window: the current one is not full. */
  readonly buckets: number;
}

/** Numbers of the buckets that count at a moment, the current one first. */
export function bucketsAt(window: WindowShape, at: number): readonly number[] {
  const current = Math.floor(at / window.bucketMs);
  return Array.from({ length: window.buckets }, (_, age) => current - age);
}
