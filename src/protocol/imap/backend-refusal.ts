import { foreignText } from '../foreign-text.ts';
import type { ResponseCode } from './backend-reply.ts';

/** What a backend's NO to our login means. */
export interface BackendRefusal {
  /** `refused-us`: it does not take the gateway's own credential, so that nobody gets in: an alarm. */
  readonly kind: 'refused-us' | 'unavailable-user';
  readonly detail: string;
  /** What the client may be told; never AUTHENTICATIONFAILED, because its password was right (wire 49). */
  readonly forward: { readonly code: string; readonly text: string } | null;
}

/** RFC 5530 3, and the OVERQUOTA of RFC 9208: codes that speak of the mailbox or of the moment. */
const forwardedCodes: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'AUTHORIZATIONFAILED',
  'CONTACTADMIN',
  'NOPERM',
  'INUSE',
  'LIMIT',
  'OVERQUOTA',
  'SERVERBUG',
]);

/** RFC 5530 3: codes that speak of who logs in, and that is the gateway. */
const ofOurCredential: ReadonlySet<string> = new Set(['AUTHENTICATIONFAILED', 'EXPIRED', 'PRIVACYREQUIRED']);

/** Sorts a NO by its response code. A code of no meaning here is told as UNAVAILABLE. */
export function readRefusal(code: ResponseCode | null, backendText: string): BackendRefusal {
  const text = foreignText(backendText) || 'Refused by the mail server.';
  if (code === null || ofOurCredential.has(code.name)) {
    return { kind: 'refused-us', detail: `login refused: ${text}`, forward: null };
  }
  // A referral would send the client, and its password, wherever the backend likes (wire 50).
  if (code.name === 'REFERRAL') {
    return { kind: 'unavailable-user', detail: 'login answered with a referral', forward: null };
  }
  const forwarded = forwardedCodes.has(code.name) ? code.name : 'UNAVAILABLE';
  const detail = `mailbox refused: [${foreignText(code.name)}] ${text}`;
  return { kind: 'unavailable-user', detail, forward: { code: forwarded, text } };
}

/**
 * Exchange Online takes the login of a mailbox that it cannot open and says so at the first command (wire 137).
 * Null: it speaks of something else.
 */
export function readNotConnected(backendText: string): BackendRefusal | null {
  if (!/authenticated but not connected/i.test(backendText)) return null;
  const text = foreignText(backendText);
  return { kind: 'unavailable-user', detail: text, forward: { code: 'UNAVAILABLE', text } };
}
