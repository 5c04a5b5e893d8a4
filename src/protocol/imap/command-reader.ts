import { ByteQueue } from '../bytes.ts';
import { isForeignProtocol } from '../foreign-protocol.ts';
import { literalAtEnd, parseHead, withoutCr } from './grammar.ts';
import { imapLimits } from './limits.ts';

const lf = 0x0a;

/** A whole command; its arguments are a copy, with their literals in place and without the last line end. */
export interface Command {
  readonly tag: string;
  readonly name: string;
  readonly args: Buffer;
}

export type ReadOutcome =
  | { readonly kind: 'command'; readonly command: Command }
  | { readonly kind: 'need-more' }
  /** The client waits for `+`; reported once per literal. */
  | { readonly kind: 'need-continuation' }
  | {
      readonly kind: 'error';
      readonly tag: string | null;
      /** In capitals; null where there is none to be read. */
      readonly name: string | null;
      readonly problem: ReadProblem;
    };

export type ReadProblem =
  /** No command of ours, already skipped: reading may go on. */
  | 'syntax'
  | 'literal-refused'
  /** Where the next command begins is not known, or nobody wants to know: the connection has to end. */
  | 'literal-too-large'
  | 'too-long'
  | 'other-protocol';

export type LineOutcome =
  | { readonly kind: 'line'; readonly line: Buffer }
  | { readonly kind: 'need-more' }
  | { readonly kind: 'error'; readonly problem: 'too-long' };

/**
 * Cuts what a client sends into commands, bounded, looking at each byte once. Decides where a command ends and
 * nothing else; a rejected one still owns its `{n+}` literals, or their bytes would run as commands (wire 20, 21).
 */
export class CommandReader {
  readonly #input = new ByteQueue(imapLimits.heldBytes);
  /** There is no line end to be found before this offset, which may lie behind what has arrived. */
  #scanned = 0;
  #lineStart = 0;
  #literals = 0;

  /**
   * Takes as many bytes as one command may still need and says how many. The caller asks {@link next} until it
   * needs more and then offers the rest, so that a large read never is in memory twice.
   */
  receive(bytes: Buffer): number {
    const count = Math.max(0, Math.min(bytes.length, imapLimits.commandBytes - this.#input.length));
    this.#input.append(bytes.subarray(0, count));
    return count;
  }

  /** Keeps bytes for later while nobody reads commands; false, and nothing kept, where it would be too many. */
  hold(bytes: Buffer): boolean {
    if (bytes.length > this.#input.room) return false;
    this.#input.append(bytes);
    return true;
  }

  /** The next command. A synchronizing literal is agreed to only in a command that `takesLiterals` (wire 22). */
  next(takesLiterals: (name: string) => boolean): ReadOutcome {
    for (;;) {
      const lineEnd = this.#input.indexOf(lf, this.#scanned);
      if (lineEnd === -1) {
        this.#scanned = Math.max(this.#scanned, this.#input.length);
        if (this.#input.length < imapLimits.commandBytes) return { kind: 'need-more' };
        return this.#fail('too-long');
      }
      if (lineEnd >= imapLimits.commandBytes) return this.#fail('too-long');

      const line = withoutCr(this.#input.view(this.#lineStart, lineEnd));
      if (this.#lineStart === 0) {
        if (isBlank(line)) {
          this.#skip(lineEnd + 1);
          continue;
        }
        if (isForeignProtocol(line)) return this.#fail('other-protocol');
      }

      const marker = literalAtEnd(line);
      if (marker === null) return this.#finish(this.#lineStart + line.length, lineEnd + 1);
      const literalEnd = lineEnd + 1 + marker.size;
      const isTooLarge =
        marker.size > imapLimits.literalBytes ||
        literalEnd >= imapLimits.commandBytes ||
        ++this.#literals > imapLimits.literals;
      if (isTooLarge && !marker.isSynchronizing) return this.#fail('literal-too-large');
      if (marker.isSynchronizing) {
        const head = parseHead(this.#input.view(0, lineEnd));
        if (isTooLarge || head.kind === 'broken' || !takesLiterals(head.name)) {
          this.#skip(lineEnd + 1);
          const name = head.kind === 'broken' ? null : head.name;
          return { kind: 'error', tag: head.tag, name, problem: 'literal-refused' };
        }
      }
      this.#lineStart = literalEnd;
      this.#scanned = literalEnd;
      if (marker.isSynchronizing) return { kind: 'need-continuation' };
    }
  }

  /** The next line as it is, of at most `maximumBytes`: a SASL response. The caller zeroes it. */
  nextLine(maximumBytes: number): LineOutcome {
    const lineEnd = this.#input.indexOf(lf, this.#scanned);
    if (lineEnd === -1) this.#scanned = this.#input.length;
    const length = lineEnd === -1 ? this.#input.length : lineEnd;
    // One more, for the CR.
    if (length > maximumBytes + 1) {
      this.clear();
      return { kind: 'error', problem: 'too-long' };
    }
    if (lineEnd === -1) return { kind: 'need-more' };
    const line = Buffer.from(withoutCr(this.#input.view(0, lineEnd)));
    this.#skip(lineEnd + 1);
    return { kind: 'line', line };
  }

  /** Everything not consumed, in order: after a login it belongs to the backend (wire 56). */
  takeAll(): Buffer {
    const rest = this.#input.takeAll();
    this.#skip(0);
    return rest;
  }

  /** Forgets and zeroes what is left, for a connection that ends. */
  clear(): void {
    this.#skip(this.#input.length);
  }

  #finish(end: number, next: number): ReadOutcome {
    const whole = this.#input.view(0, end);
    const head = parseHead(whole);
    if (head.kind === 'broken') {
      this.#skip(next);
      return { kind: 'error', tag: head.tag, name: null, problem: 'syntax' };
    }
    const args = Buffer.from(whole.subarray(head.argumentsAt));
    this.#skip(next);
    return { kind: 'command', command: { tag: head.tag, name: head.name, args } };
  }

  #fail(problem: ReadProblem): ReadOutcome {
    this.clear();
    return { kind: 'error', tag: null, name: null, problem };
  }

  #skip(count: number): void {
    this.#input.consume(count);
    this.#scanned = 0;
    this.#lineStart = 0;
    this.#literals = 0;
  }
}

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === 0x20);
}
