import type { Protocol } from './verdict.ts';

/** What an app password opens: one protocol each. */
export type Scope = Protocol;

// At rest and under MACs: never renumber.
const bits: Readonly<Record<Scope, number>> = { imap: 1, pop3: 2, smtp: 4 };
const all: readonly Scope[] = ['imap', 'pop3', 'smtp'];

export function scopeBits(scopes: readonly Scope[]): number {
  return scopes.reduce((sum, scope) => sum | bits[scope], 0);
}

/** Unknown bits open nothing. */
export function scopesOf(value: number): readonly Scope[] {
  return all.filter((scope) => (value & bits[scope]) !== 0);
}

export function hasScope(value: number, scope: Scope): boolean {
  return (value & bits[scope]) !== 0;
}
