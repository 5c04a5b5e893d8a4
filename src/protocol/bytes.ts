const smallestStore = 256;
const nothing: Buffer = Buffer.alloc(0);

/**
 * Bytes received and not yet consumed. Appending is amortized constant, also byte by byte; consumed bytes are
 * zeroed, because passwords pass through here. Offsets count from the first byte not consumed.
 */
export class ByteQueue {
  readonly #maximum: number;
  #store = nothing;
  #start = 0;
  #end = 0;

  constructor(maximumBytes: number) {
    this.#maximum = maximumBytes;
  }

  get length(): number {
    return this.#end - this.#start;
  }

  /** How many bytes {@link append} still takes. */
  get room(): number {
    return this.#maximum - this.length;
  }

  /** Copies `bytes`. More than there is {@link room} for is the caller's fault. */
  append(bytes: Buffer): void {
    if (bytes.length > this.room) throw new RangeError('more bytes than the queue may hold');
    if (this.#end + bytes.length > this.#store.length) this.#makeRoom(this.length + bytes.length);
    bytes.copy(this.#store, this.#end);
    this.#end += bytes.length;
  }

  /** The first place of `byte` at or after `from`, or -1; `from` may lie beyond the end. */
  indexOf(byte: number, from: number): number {
    if (from >= this.length) return -1;
    return this.view(0, this.length).indexOf(byte, from);
  }

  /** A window on the bytes themselves: good until the queue is touched again. */
  view(from: number, to: number): Buffer {
    return this.#store.subarray(this.#start + from, Math.min(this.#start + to, this.#end));
  }

  consume(count: number): void {
    const end = Math.min(this.#start + count, this.#end);
    this.#store.fill(0, this.#start, end);
    this.#start = end;
    if (this.#start < this.#end) return;
    // An idle connection keeps next to nothing, a chatty one does not allocate for each line.
    if (this.#store.length > smallestStore) this.#store = nothing;
    this.#start = 0;
    this.#end = 0;
  }

  /** All there is, as a copy; the queue is empty afterwards. */
  takeAll(): Buffer {
    const all = Buffer.from(this.view(0, this.length));
    this.consume(this.length);
    return all;
  }

  #makeRoom(needed: number): void {
    const length = this.length;
    const old = this.#store;
    if (needed > old.length) {
      const doubled = Math.min(Math.max(old.length * 2, smallestStore), this.#maximum);
      this.#store = Buffer.alloc(Math.max(doubled, needed));
      old.copy(this.#store, 0, this.#start, this.#end);
      old.fill(0);
    } else {
      old.copy(old, 0, this.#start, this.#end);
      old.fill(0, length);
    }
    this.#start = 0;
    this.#end = length;
  }
}

/** C0 and DEL. Bytes of 128 and more are not looked at: they are letters in Latin-1 and UTF-8 alike. */
export function hasControlByte(bytes: Buffer): boolean {
  return bytes.some((byte) => byte < 0x20 || byte === 0x7f);
}
