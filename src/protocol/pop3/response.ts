import { pop3Limits } from './limits.ts';

/**
 * The one writer of POP3 lines, toward clients and toward backends. A value with a CR, LF, NUL, other control
 * character or 8-bit byte would become a second line or worse (S-10): it is a fault of ours, so it throws.
 * Texts of others go through foreignText first.
 */

/** `+OK text`, or `+OK` alone for an empty text. Cut to the length of a line. */
export function ok(text: string): Buffer {
  // Brackets in front would be read as a response code (RFC 2449 8).
  if (text.startsWith('[')) throw new TypeError('not a response text');
  return reply(text === '' ? '+OK' : `+OK ${text}`);
}

/** `-ERR [code] text` (RFC 2449 8, RFC 3206). Cut to the length of a line. */
export function err(code: string | null, text: string): Buffer {
  if (code !== null && !/^[A-Z0-9/-]+$/.test(code)) throw new TypeError('not a response code');
  if (text === '' || (code === null && text.startsWith('['))) throw new TypeError('not a response text');
  return reply(code === null ? `-ERR ${text}` : `-ERR [${code}] ${text}`);
}

/** RFC 1939 3: `+OK`, lines, and the dot. None of ours begins with a dot. */
export function listing(lines: readonly string[]): Buffer {
  return Buffer.concat(['+OK', ...lines, '.'].map(reply));
}

/** RFC 5034 4: `+ ` and base64. The space stays where nothing follows (wire 31, 145). */
export function continuation(base64: string): Buffer {
  return reply(`+ ${base64}`);
}

/** A line toward a backend: a command or a SASL response, of at most `maximumBytes` with its end. */
export function commandLine(text: string, maximumBytes: number): Buffer {
  if (text.length > maximumBytes - 2) throw new RangeError('a POP3 command may not be that long');
  return line(text);
}

function reply(text: string): Buffer {
  const whole = line(text);
  const longest = pop3Limits.replyLineBytes - 2;
  return text.length > longest ? line(text.slice(0, longest)) : whole;
}

function line(text: string): Buffer {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new TypeError('a POP3 line may hold printable ASCII only');
  return Buffer.from(`${text}\r\n`, 'latin1');
}
