import { Secret } from '../../secret.ts';
import { hasControlByte } from '../bytes.ts';
import type { SaslMechanism, SaslStep } from './mechanism.ts';

const nul = 0;

/** PLAIN (RFC 4616), server side: `authzid NUL authcid NUL password`. */
export class PlainExchange implements SaslMechanism {
  readonly name = 'PLAIN';

  next(response: Buffer | null): SaslStep {
    if (response === null) return { kind: 'challenge', challenge: Buffer.alloc(0) };
    const step = parsePlain(response);
    response.fill(0);
    return step;
  }
}

function parsePlain(message: Buffer): SaslStep {
  const first = message.indexOf(nul);
  const second = first === -1 ? -1 : message.indexOf(nul, first + 1);
  // A third NUL would let two readers of one message disagree on who logs in (S-05).
  if (second === -1 || message.includes(nul, second + 1)) return { kind: 'failure', reason: 'malformed' };
  const authcid = Buffer.from(message.subarray(first + 1, second));
  // Taking the authzid instead would let a client choose the name that is never checked (wire 86).
  if (authcid.length === 0) return { kind: 'failure', reason: 'no-authcid' };
  return {
    kind: 'credentials',
    credentials: {
      authzid: Buffer.from(message.subarray(0, first)),
      authcid,
      password: new Secret(Buffer.from(message.subarray(second + 1))),
    },
  };
}

/**
 * The message with which the gateway logs in at a backend on a user's behalf, not yet encoded.
 * Throws on an empty name (without authzid the client would get the master's own mailbox) and on a NUL or
 * control character (it would shift the fields): whoever calls has canonical names (S-04).
 */
export function plainMessage(identity: { authzid: string; authcid: string; password: Secret }): Buffer {
  const password = identity.password.bytes();
  if (!isCleanName(identity.authzid)) throw new TypeError('authzid is empty or has control characters');
  if (!isCleanName(identity.authcid)) throw new TypeError('authcid is empty or has control characters');
  if (password.length === 0 || hasControlByte(password)) {
    throw new TypeError('upstream password is empty or has control characters');
  }
  const names = Buffer.from(`${identity.authzid}\0${identity.authcid}\0`, 'utf8');
  return Buffer.concat([names, password]);
}

function isCleanName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f]/.test(name);
}
