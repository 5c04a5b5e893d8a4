import { foreignText } from '../foreign-text.ts';

/** A line of a backend. Its texts are harmless already, and may be empty. */
export type BackendReply =
  /** `code`: in capitals, with its argument where it has one; null where there is none. */
  | { readonly kind: 'ok' | 'err'; readonly code: string | null; readonly text: string }
  /** `+ …`: it wants a SASL response. */
  | { readonly kind: 'continuation' }
  | { readonly kind: 'unreadable'; readonly text: string };

/** Reads one line (RFC 1939 3, RFC 2449 8); never fails, a line of no sense is `unreadable`. */
export function parseReply(line: Buffer): BackendReply {
  const text = line.toString('latin1');
  const status = /^(\+OK|-ERR)(?:[ \t]+(.*))?$/is.exec(text);
  if (status !== null) {
    const [, word = '', rest = ''] = status;
    const [, code = null, behind = rest] = /^\[([^\]]*)\][ \t]*(.*)$/s.exec(rest) ?? [];
    return {
      kind: word.toUpperCase() === '+OK' ? 'ok' : 'err',
      code: code === null ? null : foreignText(code).toUpperCase(),
      text: foreignText(behind),
    };
  }
  // Some servers leave out the space.
  if (/^\+(?: |$)/.test(text)) return { kind: 'continuation' };
  return { kind: 'unreadable', text: foreignText(text) };
}

/** What a backend's -ERR to our login means. */
export interface BackendRefusal {
  /** `refused-us`: it does not take the gateway's own credential, so that nobody gets in: an alarm. */
  readonly kind: 'refused-us' | 'unavailable-user';
  readonly detail: string;
  /** What the client may be told; never AUTH, because its password was right (wire 147). */
  readonly forward: { readonly code: string; readonly text: string } | null;
}

/** RFC 2449 8.1, RFC 3206 4: codes that speak of the mailbox or of the moment. */
const forwardedCodes: ReadonlySet<string> = new Set(['IN-USE', 'LOGIN-DELAY', 'SYS/TEMP', 'SYS/PERM']);

/** Sorts an -ERR by its response code. A code of no meaning here is told as SYS/TEMP. */
export function readRefusal({ code, text: said }: BackendReply & { kind: 'ok' | 'err' }): BackendRefusal {
  const text = said || 'Refused by the mail server.';
  // RFC 3206 6: AUTH speaks of who logs in, and that is the gateway.
  if (code === null || code === 'AUTH') {
    return { kind: 'refused-us', detail: `login refused: ${text}`, forward: null };
  }
  const forwarded = forwardedCodes.has(code) ? code : 'SYS/TEMP';
  return {
    kind: 'unavailable-user',
    detail: `mailbox refused: [${code}] ${text}`,
    forward: { code: forwarded, text },
  };
}
