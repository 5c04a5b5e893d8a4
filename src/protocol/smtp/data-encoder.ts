// The backend must see exactly one end of data, or the rest of a message becomes commands (SMTP smuggling,
// CVE-2023-51764 and its kin). So every line end that leaves here is CRLF, made before dots are stuffed.

const lf = 0x0a;
const cr = 0x0d;
const dot = 0x2e;

/** Between two chunks of one message. */
export interface DataEncoder {
  /** The next byte begins a line. */
  readonly atLineStart: boolean;
  /** A CR ended the last chunk; whether it is bare shows in the next. */
  readonly heldCr: boolean;
}

/** Before the first byte of a message. */
export const dataStart: DataEncoder = { atLineStart: true, heldCr: false };

export type EncodedData =
  | { readonly kind: 'encoded'; readonly encoder: DataEncoder; readonly bytes: Buffer }
  /** A NUL: some servers end lines or strings at it (wire 107), and mail has none (RFC 5321 2.3.8). */
  | { readonly kind: 'nul' };

/**
 * Encodes a piece of an un-stuffed message for DATA: bare CR and bare LF become CRLF, lines that begin with a dot get
 * another (RFC 5321 4.5.2). The sum of the outputs does not depend on how the message was cut. `bytes` may share
 * memory with `chunk`, and is empty when all of it was held back.
 */
export function encodeData(encoder: DataEncoder, chunk: Buffer): EncodedData {
  if (chunk.includes(0)) return { kind: 'nul' };
  if (chunk.length === 0) return { kind: 'encoded', encoder, bytes: chunk };

  const heldCr = chunk[chunk.length - 1] === cr;
  const end = heldCr ? chunk.length - 1 : chunk.length;
  const output = new Output(chunk);
  let { atLineStart } = encoder;
  let at = 0;
  if (encoder.heldCr) {
    at = chunk[0] === lf ? 1 : 0;
    output.replace(0, at, cr, lf);
    atLineStart = true;
  }

  let nextCr = find(chunk, cr, at, end);
  let nextLf = find(chunk, lf, at, end);
  while (at < end) {
    if (atLineStart && chunk[at] === dot) output.replace(at, at, dot);
    if (nextCr < at) nextCr = find(chunk, cr, at, end);
    if (nextLf < at) nextLf = find(chunk, lf, at, end);
    const lineEnd = Math.min(nextCr, nextLf);
    if (lineEnd === nowhere) {
      atLineStart = false;
      break;
    }
    at = nextLf === nextCr + 1 ? nextLf + 1 : lineEnd + 1;
    if (nextLf !== nextCr + 1) output.replace(lineEnd, at, cr, lf);
    atLineStart = true;
  }
  return { kind: 'encoded', encoder: { atLineStart, heldCr }, bytes: output.take(end) };
}

/** What ends the message: the last line's CRLF where it is missing, then the one end of data (RFC 5321 4.1.1.4). */
export function endData(encoder: DataEncoder): Buffer {
  return encoder.atLineStart && !encoder.heldCr ? Buffer.from('.\r\n') : Buffer.from('\r\n.\r\n');
}

/** So that the nearer of two is their minimum. */
const nowhere = Number.POSITIVE_INFINITY;

function find(chunk: Buffer, byte: number, from: number, end: number): number {
  const at = chunk.indexOf(byte, from);
  return at === -1 || at >= end ? nowhere : at;
}

/** The chunk itself as long as nothing in it changes, a copy from then on. */
class Output {
  readonly #chunk: Buffer;
  #copy: Buffer | null = null;
  #length = 0;
  /** Everything of the chunk before this is in the copy, or dropped. */
  #taken = 0;

  constructor(chunk: Buffer) {
    this.#chunk = chunk;
  }

  /** Puts `bytes` in place of chunk[from, to). */
  replace(from: number, to: number, ...bytes: readonly number[]): void {
    // Nothing grows by more than its own length, but a held CR (2) and a dot before the first byte (1).
    this.#copy ??= Buffer.allocUnsafe(2 * this.#chunk.length + 3);
    this.#length += this.#chunk.copy(this.#copy, this.#length, this.#taken, from);
    for (const byte of bytes) this.#copy[this.#length++] = byte;
    this.#taken = to;
  }

  take(end: number): Buffer {
    if (this.#copy === null) return this.#chunk.subarray(0, end);
    this.#length += this.#chunk.copy(this.#copy, this.#length, this.#taken, end);
    return this.#copy.subarray(0, this.#length);
  }
}
