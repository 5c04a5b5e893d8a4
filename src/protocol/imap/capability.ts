import type { TlsState } from '../preauth.ts';
import { offeredMechanisms } from '../sasl/offered.ts';
import { imapLimits } from './limits.ts';

/**
 * What is announced before login, the same in the greeting and to CAPABILITY (wire 2). Only what is answered
 * (wire 3): no bare `LOGIN` (wire 4), no `UTF8=ACCEPT` (wire 5), no `LITERAL+` beside `LITERAL-` (wire 20).
 */
export function preLoginCapabilities(tls: TlsState): string {
  const general = ['IMAP4rev1', 'SASL-IR', 'LITERAL-', 'ID'];
  switch (tls) {
    case 'established':
      return [...general, ...offeredMechanisms.map((name) => `AUTH=${name}`)].join(' ');
    case 'available':
      return [...general, 'STARTTLS', 'LOGINDISABLED'].join(' ');
    default:
      return tls satisfies never;
  }
}

/**
 * What of a backend's list is passed on, or null where nothing is left: atoms only (S-52), bounded, without what
 * concerns a login (wire 44) or leads away from the gateway (wire 50).
 */
export function filterCapabilities(list: string): string | null {
  const kept: string[] = [];
  let length = 0;
  for (const token of list.split(' ')) {
    if (!/^[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]+$/.test(token) || isOfLogin(token)) continue;
    length += token.length + 1;
    if (length > imapLimits.capabilitiesBytes) break;
    kept.push(token);
  }
  return kept.length === 0 ? null : kept.join(' ');
}

/** Whether a backend's list has this capability, in any case. */
export function hasCapability(list: string | null, name: string): boolean {
  return list?.toUpperCase().split(' ').includes(name) ?? false;
}

function isOfLogin(token: string): boolean {
  const name = token.toUpperCase();
  return loginCapabilities.has(name) || name.startsWith('AUTH=');
}

const loginCapabilities: ReadonlySet<string> = new Set([
  'STARTTLS',
  'LOGIN',
  'LOGINDISABLED',
  'LOGIN-REFERRALS',
  'MAILBOX-REFERRALS',
]);
