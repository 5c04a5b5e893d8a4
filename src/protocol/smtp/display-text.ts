/** What stands for `@` in somebody's eyes. */
const at = /[@\uff20\ufe6b]/;

/**
 * What looks like an address in a text that a person reads: something, `@`, something with a dot. Invisible characters do not
 * count, and punctuation around it is not part of it.
 */
export function addressesIn(text: string): readonly string[] {
  return text
    .normalize('NFC')
    .replace(/[\p{Cf}\p{Mn}]/gu, '')
    .split(/[\s<>()[\]{}"“”„«»,;:|]+/u)
    .filter((word) => at.test(word))
    .map((word) => word.replace(/['’]s$/u, '').replace(/^[.'`‘’!?*_=-]+|[.'`‘’!?*_=-]+$/gu, ''))
    .filter((word) => /[^@\uff20\ufe6b][@\uff20\ufe6b].*[.\u3002\uff0e\uff61]/u.test(word));
}

/**
 * A text with its encoded words decoded (RFC 2047), those within quotes too, because programs do that. null where one is
 * not read with certainty: unknown charset, bad coding, a control character or a turned direction inside, or a rest of one.
 */
export function decodeWords(text: string): string | null {
  let isSound = true;
  const decoded = text
    // Spaces between two encoded words are not shown.
    .replace(/(\?=)[ \t]+(?==\?)/g, '$1')
    .replace(
      /=\?([^?\s]{1,60})\?([BbQq])\?([^?]*)\?=/g,
      (_, charset: string, coding: string, coded: string) => {
        const word = decodeWord(charset, coding.toUpperCase() === 'B', coded);
        isSound &&= word !== null;
        return word ?? '';
      },
    );
  return isSound && !/=\?|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/.test(decoded)
    ? decoded
    : null;
}

function decodeWord(charset: string, isBase64: boolean, coded: string): string | null {
  const bytes = isBase64 ? fromBase64(coded) : fromQ(coded);
  if (bytes === null) return null;
  try {
    // RFC 2231 5: a language may follow the charset.
    return new TextDecoder(charset.replace(/\*.*$/, ''), { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function fromBase64(coded: string): Buffer | null {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(coded) ? Buffer.from(coded, 'base64') : null;
}

function fromQ(coded: string): Buffer | null {
  if (/=(?![0-9A-Fa-f]{2})|[^\x20-\x7e]/.test(coded)) return null;
  const bytes = coded
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(bytes, 'latin1');
}
