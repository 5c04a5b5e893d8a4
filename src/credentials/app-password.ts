import { randomInt } from 'node:crypto';
import { Secret } from '../secret.ts';

// Sixteen letters: fifteen random ones (70 bits) and the check letter of ISO/IEC 7064 MOD 27,26 (requirements 3.7).

const randomLetters = 15;
const letterA = 0x61;

/** Draws a new app password: sixteen ASCII letters. */
export function generateAppPassword(): Secret {
  const letters = Buffer.alloc(randomLetters + 1);
  for (let index = 0; index < randomLetters; index += 1) letters[index] = letterA + randomInt(26);
  letters[randomLetters] = letterA + ((27 - product(letters)) % 26);
  return new Secret(letters);
}

/** What was typed for an app password; only `secret` may be kept, and must be wiped. */
export type TypedSecret =
  | { readonly kind: 'secret'; readonly secret: Secret }
  /** Sixteen letters whose check letter does not fit: a typing mistake, or somebody's main password all the same. */
  | { readonly kind: 'one-letter-wrong' }
  /** Most likely somebody's main password, which goes nowhere from here (S-15). */
  | { readonly kind: 'other' };

/** As {@link parseAppPassword}, and how it fails. */
export function readAppPassword(bytes: Buffer): TypedSecret {
  const letters = lettersOf(bytes);
  if (letters === null) return { kind: 'other' };
  const secret = new Secret(letters);
  if (isChecked(letters)) return { kind: 'secret', secret };
  secret.wipe();
  return { kind: 'one-letter-wrong' };
}

/**
 * The sixteen letters in typed or pasted bytes: white space, zero-width characters, dashes and case do not matter (wire 26).
 * null: not the shape, so most likely somebody's main password, which goes nowhere from here (S-15).
 * Works on bytes, because a string could not be wiped.
 */
export function parseAppPassword(bytes: Buffer): Secret | null {
  const typed = readAppPassword(bytes);
  return typed.kind === 'secret' ? typed.secret : null;
}

/** null: not sixteen letters. */
function lettersOf(bytes: Buffer): Buffer | null {
  const letters = Buffer.alloc(randomLetters + 1);
  let count = 0;
  for (let offset = 0; offset < bytes.length; ) {
    const character = characterAt(bytes, offset);
    offset += character.length;
    if (isIgnored(character.codePoint)) continue;
    const letter = character.codePoint | 0x20;
    if (character.codePoint > 0x7f || letter < letterA || letter > 0x7a || count > randomLetters) {
      letters.fill(0);
      return null;
    }
    letters[count] = letter;
    count += 1;
  }
  if (count === randomLetters + 1) return letters;
  letters.fill(0);
  return null;
}

/** As people read it: `abcd efgh ijkl mnoq`. A string, so only for the one place that shows it. */
export function formatAppPassword(secret: Secret): string {
  return secret.text().replace(/(.{4})(?=.)/g, '$1 ');
}

function isChecked(letters: Buffer): boolean {
  return (product(letters) + (letters[randomLetters] ?? 0) - letterA) % 26 === 1;
}

/** `p` of ISO/IEC 7064 after the fifteen random letters. */
function product(letters: Buffer): number {
  let p = 26;
  for (let index = 0; index < randomLetters; index += 1) {
    const sum = (p + (letters[index] ?? 0) - letterA) % 26;
    p = ((sum === 0 ? 26 : sum) * 2) % 27;
  }
  return p;
}

/** The UTF-8 character, or the Latin-1 one where the bytes are not UTF-8. No character that matters has four bytes. */
function characterAt(bytes: Buffer, offset: number): { readonly codePoint: number; readonly length: number } {
  const first = bytes[offset] ?? 0;
  const second = continuation(bytes[offset + 1]);
  if (first >= 0xc2 && first < 0xe0 && second !== null) {
    return { codePoint: ((first & 0x1f) << 6) | second, length: 2 };
  }
  const third = continuation(bytes[offset + 2]);
  if (first >= 0xe0 && first < 0xf0 && second !== null && third !== null) {
    return { codePoint: ((first & 0x0f) << 12) | (second << 6) | third, length: 3 };
  }
  return { codePoint: first, length: 1 };
}

function continuation(byte: number | undefined): number | null {
  return byte !== undefined && (byte & 0xc0) === 0x80 ? byte & 0x3f : null;
}

/** Unicode white space, zero-width characters and dashes. */
function isIgnored(codePoint: number): boolean {
  return (
    (codePoint >= 0x09 && codePoint <= 0x0d) ||
    codePoint === 0x20 ||
    codePoint === 0x2d ||
    codePoint === 0x85 ||
    codePoint === 0xa0 ||
    codePoint === 0xad ||
    codePoint === 0x1680 ||
    codePoint === 0x180e ||
    (codePoint >= 0x2000 && codePoint <= 0x2015) ||
    (codePoint >= 0x2028 && codePoint <= 0x202f) ||
    codePoint === 0x205f ||
    codePoint === 0x2060 ||
    codePoint === 0x2212 ||
    codePoint === 0x3000 ||
    codePoint === 0xfe58 ||
    codePoint === 0xfe63 ||
    codePoint === 0xfeff ||
    codePoint === 0xff0d
  );
}
