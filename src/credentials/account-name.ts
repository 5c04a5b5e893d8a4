import { domainToASCII } from 'node:url';

/** The longest address there can be (RFC 5321 4.5.3.1.3, less the angle brackets). */
const maxCharacters = 254;

/** Unassigned, control, format, private and separator characters, wherever they stand. */
const invisible = /[\p{C}\p{Z}]/u;

/** `%` is expanded by backends, `*` separates their master login, quotes and backslash are address syntax (S-04). */
const steering = /[%*"\\]/;

/** NFC turns these into ASCII: KELVIN SIGN would become a `K`, and so another person's name. */
const becomesAscii = /[\u212a\u037e\u1fef]/u;

const asciiDomain = /^(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*$/;

/** A login name in the one form in which names are compared. */
export interface AccountName {
  readonly address: string;
  readonly local: string;
  readonly domain: string;
}

/**
 * The canonical form of a login name, or null for one that no account can have (S-04). Bytes are read as UTF-8 or else
 * as Latin-1, as old clients send (wire 25); a name without `@` gets `defaultDomain`, or is null without one.
 */
export function canonicalName(name: Buffer | string, defaultDomain: string | null): AccountName | null {
  const text = typeof name === 'string' ? name : decode(name);
  if (text.length > maxCharacters || becomesAscii.test(text)) return null;
  // Spaces around a name are pasted; inside they are refused.
  const plain = text.normalize('NFC').replace(/^ +| +$/g, '');
  if (invisible.test(plain) || steering.test(plain)) return null;

  const at = plain.indexOf('@');
  const local = foldAscii(at === -1 ? plain : plain.slice(0, at));
  const domain = at === -1 ? defaultDomain : canonicalDomain(plain.slice(at + 1));
  if (local === '' || domain === null) return null;
  const address = `${local}@${domain}`;
  return address.length > maxCharacters ? null : { address, local, domain };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}

/** Letters a to z only: any wider folding makes two people's names one. */
function foldAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function canonicalDomain(text: string): string | null {
  const folded = foldAscii(text);
  if (asciiDomain.test(folded)) return folded;
  // IDNA also folds full-width letters and ideographic dots to ASCII: a label that was not ASCII must stay so, as xn--.
  const labels = folded.split('.');
  const ascii = domainToASCII(folded).split('.');
  if (labels.length !== ascii.length) return null;
  const isFaithful = labels.every((label, index) =>
    /^[\x21-\x7e]+$/.test(label) ? label === ascii[index] : ascii[index]?.startsWith('xn--') === true,
  );
  const name = ascii.join('.');
  return isFaithful && asciiDomain.test(name) ? name : null;
}

/**
 * The name a refused login may be logged under; null where it could be a password typed into the wrong field (S-91): then
 * only an address in one of our domains is a name.
 */
export function loggableName(typed: string, domains: Readonly<Record<string, unknown>>): string | null {
  const name = typed.includes('@') ? canonicalName(typed, null) : null;
  return name !== null && Object.hasOwn(domains, name.domain) ? name.address : null;
}
