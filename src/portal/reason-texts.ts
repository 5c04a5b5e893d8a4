import type { LoginReason } from '../credentials/login-reason.ts';

/** Why a sign-in was refused, for the person, and what she can do about it. */
export interface ReasonText {
  readonly sentence: string;
  readonly remedy: string;
}

/** Every reason there is: a new one does not compile until both languages have words for it. */
export type ReasonTexts = Readonly<Record<LoginReason, ReasonText>>;
