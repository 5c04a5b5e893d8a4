import type { VerifiedLogin } from './verifier.ts';

/** A mail protocol, and the scope an app password needs for it. */
export type Protocol = 'imap' | 'pop3' | 'smtp';

/** Reaches logs, metrics and the login log, never the wire: there one text covers all of them but four. */
export type RejectionReason =
  | 'malformed-name'
  | 'authzid-differs'
  | 'unknown-account'
  | 'not-an-app-password'
  /** The same to whoever is at the wire: only its check letter does not fit. */
  | 'one-letter-wrong'
  | 'wrong'
  | 'revoked'
  | 'paused'
  | 'expired'
  | 'wrong-protocol'
  | 'wrong-security'
  | 'wrong-network'
  | 'account-disabled';

/** What the verifier says of a login. An outage is `unavailable`, never `rejected`. */
export type Verdict =
  | { readonly kind: 'verified'; readonly login: VerifiedLogin }
  | {
      readonly kind: 'rejected';
      readonly reason: RejectionReason;
      /** The domain's policy alone decides this, so that it tells nothing of the account (S-13). */
      readonly appPasswordRequired: boolean;
      /** For the login log: which app password it was, where that is proven; null where it is none. */
      readonly credentialId: Buffer | null;
    }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }
  | { readonly kind: 'unavailable'; readonly cause: string };
