import { imapLimits } from './limits.ts';

const nul = 0;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const quote = 0x22;
const plus = 0x2b;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** More digits than any literal we take, so that a length cannot overflow. */
const literalDigits = 10;
const nameBytes = 32;

/** RFC 3501 9: ASTRING-CHAR, which is ATOM-CHAR and `]`. */
function isAstringByte(byte: number): boolean {
  return byte > space && byte < 0x7f && !atomSpecials.has(byte);
}
const atomSpecials: ReadonlySet<number> = new Set(Buffer.from('(){%*"\\'));

/** Where a command begins: its tag, its name in capitals, and where its arguments start. */
export type CommandHead =
  | { readonly kind: 'head'; readonly tag: string; readonly name: string; readonly argumentsAt: number }
  /** `tag` is null where there is none that may be echoed: a page of a browser must not come back to it (S-09). */
  | { readonly kind: 'broken'; readonly tag: string | null };

/** Reads tag and name of a command; looks at no more than the two may take. */
export function parseHead(line: Buffer): CommandHead {
  const tagEnd = runLength(line, 0, imapLimits.tagBytes, (byte) => isAstringByte(byte) && byte !== plus);
  if (tagEnd === 0 || line[tagEnd] !== space) return { kind: 'broken', tag: null };
  const tag = line.toString('latin1', 0, tagEnd);
  const nameAt = skipSpaces(line, tagEnd);
  const nameEnd = runLength(line, nameAt, nameBytes, isAstringByte);
  const after = line[nameEnd];
  const isWhole = after === undefined || after === space || after === cr || after === lf;
  if (nameEnd === nameAt || !isWhole) return { kind: 'broken', tag };
  const name = line.toString('latin1', nameAt, nameEnd).toUpperCase();
  return { kind: 'head', tag, name, argumentsAt: nameEnd };
}

/** The literal a line announces at its end, `{n}` or `{n+}`; a size beyond every limit reads as Infinity. */
export interface LiteralMarker {
  readonly size: number;
  /** The client waits for our `+` (RFC 3501 4.3). */
  readonly isSynchronizing: boolean;
}

/** Looks at the end of any line, whatever it is: a rejected one owns its `{n+}` too (RFC 7888 3). */
export function literalAtEnd(line: Buffer): LiteralMarker | null {
  let index = line.length - 1;
  if (line[index] !== closeBrace) return null;
  const isSynchronizing = line[index - 1] !== plus;
  index -= isSynchronizing ? 1 : 2;
  const digitsEnd = index;
  while (isDigit(line[index])) index--;
  if (line[index] !== openBrace || index === digitsEnd) return null;
  const digits = line.toString('latin1', index + 1, digitsEnd + 1).replace(/^0+(?=\d)/, '');
  return { size: digits.length > literalDigits ? Infinity : Number(digits), isSynchronizing };
}

/** An argument as bytes of its own. */
export interface Argument {
  readonly form: 'atom' | 'quoted' | 'literal';
  readonly bytes: Buffer;
}

/**
 * Walks over the arguments of a whole command, its literals in place and already checked for size.
 * Never goes back and never recurses, so that nesting costs nothing (CVE-2026-27857).
 */
export class ArgumentCursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Steps over spaces; true where nothing is left. */
  atEnd(): boolean {
    this.#at = skipSpaces(this.#bytes, this.#at);
    return this.#at >= this.#bytes.length;
  }

  /** Steps over one character if it is the next. */
  take(character: string): boolean {
    if (this.#bytes[this.#at] !== character.charCodeAt(0)) return false;
    this.#at++;
    return true;
  }

  /** RFC 3501 9: astring, and bytes of 128 and more besides, which old clients send (wire 25). Null: none. */
  astring(): Argument | null {
    switch (this.#bytes[this.#at]) {
      case quote:
        return this.#quoted();
      case openBrace:
        return this.#literal();
      default:
        return this.#atom();
    }
  }

  /** All that is left. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #atom(): Argument | null {
    const end = runLength(
      this.#bytes,
      this.#at,
      this.#bytes.length,
      (byte) => isAstringByte(byte) || byte >= 0x80,
    );
    if (end === this.#at) return null;
    const bytes = Buffer.from(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return { form: 'atom', bytes };
  }

  #quoted(): Argument | null {
    const from = this.#at + 1;
    const end = closingQuote(this.#bytes, from);
    if (end === -1) return null;
    const bytes = Buffer.alloc(end - from);
    let length = 0;
    for (let index = from; index < end; index++) {
      if (this.#bytes[index] === backslash) index++;
      bytes[length++] = this.#bytes[index] ?? nul;
    }
    this.#at = end + 1;
    return { form: 'quoted', bytes: bytes.subarray(0, length) };
  }

  #literal(): Argument | null {
    const lineEnd = this.#bytes.indexOf(lf, this.#at);
    if (lineEnd === -1) return null;
    const marker = literalAtEnd(withoutCr(this.#bytes.subarray(this.#at, lineEnd)));
    const from = lineEnd + 1;
    if (marker === null || from + marker.size > this.#bytes.length) return null;
    const bytes = Buffer.from(this.#bytes.subarray(from, from + marker.size));
    this.#at = from + marker.size;
    if (!bytes.includes(nul)) return { form: 'literal', bytes };
    bytes.fill(0);
    return null;
  }
}

/** Where a quoted string ends whose text begins at `from`, or -1: unclosed, or broken (RFC 3501 9). */
function closingQuote(bytes: Buffer, from: number): number {
  for (let index = from; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === quote) return index;
    if (byte === nul || byte === cr || byte === lf) return -1;
    if (byte === backslash) {
      const escaped = bytes[++index];
      if (escaped !== quote && escaped !== backslash) return -1;
    }
  }
  return -1;
}

/** A line without the CR of its CRLF. */
export function withoutCr(line: Buffer): Buffer {
  return line.at(-1) === cr ? line.subarray(0, -1) : line;
}

function skipSpaces(bytes: Buffer, from: number): number {
  return runLength(bytes, from, bytes.length, (byte) => byte === space);
}

/** The end of the run of `accepts` bytes that starts at `from`, of at most `maximum` bytes. */
function runLength(bytes: Buffer, from: number, maximum: number, accepts: (byte: number) => boolean): number {
  const limit = Math.min(bytes.length, from + maximum);
  let end = from;
  while (end < limit && accepts(bytes[end] ?? nul)) end++;
  return end;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
