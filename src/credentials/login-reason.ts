import type { RejectionReason } from './verdict.ts';

/** Why a login was refused, as the login log keeps it: codes, because the command line and the portal say them in words. */
export type LoginReason =
  | RejectionReason
  | 'throttled'
  | 'too-many-sessions'
  /** The backend turned the mailbox away: `detail` is its code. */
  | 'backend-refused'
  /** The backend, or the way to it: `detail` is what was seen, where it is known. */
  | 'backend-down'
  /** Store, cache or queue: `detail` says which. */
  | 'unavailable'
  | 'fault';
