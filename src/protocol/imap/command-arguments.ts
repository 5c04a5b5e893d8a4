import { Secret } from '../../secret.ts';
import { type Argument, ArgumentCursor } from './grammar.ts';
import { imapLimits } from './limits.ts';

/** How many letters an app password has, which people write with spaces between (requirements 3.7). */
const appPasswordLetters = 16;

export type LoginArguments =
  | { readonly kind: 'login'; readonly name: Buffer; readonly password: Secret }
  | { readonly kind: 'bad'; readonly text: string };

/**
 * RFC 3501 6.2.3. An app password with its spaces and without quotes is put together (wire 27): a script
 * would otherwise be told of a wrong password. Zeroes every part of the password it does not give.
 */
export function parseLogin(args: Buffer): LoginArguments {
  const cursor = new ArgumentCursor(args);
  const found: Argument[] = [];
  while (!cursor.atEnd() && found.length <= appPasswordLetters + 1) {
    const argument = cursor.astring();
    if (argument === null || !isSeparated(cursor)) {
      wipe(found);
      return { kind: 'bad', text: 'Invalid argument to LOGIN.' };
    }
    found.push(argument);
  }
  const [name, first, ...more] = found;
  if (name === undefined || first === undefined) return { kind: 'bad', text: 'Missing argument to LOGIN.' };
  if (more.length === 0) return { kind: 'login', name: name.bytes, password: new Secret(first.bytes) };

  const parts = [first, ...more];
  const joined = Buffer.concat(parts.map((part) => part.bytes));
  const isAppPassword =
    parts.every((part) => part.form === 'atom') &&
    joined.length === appPasswordLetters &&
    joined.every(isLetter);
  wipe(parts);
  if (isAppPassword) return { kind: 'login', name: name.bytes, password: new Secret(joined) };
  joined.fill(0);
  return { kind: 'bad', text: 'Too many arguments to LOGIN (quote the password).' };
}

/** RFC 3501 6.2.2 with RFC 4959: null where the client sent no initial response, empty where it sent `=`. */
export type AuthenticateArguments = { readonly mechanism: string; readonly initial: Buffer | null };

/** The initial response is still base64; the caller zeroes it. Null: no mechanism. */
export function parseAuthenticate(args: Buffer): AuthenticateArguments | null {
  const cursor = new ArgumentCursor(args);
  if (cursor.atEnd()) return null;
  const mechanism = cursor.astring();
  if (mechanism === null || mechanism.form !== 'atom' || !isSeparated(cursor)) return null;
  const name = mechanism.bytes.toString('latin1');
  if (cursor.atEnd()) return { mechanism: name, initial: null };
  const initial = withoutTrailingSpaces(cursor.rest());
  return { mechanism: name, initial: initial.toString('latin1') === '=' ? Buffer.alloc(0) : initial };
}

/** What of an ID is of use: a name for logs, and of another proxy how many hops it leaves. */
export interface IdFields {
  readonly name: string | null;
  readonly proxyTtl: number | null;
}

/**
 * RFC 2971 3.1, in every spelling clients use: NIL, (), quoted, atoms, literals, NIL values (wire 7).
 * What a client calls itself, control characters replaced. Everything else is left out: a backend that trusts the
 * gateway would believe its `x-` keys (wire 9). Null: not an ID list, or over its limits.
 */
export function parseId(args: Buffer): IdFields | null {
  let fields: IdFields = { name: null, proxyTtl: null };
  const cursor = new ArgumentCursor(args);
  if (cursor.atEnd()) return null;
  if (!cursor.take('(')) return isNil(cursor.astring()) && cursor.atEnd() ? fields : null;
  for (let pairs = 0; !cursor.atEnd(); pairs++) {
    if (cursor.take(')')) return cursor.atEnd() ? fields : null;
    const key = cursor.astring();
    if (key === null || cursor.atEnd()) return null;
    const value = cursor.astring();
    if (value === null || pairs === imapLimits.idPairs) return null;
    if (key.bytes.length > imapLimits.idKeyBytes || value.bytes.length > imapLimits.idValueBytes) return null;
    if (isNil(value)) continue;
    switch (key.bytes.toString('latin1').toLowerCase()) {
      case 'name':
        fields = { ...fields, name: readable(value.bytes) };
        break;
      case 'x-proxy-ttl':
        fields = { ...fields, proxyTtl: hopsLeft(value.bytes) };
        break;
    }
  }
  return null;
}

/** A lie can only end the liar's own login: anything but a small number counts as none left (wire 72). */
function hopsLeft(value: Buffer): number {
  const text = value.toString('latin1');
  return /^[0-9]$/.test(text) ? Number(text) : 0;
}

function isSeparated(cursor: ArgumentCursor): boolean {
  return cursor.rest().length === 0 || cursor.take(' ');
}

function isNil(argument: Argument | null): boolean {
  return argument?.form === 'atom' && argument.bytes.toString('latin1').toUpperCase() === 'NIL';
}

function readable(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
}

function isLetter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

function withoutTrailingSpaces(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (bytes[end - 1] === 0x20) end--;
  return bytes.subarray(0, end);
}

function wipe(parts: readonly Argument[]): void {
  for (const part of parts) part.bytes.fill(0);
}
