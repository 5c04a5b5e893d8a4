import { ByteQueue } from '../bytes.ts';

const lf = 0x0a;
const cr = 0x0d;

export type LineOutcome =
  /** A copy, without its line end; it may hold a password, so whoever takes it zeroes it. */
  | { readonly kind: 'line'; readonly line: Buffer }
  | { readonly kind: 'need-more' }
  /** Where the next line begins is not known: the connection has to end. Nothing is kept. */
  | { readonly kind: 'too-long' };

/** Cuts what a peer sends into lines, bounded, looking at each byte once. A bare LF ends a line too (wire 15). */
export class LineReader {
  readonly #input: ByteQueue;
  readonly #longestLine: number;
  /** There is no line end before this offset. */
  #scanned = 0;

  /** `longestLine`: in bytes, without its end; `maximumBytes`: what may be held. */
  constructor(longestLine: number, maximumBytes: number) {
    this.#longestLine = longestLine;
    this.#input = new ByteQueue(maximumBytes);
  }

  get isEmpty(): boolean {
    return this.#input.length === 0;
  }

  /**
   * Takes as many bytes as one line may still need and says how many. The caller asks {@link next} until it needs
   * more and then offers the rest, so that a large read never is in memory twice.
   */
  receive(bytes: Buffer): number {
    const count = Math.max(0, Math.min(bytes.length, this.#longestLine + 2 - this.#input.length));
    this.#input.append(bytes.subarray(0, count));
    return count;
  }

  /** Keeps bytes for later while nobody reads lines; false, and nothing kept, where it would be too many. */
  hold(bytes: Buffer): boolean {
    if (bytes.length > this.#input.room) return false;
    this.#input.append(bytes);
    return true;
  }

  /** The next line, of at most `longest` bytes where that is less than the reader's own bound. */
  next(longest = this.#longestLine): LineOutcome {
    const lineEnd = this.#input.indexOf(lf, this.#scanned);
    const seen = lineEnd === -1 ? this.#input.length : lineEnd;
    // One more may be the CR.
    const isTooLong = seen > longest + 1 || (seen === longest + 1 && !this.#hasCrAt(longest));
    if (isTooLong) {
      this.clear();
      return { kind: 'too-long' };
    }
    if (lineEnd === -1) {
      this.#scanned = seen;
      return { kind: 'need-more' };
    }
    const length = this.#hasCrAt(lineEnd - 1) ? lineEnd - 1 : lineEnd;
    const line = Buffer.from(this.#input.view(0, length));
    this.#skip(lineEnd + 1);
    return { kind: 'line', line };
  }

  /** Everything not consumed, in order: after a login it belongs to the other side (wire 56, 59). */
  takeAll(): Buffer {
    this.#scanned = 0;
    return this.#input.takeAll();
  }

  /** Forgets and zeroes what is left. */
  clear(): void {
    this.#skip(this.#input.length);
  }

  #hasCrAt(offset: number): boolean {
    return offset >= 0 && this.#input.view(offset, offset + 1)[0] === cr;
  }

  #skip(count: number): void {
    this.#input.consume(count);
    this.#scanned = 0;
  }
}
