import { readPath } from './address.ts';
import { smtpLimits } from './limits.ts';
import type { ClientReply } from './reply.ts';
import { isXtext } from './xtext.ts';

/** What of a MAIL command goes on to the backend. Parameters are null where the client did not give them. */
export interface MailOrder {
  readonly kind: 'mail';
  /** Without the angle brackets, without `<` and `>`, printable; ASCII unless {@link smtpUtf8}. Empty for the null reverse-path. */
  readonly path: string;
  /** RFC 1870. */
  readonly size: number | null;
  /** RFC 6152. */
  readonly body: '7BIT' | '8BITMIME' | null;
  /** RFC 6531: paths and headers may hold UTF-8. */
  readonly smtpUtf8: boolean;
  /** RFC 3461 4.3. */
  readonly ret: 'FULL' | 'HDRS' | null;
  /** RFC 3461 4.4: xtext, as it was written and never decoded. */
  readonly envid: string | null;
}

/** What of a RCPT command goes on to the backend. */
export interface RcptOrder {
  readonly kind: 'rcpt';
  readonly path: string;
  /** RFC 3461 4.1, in capitals. */
  readonly notify: string | null;
  /** RFC 3461 4.2: an address type, `;` and xtext, as it was written and never decoded. */
  readonly orcpt: string | null;
}

export type Refused = { readonly kind: 'refused'; readonly reply: ClientReply };

/** RFC 1870 6.1: said at MAIL, or once the limit has passed in DATA. */
export const tooBig: Refused = refused(552, '5.3.4', 'Message too big');

/** A parameter of an extension that is not offered, or not known (RFC 5321 4.1.1.11). */
export const unsupported: Refused = refused(555, '5.5.4', 'Unsupported parameter');

/**
 * Reads a MAIL command (RFC 5321 4.1.1.2) as raw bytes. Lenient where clients need it (a space behind the colon,
 * missing brackets: wire 92), but nothing is dropped in silence: a parameter is relayed, meant for us, or refused (wire 93).
 */
export function parseMail(line: Buffer, limits: { readonly messageBytes: number }): MailOrder | Refused {
  const command = splitCommand(line, /^MAIL[ \t]+FROM[ \t]*:[ \t]*/i, '5.1.7');
  if (command.kind === 'refused') return command;
  let [size, body, smtpUtf8, ret, envid]: [
    number | null,
    MailOrder['body'],
    boolean,
    MailOrder['ret'],
    string | null,
  ] = [null, null, false, null, null];
  for (const [keyword, value] of command.parameters) {
    const capital = value?.toUpperCase();
    switch (keyword) {
      case 'SIZE':
        if (value === null || !/^\d{1,20}$/.test(value)) return bad('SIZE');
        size = Number(value);
        break;
      case 'BODY':
        if (capital !== '7BIT' && capital !== '8BITMIME') return bad('BODY');
        body = capital;
        break;
      case 'SMTPUTF8':
        if (value !== null) return bad('SMTPUTF8');
        smtpUtf8 = true;
        break;
      case 'RET':
        if (capital !== 'FULL' && capital !== 'HDRS') return bad('RET');
        ret = capital;
        break;
      case 'ENVID':
        if (value === null || value.length > smtpLimits.envidBytes || !isXtext(value)) return bad('ENVID');
        envid = value;
        break;
      case 'AUTH':
        // RFC 4954 5: who submitted it is ours to know, and no server need believe a client on it.
        break;
      default:
        return unsupported;
    }
  }
  if (size !== null && size > limits.messageBytes) return tooBig;
  const path = pathOf(command, smtpUtf8, '5.1.7');
  if (path.kind === 'refused') return path;
  return { kind: 'mail', path: path.path, size, body, smtpUtf8, ret, envid };
}

