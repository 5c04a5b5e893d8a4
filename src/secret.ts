import { timingSafeEqual } from 'node:crypto';

const inspect = Symbol.for('nodejs.util.inspect.custom');

/**
 * Bytes that must never be printed: prints `[redacted]` in templates, JSON, the logger and the inspector.
 * Holds a Buffer and no string, so that {@link wipe} can clear it (strings live until the collector moves them).
 */
export class Secret {
  readonly #bytes: Buffer;

  /** Takes ownership of `bytes`: they are zeroed by {@link wipe}. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  static fromText(text: string): Secret {
    return new Secret(Buffer.from(text, 'utf8'));
  }

  /** The live bytes, not a copy: all zero after {@link wipe}. */
  bytes(): Buffer {
    return this.#bytes;
  }

  /** A string copy, which cannot be wiped: only for APIs that take nothing else. */
  text(): string {
    return this.#bytes.toString('utf8');
  }

  equals(other: Secret): boolean {
    return this.#bytes.length === other.#bytes.length && timingSafeEqual(this.#bytes, other.#bytes);
  }

  wipe(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect](): string {
    return '[redacted]';
  }
}
