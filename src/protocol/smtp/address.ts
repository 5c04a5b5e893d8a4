import { smtpLimits } from './limits.ts';

/**
 * What stood between the brackets of MAIL or RCPT, read as raw bytes (Latin-1). `path` goes to the backend: ASCII, or with
 * `isUtf8` any characters but control characters and line separators. A source route is taken and ignored
 * (RFC 5321 4.1.2, appendix C), a domain in other letters becomes its ASCII form where the client did not ask for SMTPUTF8.
 */
export type ReadPath =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'malformed' }
  /** RFC 6531: without SMTPUTF8 a mailbox name is ASCII. */
  | { readonly kind: 'not-ascii' };

export function readPath(raw: string, isUtf8: boolean): ReadPath {
  const written = raw.replace(/^@[^\s,:@]+(?:,@[^\s,:@]+)*:/, '');
  const text = isAscii(written) ? written : decode(written);
  if (text === null) return { kind: 'not-ascii' };
  const path = isUtf8 || isAscii(text) ? text : withAsciiDomain(text);
  if (path === null) return { kind: 'not-ascii' };
  return isWellFormed(path) ? { kind: 'path', path } : { kind: 'malformed' };
}

function isWellFormed(path: string): boolean {
  if (path.length > smtpLimits.pathBytes) return false;
  // NEL and the separators are line ends to some software; control characters have no other use here.
  if (/[\p{Cc}\u2028\u2029\ufffd]/u.test(path)) return false;
  // A quoted local part is closed, and only there is a space: elsewhere the next server would read a parameter.
  return !/[ "]/.test(path) || /^"(?:[^"\\]|\\.)*"@[^" ]+$/.test(path);
}

/** null where a local part needs SMTPUTF8, or the domain is none. */
function withAsciiDomain(path: string): string | null {
  const at = path.lastIndexOf('@');
  const [local, domain] = [path.slice(0, at), path.slice(at + 1)];
  if (at === -1 || !isAscii(local)) return null;
  // Of ASCII letters what a name may have: to the parser of URLs the others would be port, user or an escape.
  if (/[^A-Za-z0-9.\-\u0080-\u{10ffff}]/u.test(domain)) return null;
  const url = URL.parse(`http://${domain}/`);
  const name = url?.hostname ?? '';
  // Digits of other scripts would have become an address.
  return /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/.test(name) && !/(?:^|\.)\d+$/.test(name) ? `${local}@${name}` : null;
}

function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

function decode(latin1: string): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(
      Uint8Array.from(latin1, (letter) => letter.charCodeAt(0)),
    );
  } catch {
    return null;
  }
}
