import type { Socket } from 'node:net';
import type { ViewTaker } from '../../upstream/shared-reads.ts';

/** One direction: from `source` to `sink`, nothing dropped, nothing added, no more read than the sink takes. */
export interface Flow extends ViewTaker {
  readonly source: Socket;
  readonly sink: Socket;
  /** The source has said that it is done. */
  readonly hasEnded: boolean;
  /** Begins with what was read before, then reads. */
  begin(before: Buffer): void;
  take(chunk: Buffer): void;
  /** The sink has room again, after 'drain'. */
  drained(): void;
  /** The source is done: so is the sink, once it has everything. */
  end(): void;
}

/** Counts what passes. */
export type Count = (bytes: number) => void;

/** A clear sink: Node's own high-water mark is right for it, and the kernel takes chunks of any size. */
export class ClearFlow implements Flow {
  readonly source: Socket;
  readonly sink: Socket;
  readonly #count: Count;
  #hasEnded = false;

  constructor(source: Socket, sink: Socket, count: Count) {
    this.source = source;
    this.sink = sink;
    this.#count = count;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  begin(before: Buffer): void {
    if (before.length > 0) this.take(before);
    if (!this.sink.writableNeedDrain && !this.#hasEnded) this.source.resume();
  }

  take(chunk: Buffer): void {
    this.#count(chunk.length);
    if (!this.sink.write(chunk)) this.source.pause();
  }

  takeView(view: Buffer): boolean {
    this.#count(view.length);
    // A clear socket keeps what the kernel does not take at once.
    return this.sink.write(Buffer.from(view));
  }

  drained(): void {
    if (!this.#hasEnded) this.source.resume();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.sink.end();
  }
}

/** A TLS record's plain text at most (RFC 8446 5.1). */
const recordBytes = 16_384;
const nothing: Buffer = Buffer.alloc(0);

/** Copies that wait for a sink are made into buffers that are used again: allocating them was a third of a download (measured). */
const spare: Buffer[] = [];
const sparesKept = 64;

/** A copy of a view; null where it is larger than a record. */
function borrow(view: Buffer): Buffer | null {
  if (view.length > recordBytes) return null;
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(recordBytes);
  view.copy(buffer);
  return buffer.subarray(0, view.length);
}

function giveBack(lent: Buffer): void {
  if (spare.length < sparesKept) spare.push(Buffer.from(lent.buffer, 0, recordBytes));
}

/**
 * A TLS sink: one record at a time. Node merges what waits to be written, up to 64 KB, and then keeps an encryption buffer
 * of that size until the connection closes, for each that ever downloaded something.
 */
export class RecordFlow implements Flow {
  readonly source: Socket;
  readonly sink: Socket;
  readonly #count: Count;
  readonly #onWritten: () => void;
  /** Read and not yet written; the source waits while there is any. */
  #held: Buffer | null = null;
  /** What is held, where it lies in a borrowed buffer. */
  #lent: Buffer | null = null;
  #isStopped = false;
  #hasEnded = false;

  constructor(source: Socket, sink: Socket, count: Count) {
    this.source = source;
    this.sink = sink;
    this.#count = count;
    this.#onWritten = () => this.#written();
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  begin(before: Buffer): void {
    // The reply to the login may still be on its way, and nobody would tell when it was taken.
    if (this.sink.writableLength > 0) this.sink.write(nothing, this.#onWritten);
    if (before.length > 0) this.take(before);
    if (!this.#isStopped && !this.#hasEnded) this.source.resume();
  }

  take(chunk: Buffer): void {
    this.#count(chunk.length);
    const rest = this.sink.writableLength > 0 ? chunk : this.#put(chunk);
    if (rest !== null) this.#hold(rest);
  }

  takeView(view: Buffer): boolean {
    this.#count(view.length);
    // Encrypted before `write` returns, but only where no other write is before it.
    const rest = this.sink.writableLength > 0 ? view : this.#put(view);
    if (rest === null) return true;
    if (this.#held === null) this.#lent = borrow(rest);
    this.#hold(this.#lent ?? Buffer.from(rest));
    return false;
  }

  /** The next write comes after the last one was taken, not after room was found for it. */
  drained(): void {}

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (this.#held === null) this.sink.end();
  }

  #hold(rest: Buffer): void {
    // A paused source has nothing more to give; should one not have heard it, order counts.
    this.#held = this.#held === null ? rest : Buffer.concat([this.#held, rest]);
    this.#isStopped = true;
    this.source.pause();
  }

  /** Writes the first record and answers the rest; null for none. */
  #put(chunk: Buffer): Buffer | null {
    if (chunk.length <= recordBytes) {
      this.sink.write(chunk, this.#onWritten);
      return null;
    }
    this.sink.write(chunk.subarray(0, recordBytes), this.#onWritten);
    return chunk.subarray(recordBytes);
  }

  #written(): void {
    // A failed write comes here too; the socket's 'close' then ends both sides.
    if (this.sink.destroyed || !this.#isStopped) return;
    const held = this.#held;
    if (held !== null) {
      const isFirst = this.sink.writableLength === 0;
      this.#held = this.#put(held);
      // Encrypted already where no other write is before it; else the socket still has it, and another's mail must not get in.
      if (this.#held === null && this.#lent === held && isFirst) giveBack(held);
      this.#lent = null;
      if (this.#held === null && this.#hasEnded) this.sink.end();
    } else {
      this.#isStopped = false;
      if (!this.#hasEnded) this.source.resume();
    }
  }
}
