/** What came of a typed code. `malformed` counts nowhere. */
export type CodeCheck =
  | { readonly kind: 'right' }
  | {
      readonly kind:
        | 'wrong'
        /** Right, but spent. */
        | 'used'
        | 'malformed'
        /** There is no such factor, or it is turned off. */
        | 'disabled'
        /** There is no code to hold it against any more. */
        | 'expired'
        /** Nobody could tell: an outage. */
        | 'unavailable';
    }
  | { readonly kind: 'throttled'; readonly until: number };

/** Digits as they were typed, however grouped; null for anything else or another number of them. */
export function digitsOf(code: string, count: number): string | null {
  const digits = code.replace(/[\s\u200b-\u200d\u2060-]/g, '');
  return digits.length === count && /^[0-9]+$/.test(digits) ? digits : null;
}

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
export const codeSymbols = crockford;

/** Sixteen symbols of Crockford's base32 as they were typed: O is 0, I and L are 1. null for anything else. */
export function symbolsOf(code: string): string | null {
  const symbols = code
    .slice(0, 200)
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[\s\u200b-\u200d\u2010-\u2015\u2060-]/g, '')
    .replaceAll('O', '0')
    .replace(/[IL]/g, '1');
  return /^[0-9A-HJKMNP-TV-Z]{16}$/.test(symbols) ? symbols : null;
}

/** `7KQ2-9F3M-XT4D-8HVN` */
export function groupedSymbols(symbols: string): string {
  return symbols.replace(/(.{4})(?=.)/g, '$1-');
}
