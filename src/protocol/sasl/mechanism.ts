import type { SaslCredentials } from './credentials.ts';

/** What a client's response leads to. */
export type SaslStep =
  /** Not yet encoded; empty where the mechanism has nothing to say. */
  | { readonly kind: 'challenge'; readonly challenge: Buffer }
  | { readonly kind: 'credentials'; readonly credentials: SaslCredentials }
  | {
      readonly kind: 'failure';
      /** `malformed` breaks the mechanism's syntax (BAD, 501); `no-authcid` is a failed login (NO, 535). */
      readonly reason: 'malformed' | 'no-authcid';
    };

/**
 * The server side of one SASL exchange (RFC 4422 3), decoded bytes in and out. Good for one exchange;
 * an aborted one is simply dropped.
 */
export interface SaslMechanism {
  readonly name: MechanismName;
  /**
   * First the initial response: null where the client gave none, which is not an empty one (RFC 4959 3).
   * Zeroes a response that held the password; what it keeps or gives are copies.
   */
  next(response: Buffer | null): SaslStep;
}

/** The mechanisms we offer. Neither hides the password: they are for TLS only. */
export type MechanismName = 'PLAIN' | 'LOGIN';
