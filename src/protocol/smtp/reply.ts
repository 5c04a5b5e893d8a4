import { smtpLimits } from './limits.ts';

/** A complete reply of a server, as it came. */
export interface Reply {
  /** 200 to 599. */
  readonly code: number;
  /** Of the same class as the code; null where the server gave none that fits (RFC 2034 4). */
  readonly enhanced: string | null;
  /** Everything behind the code and its separator, undecoded (Latin-1), the enhanced code included. At least one. */
  readonly lines: readonly string[];
}

/** One line for the client: printable ASCII, and the enhanced code apart from the text so that it is said once. */
export interface ClientReply {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

/** What has been read of a reply that is not complete. */
export interface ReplyReader {
  readonly partial: Buffer;
  readonly code: number | null;
  readonly lines: readonly string[];
}

export const emptyReader: ReplyReader = { partial: Buffer.alloc(0), code: null, lines: [] };

export type ReadReply =
  | { readonly kind: 'reply'; readonly reply: Reply; readonly rest: Buffer }
  | { readonly kind: 'need-more'; readonly reader: ReplyReader }
  | { readonly kind: 'invalid'; readonly problem: string };

const lf = 0x0a;
const cr = 0x0d;
const none = Buffer.alloc(0);

/** Reads one reply (RFC 5321 4.2.1), at most. `rest` is what came behind it. Bounded by {@link smtpLimits}. */
export function readReply(reader: ReplyReader, bytes: Buffer): ReadReply {
  let rest = reader.partial.length === 0 ? bytes : Buffer.concat([reader.partial, bytes]);
  let { code } = reader;
  const lines = [...reader.lines];
  for (;;) {
    const end = rest.indexOf(lf);
    if ((end === -1 ? rest.length : end + 1) > smtpLimits.replyLineBytes)
      return invalid('reply line is too long');
    if (end === -1) return { kind: 'need-more', reader: { partial: rest, code, lines } };
    const line = rest.toString('latin1', 0, rest[end - 1] === cr ? end - 1 : end);
    rest = end + 1 === rest.length ? none : rest.subarray(end + 1);
    const match = /^([2-5]\d\d)(?:([ -])(.*))?$/s.exec(line);
    if (match === null) return invalid('not an SMTP reply');
    if (code !== null && code !== Number(match[1])) return invalid('reply changes its code between lines');
    code = Number(match[1]);
    lines.push(match[3] ?? '');
    if (match[2] !== '-')
      return { kind: 'reply', reply: { code, enhanced: enhancedOf(code, lines), lines }, rest };
    if (lines.length >= smtpLimits.replyLines) return invalid('reply has too many lines');
  }
}

/**
 * The reply for the client: one printable line (S-10: a server's text must not split ours), the server's own codes.
 * `fallback` stands in for an enhanced code that the server did not give.
 */
export function forClient(reply: Reply, fallback: string): ClientReply {
  const text = reply.lines
    .map((line) => line.replace(enhancedPrefix, '').trim())
    .filter((line) => line !== '')
    .join(' ');
  return { code: reply.code, enhanced: reply.enhanced ?? fallback, text: clientText(text) };
}

/**
 * The one writer of replies toward clients (RFC 5321 4.2.1), a line for each text, at least one. No text can become a
 * second line (S-10), whoever wrote it. `enhanced` is empty where the reply has none (RFC 2034 4: 220, 334, 354).
 */
export function encodeReply(code: number, enhanced: string, texts: readonly string[]): Buffer {
  const lines = texts.map((text, index) => {
    const words = [enhanced, clientText(text)].filter((word) => word !== '');
    return `${code}${index + 1 < texts.length ? '-' : ' '}${words.join(' ')}\r\n`;
  });
  return Buffer.from(lines.join(''), 'latin1');
}

/** Text made fit for one reply line: everything but printable ASCII becomes `?`, and the end is cut off. */
export function clientText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, smtpLimits.clientTextBytes);
}

/** A reply for logs: code and text on one line. */
export function describeReply(reply: Reply): string {
  return clientText(`${reply.code} ${reply.lines.join(' ')}`).slice(0, 200);
}

const enhancedPrefix = /^([245])\.(\d{1,3})\.(\d{1,3})(?: +|$)/;

function enhancedOf(code: number, lines: readonly string[]): string | null {
  const match = enhancedPrefix.exec(lines[0] ?? '');
  if (match === null || Number(match[1]) !== Math.floor(code / 100)) return null;
  return `${match[1]}.${match[2]}.${match[3]}`;
}

function invalid(problem: string): ReadReply {
  return { kind: 'invalid', problem };
}
