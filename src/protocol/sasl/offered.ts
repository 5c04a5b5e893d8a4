import { LoginExchange } from './login.ts';
import type { MechanismName, SaslMechanism } from './mechanism.ts';
import { PlainExchange } from './plain.ts';

/**
 * In the order they are announced. No CRAM-MD5, DIGEST-MD5 or SCRAM: a hash at rest needs the password itself,
 * and clients would try those first (wire 41).
 */
export const offeredMechanisms: readonly MechanismName[] = ['PLAIN', 'LOGIN'];

/** Starts an exchange, or gives null for a mechanism that is not offered. Names have no case (RFC 4422 3.1). */
export function startExchange(name: string): SaslMechanism | null {
  switch (name.toUpperCase()) {
    case 'PLAIN':
      return new PlainExchange();
    case 'LOGIN':
      return new LoginExchange();
    default:
      return null;
  }
}
