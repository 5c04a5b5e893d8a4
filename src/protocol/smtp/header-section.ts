export type CollectedHeader =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'complete'; readonly section: Buffer }
  | { readonly kind: 'too-long' };

/** Postfix reads 102400 bytes; those of mail programs are a few KB. */
const sectionBytes = 65_536;
const blankLine = Buffer.from('\r\n\r\n');

/**
 * Collects a message up to and including the first empty line (RFC 5322 2.1), from pieces whose line ends are CRLF. To be
 * asked no more once it has answered anything but `need-more`.
 */
export class HeaderSection {
  #bytes = Buffer.allocUnsafe(4_096);
  #length = 0;

  /** `isEnd`: nothing comes behind this piece, and all there is counts as header. */
  add(piece: Buffer, isEnd: boolean): CollectedHeader {
    const before = this.#length;
    // More than the limit is looked at for its empty line only.
    const taken = piece.subarray(0, sectionBytes + 1 - before);
    this.#append(taken);
    const bytes = this.#bytes.subarray(0, this.#length);
    const blank = this.#startsBlank() ? -2 : bytes.indexOf(blankLine, Math.max(0, before - 3));
    const end = blank === -1 ? null : blank + blankLine.length;
    if ((end ?? this.#length) > sectionBytes) return { kind: 'too-long' };
    if (end !== null) return { kind: 'complete', section: bytes.subarray(0, end) };
    return isEnd ? { kind: 'complete', section: bytes } : { kind: 'need-more' };
  }

  /** A message may have no header at all. */
  #startsBlank(): boolean {
    return this.#length >= 2 && this.#bytes[0] === 0x0d && this.#bytes[1] === 0x0a;
  }

  #append(piece: Buffer): void {
    if (this.#length + piece.length > this.#bytes.length) {
      const longer = Buffer.allocUnsafe(2 * (this.#length + piece.length));
      this.#bytes.copy(longer, 0, 0, this.#length);
      this.#bytes = longer;
    }
    piece.copy(this.#bytes, this.#length);
    this.#length += piece.length;
  }
}
