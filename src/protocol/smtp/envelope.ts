import { smtpLimits } from './limits.ts';
import type { ClientReply } from './reply.ts';

/** What of a MAIL command goes on to the backend. */
export interface MailOrder {
  readonly kind: 'mail';
  /** Without the angle brackets; printable ASCII without `<` and `>`. Empty for the null reverse-path. */
  readonly path: string;
  /** RFC 1870; null where the client did not say. */
  readonly size: number | null;
  /** RFC 6152; null where the client did not say. */
  readonly body: '7BIT' | '8BITMIME' | null;
}

/** What of a RCPT command goes on to the backend. */
export interface RcptOrder {
  readonly kind: 'rcpt';
  readonly path: string;
}

export type Refused = { readonly kind: 'refused'; readonly reply: ClientReply };

/**
 * Reads a MAIL command (RFC 5321 4.1.1.2) as raw bytes. Lenient where clients need it (a space behind the colon,
 * missing brackets: wire 92), but nothing is dropped in silence: a parameter is relayed, meant for us, or refused.
 */
export function parseMail(line: Buffer, limits: { readonly messageBytes: number }): MailOrder | Refused {
  const parsed = parseCommand(line, /^MAIL[ \t]+FROM[ \t]*:[ \t]*/i, '5.1.7');
  if (parsed.kind === 'refused') return parsed;
  let size: number | null = null;
  let body: MailOrder['body'] = null;
  for (const [keyword, value] of parsed.parameters) {
    switch (keyword) {
      case 'SIZE':
        if (value === null || !/^\d{1,20}$/.test(value)) return refused(501, '5.5.4', 'Bad SIZE parameter');
        size = Number(value);
        break;
      case 'BODY': {
        const kind = value?.toUpperCase();
        if (kind !== '7BIT' && kind !== '8BITMIME') return refused(501, '5.5.4', 'Bad BODY parameter');
        body = kind;
        break;
      }
      case 'AUTH':
        // RFC 4954 5: who submitted it is ours to know, and no server need believe a client on it.
        break;
      default:
        return refused(555, '5.5.4', 'Unsupported parameter');
    }
  }
  if (size !== null && size > limits.messageBytes) return tooBig;
  return { kind: 'mail', path: parsed.path, size, body };
}

/** Reads a RCPT command (RFC 5321 4.1.1.3) as raw bytes. No parameter is offered, so none is taken. */
export function parseRcpt(line: Buffer): RcptOrder | Refused {
  const parsed = parseCommand(line, /^RCPT[ \t]+TO[ \t]*:[ \t]*/i, '5.1.3');
  if (parsed.kind === 'refused') return parsed;
  if (parsed.path === '') return refused(501, '5.1.3', 'Bad recipient address syntax');
  if (parsed.parameters.size > 0) return refused(555, '5.5.4', 'Unsupported parameter');
  return { kind: 'rcpt', path: parsed.path };
}

/** RFC 1870 6.1: said at MAIL, or once the limit has passed in DATA. */
export const tooBig: Refused = refused(552, '5.3.4', 'Message too big');

/** The MAIL line for a server that listed `extensions`. */
export function mailLine(order: MailOrder, extensions: ReadonlyMap<string, string>): string {
  const parameters: string[] = [];
  if (order.size !== null && extensions.has('SIZE')) parameters.push(`SIZE=${order.size}`);
  // Apple Mail sends 8-bit text without saying so (wire 95); declared, no server has a reason to strip it.
  if (extensions.has('8BITMIME')) parameters.push(`BODY=${order.body ?? '8BITMIME'}`);
  return [`MAIL FROM:<${order.path}>`, ...parameters].join(' ');
}

/** The RCPT line. */
export function rcptLine(order: RcptOrder): string {
  return `RCPT TO:<${order.path}>`;
}

type Command =
  | {
      readonly kind: 'command';
      readonly path: string;
      readonly parameters: ReadonlyMap<string, string | null>;
    }
  | Refused;

function parseCommand(bytes: Buffer, verb: RegExp, addressCode: '5.1.3' | '5.1.7'): Command {
  if (bytes.length > smtpLimits.commandLineBytes) return refused(500, '5.5.2', 'Line too long');
  const line = bytes.toString('latin1');
  const start = verb.exec(line);
  if (start === null) return refused(501, '5.5.4', 'Syntax error in parameters');
  // A control character in an address has no use but to end a line where the next server reads it (S-10).
  if (/[\x00-\x1f\x7f]/.test(line)) return refused(501, addressCode, 'Bad address syntax');
  const split = splitPath(line.slice(start[0].length));
  if (split === null) return refused(501, addressCode, 'Bad address syntax');
  // RFC 6531: without SMTPUTF8, which is not offered, an address is ASCII.
  if (/[^\x20-\x7e]/.test(split.path)) return refused(553, '5.6.7', 'Address must be ASCII');
  const path = plainPath(split.path);
  if (path === null) return refused(501, addressCode, 'Bad address syntax');

  const parameters = new Map<string, string | null>();
  for (const word of split.rest.split(' ').filter((part) => part !== '')) {
    const parameter = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?$/.exec(word);
    const keyword = parameter?.[1]?.toUpperCase();
    if (keyword === undefined || parameters.has(keyword)) {
      return refused(501, '5.5.4', 'Syntax error in parameters');
    }
    parameters.set(keyword, parameter?.[2] ?? null);
  }
  return { kind: 'command', path, parameters };
}

function splitPath(text: string): { readonly path: string; readonly rest: string } | null {
  const bracketed = /^<([^<>]*)>(?: +(.*))?$/.exec(text.trimEnd());
  if (bracketed !== null) return { path: bracketed[1] ?? '', rest: bracketed[2] ?? '' };
  const bare = /^([^<> ]+)(?: +(.*))?$/.exec(text.trimEnd());
  return bare === null ? null : { path: bare[1] ?? '', rest: bare[2] ?? '' };
}

function plainPath(text: string): string | null {
  // RFC 5321 4.1.2, appendix C: a source route is taken and ignored.
  const path = text.replace(/^@[^\s,:@]+(?:,@[^\s,:@]+)*:/, '');
  if (path.length > smtpLimits.pathBytes) return null;
  // A quoted local part is closed, and only there is a space: elsewhere the next server would read a parameter.
  return !/[ "]/.test(path) || /^"(?:[^"\\]|\\.)*"@[^" ]+$/.test(path) ? path : null;
}

function refused(code: number, enhanced: string, text: string): Refused {
  return { kind: 'refused', reply: { code, enhanced, text } };
}
