import type { Secret } from '../secret.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import type { KeyRing } from './key-file.ts';

const labels = {
  'app-password': 'sallyport/v1/app-password/selector',
  'recovery-code': 'sallyport/v1/recovery-code/selector',
} as const;

/**
 * Sixteen bits that find the candidate rows of an account; they prove nothing. Longer, they would let the thief of database
 * and pepper test guesses without paying argon2id (requirements 3.2). null: the pepper is gone.
 */
export function selectorOf(
  keys: KeyRing,
  pepperVersion: number,
  accountId: Buffer,
  secret: Secret,
  purpose: keyof typeof labels = 'app-password',
): number | null {
  const key = keys.derive('pepper', pepperVersion, labels[purpose]);
  if (key === null) return null;
  return keyedHash(key, lengthPrefixed(accountId), lengthPrefixed(secret.bytes())).readUInt16BE(0);
}
