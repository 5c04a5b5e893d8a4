import type { Protocol } from './verdict.ts';

/** What an app password opens: protocols, and the listener for devices that speak nothing newer than TLS 1.0 (wire 123). */
export type Scope = Protocol | 'legacy-tls';

// At rest and under MACs: never renumber.
const bits: Readonly<Record<Scope, number>> = { imap: 1, pop3: 2, smtp: 4, 'legacy-tls': 8 };
const all: readonly Scope[] = ['imap', 'pop3', 'smtp', 'legacy-tls'];

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

export function isScope(text: string): text is Scope {
  return Object.hasOwn(bits, text);
}

/** Whether anything is opened at all: the old listener alone is a door to nowhere. */
export function opensProtocol(scopes: readonly Scope[]): boolean {
  return scopes.some((scope) => scope !== 'legacy-tls');
}
