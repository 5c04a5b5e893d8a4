import type { VerifiedLogin } from './verifier.ts';

/** A mail protocol, and the scope an app password needs for it. */
export type Protocol = 'imap' | 'pop3' | 'smtp';

/** Reaches logs, metrics and the login log, never the wire: there one text covers all of them but four. */
export type RejectionReason =
  | 'malformed-name'
  | 'authzid-differs'
  | 'unknown-account'
  | 'not-an-app-password'
  | 'wrong'
  | 'revoked'
  | 'expired'
  | 'wrong-protocol'
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
    }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number }
  | { readonly kind: 'unavailable'; readonly cause: string };
