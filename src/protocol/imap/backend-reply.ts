import { ByteQueue } from '../bytes.ts';
import { literalAtEnd, withoutCr } from './grammar.ts';
import { imapLimits } from './limits.ts';

const lf = 0x0a;

/** A line of a backend. Its texts are not ours: they are for foreignText, or for nobody. */
export type BackendReply =
  | { readonly kind: 'continuation' }
  | {
      readonly kind: 'status';
      readonly tag: string;
      readonly status: string;
      readonly code: ResponseCode | null;
      readonly text: string;
    }
  /** `* CAPABILITY …`. */
  | { readonly kind: 'capabilities'; readonly list: string }
  /** Untagged data that does not matter to a login. */
  | { readonly kind: 'data' }
  | { readonly kind: 'unreadable' };

/** `[NAME argument]`: the name in capitals, the argument empty where there is none. */
export interface ResponseCode {
  readonly name: string;
  readonly argument: string;
}

/** Reads one line (RFC 3501 7); never fails, a line of no sense is `unreadable`. */
export function parseReply(line: Buffer): BackendReply {
  const text = line.toString('latin1');
  // Some servers leave out the space (wire 71).
  if (text.startsWith('+')) return { kind: 'continuation' };
  const status = /^([^ ]+) (OK|NO|BAD|BYE|PREAUTH)(?: +(.*))?$/is.exec(text);
  if (status !== null) {
    const [, tag = '', word = '', rest = ''] = status;
    return { kind: 'status', tag, status: word.toUpperCase(), ...parseStatusText(rest) };
  }
  const capabilities = /^\* CAPABILITY(?: +(.*))?$/is.exec(text);
  if (capabilities !== null) return { kind: 'capabilities', list: capabilities[1] ?? '' };
  return text.startsWith('* ') ? { kind: 'data' } : { kind: 'unreadable' };
}

function parseStatusText(text: string): { code: ResponseCode | null; text: string } {
  const match = /^\[([^ \]]+)(?: ([^\]]*))?\] ?(.*)$/s.exec(text);
  if (match === null) return { code: null, text };
  const [, name = '', argument = '', rest = ''] = match;
  return { code: { name: name.toUpperCase(), argument }, text: rest };
}

export type BackendOutcome =
  /** `raw` is the response as it came, its literals and line ends with it. */
  | { readonly kind: 'reply'; readonly reply: BackendReply; readonly raw: Buffer }
  | { readonly kind: 'need-more' }
  /** Past a limit (S-52). */
  | { readonly kind: 'too-much' };

/** Cuts what a backend sends during login into responses, bounded, looking at each byte once. */
export class BackendReader {
  /** What may come during login, and one read more: it may hold the last reply and what follows it. */
  readonly #input = new ByteQueue(2 * imapLimits.upstreamLoginBytes);
  #consumed = 0;
  #scanned = 0;
  #lineStart = 0;
  #first: BackendReply | null = null;

  /** False, and nothing taken, where that is more than any backend sends during login. */
  receive(bytes: Buffer): boolean {
    if (bytes.length > this.#input.room) return false;
    this.#input.append(bytes);
    return true;
  }

  get isEmpty(): boolean {
    return this.#input.length === 0;
  }

  next(): BackendOutcome {
    for (;;) {
      const lineEnd = this.#input.indexOf(lf, this.#scanned);
      const seen = lineEnd === -1 ? Math.max(this.#scanned, this.#input.length) : lineEnd + 1;
      const isTooMuch =
        seen - this.#lineStart > imapLimits.upstreamLineBytes ||
        this.#consumed + seen > imapLimits.upstreamLoginBytes;
      if (isTooMuch) return { kind: 'too-much' };
      if (lineEnd === -1) {
        this.#scanned = seen;
        return { kind: 'need-more' };
      }
      const line = withoutCr(this.#input.view(this.#lineStart, lineEnd));
      this.#first ??= parseReply(line);
      // Only data has literals: the text of a status may end in braces by chance.
      const marker = this.#first.kind === 'data' ? literalAtEnd(line) : null;
      if (marker === null) return this.#finish(this.#first, lineEnd + 1);
      this.#lineStart = lineEnd + 1 + marker.size;
      this.#scanned = this.#lineStart;
    }
  }

  /** Everything not consumed, in order. */
  takeAll(): Buffer {
    return this.#input.takeAll();
  }

  #finish(reply: BackendReply, end: number): BackendOutcome {
    const raw = Buffer.from(this.#input.view(0, end));
    this.#input.consume(end);
    this.#consumed += end;
    this.#scanned = 0;
    this.#lineStart = 0;
    this.#first = null;
    return { kind: 'reply', reply, raw };
  }
}
