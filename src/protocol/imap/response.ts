import { imapLimits } from './limits.ts';

/**
 * The one writer of IMAP lines, toward clients and toward backends. A value with a CR, LF, NUL, other control
 * character or 8-bit byte would become a second line or worse (S-10): it is a fault of ours, so it throws.
 * Texts of others go through foreignText first.
 */

/** RFC 3501 7.1: what a response line says of a command or of the connection. */
export type Status = 'OK' | 'NO' | 'BAD' | 'BYE';

/** `tag OK [code] text`; code and text as RFC 3501 7.1, 9 have them. */
export function tagged(tag: string, status: Status, code: string | null, text: string): Buffer {
  if (code !== null && !/^[^[\]]+$/.test(code)) throw new TypeError('not a response code');
  // Without a code of ours the text's own bracket would be read as one.
  if (text === '' || (code === null && text.startsWith('['))) throw new TypeError('not a response text');
  return line(code === null ? `${tag} ${status} ${text}` : `${tag} ${status} [${code}] ${text}`);
}

/** `* OK [code] text`. */
export function untagged(status: Status, code: string | null, text: string): Buffer {
  return tagged('*', status, code, text);
}

/** `* CAPABILITY …`, `* ENABLED`, `* ID …`: data rather than a status. */
export function untaggedData(data: string): Buffer {
  return line(`* ${data}`);
}

/** RFC 3501 7.5: `+ ` and base64 or text. The space stays where nothing follows (wire 31). */
export function continuation(text: string): Buffer {
  return line(`+ ${text}`);
}

/** A command toward a backend. */
export function command(tag: string, name: string, args: readonly string[] = []): Buffer {
  return line([tag, name, ...args].join(' '));
}

/** A bare line toward a backend: a SASL response. */
export function bareLine(text: string): Buffer {
  return line(text);
}

/** RFC 3501 9: quoted. */
export function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

function line(text: string): Buffer {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new TypeError('an IMAP line may hold printable ASCII only');
  if (text.length > imapLimits.lineBytes - 2) throw new TypeError('an IMAP line may not be that long');
  return Buffer.from(`${text}\r\n`, 'latin1');
}
