import { LRUCache } from 'lru-cache';
import type { Protocol, RejectionReason, Verdict } from '../credentials/verdict.ts';
import type { Refusal as ImapRefusal } from '../protocol/imap/preauth-state.ts';
import type { Pop3Refusal } from '../protocol/pop3/preauth-state.ts';
import type { ClientReply } from '../protocol/smtp/reply.ts';

/** A refused login as SMTP says it; 421 closes the connection. */
export interface SmtpRefusal extends ClientReply {
  readonly code: 421 | 454 | 535;
}

/** A refused login, for every protocol and for who counts and logs it. */
export interface Refusal {
  /** For logs and the `outcome` label. */
  readonly outcome: 'rejected' | 'throttled' | 'unavailable' | 'bug';
  /** Brings the client nearer to being shown out (wire 54, 87); nobody is shown out for what is not their doing. */
  readonly countsAsFailure: boolean;
  readonly imap: ImapRefusal;
  readonly pop3: Pop3Refusal;
  readonly smtp: SmtpRefusal;
}

export type RefusedVerdict = Exclude<Verdict, { kind: 'verified' }>;

/** What else can keep a verified login out; a door passes it like a verdict. */
export type LateRefusal =
  /** The backend is down, or refuses the gateway's own credential. */
  | { readonly kind: 'backend-unavailable'; readonly detail?: string }
  /** The backend turns this mailbox away, with a code of its protocol and a text that the client may be told (wire 49). */
  | { readonly kind: 'mailbox-refused'; readonly code: string; readonly text: string }
  | { readonly kind: 'too-many-sessions' }
  /** Revoked between verification and session (S-54). */
  | { readonly kind: 'revoked-meanwhile' }
  /** Ours, and logged as such: the client must not think that its password was wrong. */
  | { readonly kind: 'fault' };

/** The one table from verdict to wire reply (wire 48, 82). */
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
    const now = parts.now();
    // In the future: the clock was set back since.
    if (last !== undefined && last <= now && now - last < alertEveryMs) return null;
    alerted.set(key, now);
    return text;
  }

  return {
    refusal(verdict, at) {
      const url = parts.portalUrl;
      switch (verdict.kind) {
        case 'rejected':
          if (verdict.appPasswordRequired && isNoAppPassword.has(verdict.reason)) {
            const text = `Application-specific password required: ${url}`;
            return {
              ...guess,
              imap: { alert: oncePerHour(text, at), code: 'AUTHENTICATIONFAILED', text },
              pop3: pop3('AUTH', text),
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
            countsAsFailure: true,
            imap: imap('UNAVAILABLE', 'Too many failed attempts, try again later.'),
            pop3: pop3('SYS/TEMP', 'Too many failed attempts, try again later.'),
            smtp: smtp(454, '4.7.0', 'Too many failed attempts, try again later'),
          };
        case 'too-many-sessions':
          return {
            outcome: 'throttled',
            countsAsFailure: false,
            imap: imap('LIMIT', 'Too many connections.'),
            pop3: pop3('SYS/TEMP', 'Too many connections.'),
            smtp: smtp(421, '4.7.0', 'Too many connections'),
          };
        case 'unavailable':
        case 'backend-unavailable':
          return outage;
        case 'mailbox-refused':
          return {
            ...outage,
            imap: imap(verdict.code, verdict.text),
            pop3: pop3(verdict.code, verdict.text),
          };
        case 'fault':
          return {
            outcome: 'bug',
            countsAsFailure: false,
            imap: imap('SERVERBUG', 'Internal error.'),
            pop3: pop3('SYS/TEMP', 'Internal error.'),
            smtp: smtp(421, '4.3.0', 'Internal error'),
          };
        default:
          return verdict satisfies never;
      }
    },
  };
}

/** One text for both: which of them it was is for the login log alone. */
const isNoAppPassword: ReadonlySet<RejectionReason> = new Set(['not-an-app-password', 'one-letter-wrong']);

const guess = { outcome: 'rejected', countsAsFailure: true } as const;

const outage: Refusal = {
  outcome: 'unavailable',
  countsAsFailure: false,
  imap: imap('UNAVAILABLE', 'Temporary authentication failure.'),
  pop3: pop3('SYS/TEMP', 'Temporary authentication failure.'),
  smtp: smtp(454, '4.7.0', 'Temporary authentication failure'),
};

function rejected(reason: RejectionReason, url: string, alert: (text: string) => string | null): Refusal {
  switch (reason) {
    case 'expired': {
      const text = `This app password has expired. Create a new one at ${url}`;
      return {
        ...guess,
        imap: { alert: alert(text), code: 'EXPIRED', text },
        pop3: pop3('AUTH', text),
        smtp: smtp(535, '5.7.8', `App password expired. Create a new one at ${url}`),
      };
    }
    case 'authzid-differs':
    case 'wrong-protocol':
    case 'wrong-security':
    case 'wrong-network':
      return {
        ...guess,
        imap: imap('AUTHORIZATIONFAILED', 'Not allowed.'),
        pop3: pop3('AUTH', 'Not allowed.'),
        smtp: smtp(535, '5.7.8', 'Not allowed'),
      };
    case 'malformed-name':
    case 'unknown-account':
    case 'not-an-app-password':
    case 'one-letter-wrong':
    case 'wrong':
    case 'revoked':
    case 'paused':
    case 'account-disabled':
      // One text for all of them, or the reply tells which accounts exist (RFC 5530 5).
      return {
        ...guess,
        imap: imap('AUTHENTICATIONFAILED', 'Authentication failed.'),
        pop3: pop3('AUTH', 'Authentication failed.'),
        smtp: smtp(535, '5.7.8', 'Authentication credentials invalid'),
      };
    default:
      return reason satisfies never;
  }
}

function imap(code: string, text: string): ImapRefusal {
  return { alert: null, code, text };
}

function pop3(code: string, text: string): Pop3Refusal {
  return { code, text };
}

function smtp(code: SmtpRefusal['code'], enhanced: string, text: string): SmtpRefusal {
  return { code, enhanced, text };
}
