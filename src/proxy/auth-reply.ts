import { LRUCache } from 'lru-cache';
import type { Protocol, RejectionReason, Verdict } from '../credentials/verdict.ts';

/** A refused login as IMAP says it: `* NO [ALERT] alert`, where there is one, then `tag NO [code] text`. */
export interface ImapRefusal {
  readonly alert: string | null;
  readonly code:
    | 'AUTHENTICATIONFAILED'
    | 'AUTHORIZATIONFAILED'
    | 'EXPIRED'
    | 'UNAVAILABLE'
    | 'LIMIT'
    | 'SERVERBUG';
  readonly text: string;
}

/** A refused login as SMTP says it. */
export interface SmtpRefusal {
  readonly code: 421 | 454 | 535;
  readonly enhanced: string;
  readonly text: string;
}

export interface Refusal {
  /** For logs and the `outcome` label. */
  readonly outcome: 'rejected' | 'throttled' | 'unavailable';
  readonly imap: ImapRefusal;
  readonly smtp: SmtpRefusal;
}

export type RefusedVerdict = Exclude<Verdict, { kind: 'verified' }>;

/** What else can keep a verified login out; a door passes it like a verdict. */
export type LateRefusal =
  /** The backend is down, or refuses the gateway's own credential. */
  | { readonly kind: 'backend-unavailable' }
  | { readonly kind: 'too-many-sessions' }
  /** Revoked between verification and session (S-54). */
  | { readonly kind: 'revoked-meanwhile' };

/** The one table from verdict to wire reply (design 7). */
export interface AuthReplies {
  /** `name` is the account as typed, for the once-an-hour rule of alerts, existing or not (S-13). */
  refusal(
    verdict: RefusedVerdict | LateRefusal,
    at: { protocol: Protocol; name: string; network: string },
  ): Refusal;
}

const alertEveryMs = 3_600_000;
/** Names are the attacker's choice: the oldest is forgotten, and at worst somebody sees an alert twice. */
const alertsRemembered = 10_000;

export function createAuthReplies(parts: {
  readonly portalUrl: string;
  readonly now: () => number;
}): AuthReplies {
  const alerted = new LRUCache<string, number>({ max: alertsRemembered });

  /** Outlook pops up every alert, and asks every few minutes. */
  function oncePerHour(text: string, at: { name: string; network: string }): string | null {
    const key = `${at.network} ${at.name.slice(0, 254)}`;
    const last = alerted.get(key);
    if (last !== undefined && parts.now() - last < alertEveryMs) return null;
    alerted.set(key, parts.now());
    return text;
  }

  return {
    refusal(verdict, at) {
      const url = parts.portalUrl;
      switch (verdict.kind) {
        case 'rejected':
          if (verdict.appPasswordRequired && verdict.reason === 'not-an-app-password') {
            const text = `Application-specific password required: ${url}`;
            return {
              outcome: 'rejected',
              imap: { alert: oncePerHour(text, at), code: 'AUTHENTICATIONFAILED', text },
              // 535 and not 534: Thunderbird for Android fails every queued message on 534.
              smtp: smtp(535, '5.7.8', `Application-specific password required. Create one at ${url}`),
            };
          }
          return rejected(verdict.reason, url, (text) => oncePerHour(text, at));
        case 'revoked-meanwhile':
          return rejected('revoked', url, () => null);
        case 'throttled':
          return {
            outcome: 'throttled',
            imap: { alert: null, code: 'UNAVAILABLE', text: 'Too many failed attempts, try again later.' },
            smtp: smtp(454, '4.7.0', 'Too many failed attempts, try again later'),
          };
        case 'too-many-sessions':
          return {
            outcome: 'throttled',
            imap: { alert: null, code: 'LIMIT', text: 'Too many connections.' },
            smtp: smtp(421, '4.7.0', 'Too many connections'),
          };
        case 'unavailable':
        case 'backend-unavailable':
          return {
            outcome: 'unavailable',
            imap: { alert: null, code: 'UNAVAILABLE', text: 'Temporary authentication failure.' },
            smtp: smtp(454, '4.7.0', 'Temporary authentication failure'),
          };
        default:
          return verdict satisfies never;
      }
    },
  };
}

function rejected(reason: RejectionReason, url: string, alert: (text: string) => string | null): Refusal {
  switch (reason) {
    case 'expired': {
      const text = `This app password has expired. Create a new one at ${url}`;
      return {
        outcome: 'rejected',
        imap: { alert: alert(text), code: 'EXPIRED', text },
        smtp: smtp(535, '5.7.8', `App password expired. Create a new one at ${url}`),
      };
    }
    case 'authzid-differs':
    case 'wrong-protocol':
    case 'wrong-network':
      return {
        outcome: 'rejected',
        imap: { alert: null, code: 'AUTHORIZATIONFAILED', text: 'Not allowed.' },
        smtp: smtp(535, '5.7.8', 'Not allowed'),
      };
    case 'malformed-name':
    case 'unknown-account':
    case 'not-an-app-password':
    case 'wrong':
    case 'revoked':
    case 'account-disabled':
      // One text for all of them, or the reply tells which accounts exist (RFC 5530 5).
      return {
        outcome: 'rejected',
        imap: { alert: null, code: 'AUTHENTICATIONFAILED', text: 'Authentication failed.' },
        smtp: smtp(535, '5.7.8', 'Authentication credentials invalid'),
      };
    default:
      return reason satisfies never;
  }
}

function smtp(code: SmtpRefusal['code'], enhanced: string, text: string): SmtpRefusal {
  return { code, enhanced, text };
}
