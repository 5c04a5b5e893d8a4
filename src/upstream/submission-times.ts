import { openMs } from './opening.ts';

/** How long the backend may take. */
export interface SubmissionTimes {
  /** Dial to the answer to AUTH: a person waits. */
  readonly openMs: number;
  /** For the reply to a command, or for room for more of a message (RFC 5321 4.5.3.2 asks for 2 to 5 minutes). */
  readonly commandMs: number;
  /** For the reply to the end of data (RFC 5321 4.5.3.2.6). */
  readonly finalMs: number;
}

/** What RFC 5321 asks for, and a login that somebody still waits for. */
export const defaultTimes: SubmissionTimes = { openMs, commandMs: 300_000, finalMs: 600_000 };