/** Reads a RCPT command (RFC 5321 4.1.1.3) as raw bytes. `smtpUtf8`: MAIL asked for it. */
export function parseRcpt(line: Buffer, options: { readonly smtpUtf8: boolean }): RcptOrder | Refused {
  const command = splitCommand(line, /^RCPT[ \t]+TO[ \t]*:[ \t]*/i, '5.1.3');
  if (command.kind === 'refused') return command;
  let [notify, orcpt]: [string | null, string | null] = [null, null];
  for (const [keyword, value] of command.parameters) {
    const capital = value?.toUpperCase() ?? '';
    switch (keyword) {
      case 'NOTIFY':
        if (!/^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/.test(capital)) {
          return bad('NOTIFY');
        }
        notify = capital;
        break;
      case 'ORCPT': {
        const [, address] = /^[A-Za-z0-9-]{1,64};(.+)$/.exec(value ?? '') ?? [];
        if (address === undefined || (value ?? '').length > smtpLimits.orcptBytes || !isXtext(address)) {
          return bad('ORCPT');
        }
        orcpt = value;
        break;
      }
      default:
        return unsupported;
    }
  }
  const path = pathOf(command, options.smtpUtf8, '5.1.3');
  if (path.kind === 'refused') return path;
  if (path.path === '') return refused(501, '5.1.3', 'Bad recipient address syntax');
  return { kind: 'rcpt', path: path.path, notify, orcpt };
}

type Command = {
  readonly kind: 'command';
  readonly path: string;
  readonly parameters: ReadonlyMap<string, string | null>;
};
type AddressCode = '5.1.3' | '5.1.7';

function splitCommand(bytes: Buffer, verb: RegExp, addressCode: AddressCode): Command | Refused {
  if (bytes.length > smtpLimits.commandLineBytes) return refused(500, '5.5.2', 'Line too long');
  const line = bytes.toString('latin1');
  const start = verb.exec(line);
  if (start === null) return refused(501, '5.5.4', 'Syntax error in parameters');
  // A control character in an address has no use but to end a line where the next server reads it (S-10).
  if (/[\x00-\x1f\x7f]/.test(line)) return badAddress(addressCode);
  const split = splitPath(line.slice(start[0].length));
  if (split === null) return badAddress(addressCode);
  const parameters = new Map<string, string | null>();
  for (const word of split.rest.split(' ').filter((part) => part !== '')) {
    const parameter = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?$/.exec(word);
    const keyword = parameter?.[1]?.toUpperCase();
    if (keyword === undefined || parameters.has(keyword)) {
      return refused(501, '5.5.4', 'Syntax error in parameters');
    }
    parameters.set(keyword, parameter?.[2] ?? null);
  }
  return { kind: 'command', path: split.path, parameters };
}

function splitPath(text: string): { readonly path: string; readonly rest: string } | null {
  const bracketed = /^<([^<>]*)>(?: +(.*))?$/.exec(text.trimEnd());
  if (bracketed !== null) return { path: bracketed[1] ?? '', rest: bracketed[2] ?? '' };
  const bare = /^([^<> ]+)(?: +(.*))?$/.exec(text.trimEnd());
  return bare === null ? null : { path: bare[1] ?? '', rest: bare[2] ?? '' };
}

function pathOf(
  command: Command,
  isUtf8: boolean,
  addressCode: AddressCode,
): { readonly kind: 'path'; readonly path: string } | Refused {
  const read = readPath(command.path, isUtf8);
  switch (read.kind) {
    case 'path':
      return read;
    case 'malformed':
      return badAddress(addressCode);
    case 'not-ascii':
      return refused(553, '5.6.7', 'Address must be ASCII');
    default:
      return read satisfies never;
  }
}

function badAddress(code: AddressCode): Refused {
  return refused(501, code, 'Bad address syntax');
}

function bad(parameter: string): Refused {
  return refused(501, '5.5.4', `Bad ${parameter} parameter`);
}

function refused(code: number, enhanced: string, text: string): Refused {
  return { kind: 'refused', reply: { code, enhanced, text } };
}
