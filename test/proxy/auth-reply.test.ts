import { describe, expect, it } from '@jest/globals';
import type { RejectionReason } from '../../src/credentials/verdict.ts';
import { createAuthReplies, type LateRefusal, type RefusedVerdict } from '../../src/proxy/auth-reply.ts';

const url = 'https://mail.example.com:8443';
const at = { protocol: 'imap', name: 'joe@example.com', network: '192.0.2.1/32' } as const;

function replies(clock = { now: 0 }) {
  return createAuthReplies({ portalUrl: url, now: () => clock.now });
}

function rejected(reason: RejectionReason, appPasswordRequired = true): RefusedVerdict {
  return { kind: 'rejected', reason, appPasswordRequired, credentialId: null };
}

describe('the table from verdict to reply (wire 48, 82)', () => {
  const plain =
    '[AUTHENTICATIONFAILED] Authentication failed. | 535 5.7.8 Authentication credentials invalid | [AUTH]';
  const notAllowed = '[AUTHORIZATIONFAILED] Not allowed. | 535 5.7.8 Not allowed | [AUTH]';
  const temporary =
    '[UNAVAILABLE] Temporary authentication failure. | 454 4.7.0 Temporary authentication failure | [SYS/TEMP]';
  const required = `[AUTHENTICATIONFAILED] Application-specific password required: ${url} | 535 5.7.8 Application-specific password required. Create one at ${url} | [AUTH]`;
  const rows: [string, RefusedVerdict | LateRefusal, string, string, 'counts' | 'does not count'][] = [
    ['wrong secret', rejected('wrong'), plain, 'rejected', 'counts'],
    ['unknown account', rejected('unknown-account'), plain, 'rejected', 'counts'],
    ['malformed name', rejected('malformed-name'), plain, 'rejected', 'counts'],
    ['revoked', rejected('revoked'), plain, 'rejected', 'counts'],
    ['paused', rejected('paused'), plain, 'rejected', 'counts'],
    ['account disabled', rejected('account-disabled'), plain, 'rejected', 'counts'],
    ['revoked between check and session', { kind: 'revoked-meanwhile' }, plain, 'rejected', 'counts'],
    ['main password, app password required', rejected('not-an-app-password'), required, 'rejected', 'counts'],
    [
      'main password, domain requires none',
      rejected('not-an-app-password', false),
      plain,
      'rejected',
      'counts',
    ],
    [
      'expired',
      rejected('expired'),
      `[EXPIRED] This app password has expired. Create a new one at ${url} | 535 5.7.8 App password expired. Create a new one at ${url} | [AUTH]`,
      'rejected',
      'counts',
    ],
    ['other protocol', rejected('wrong-protocol'), notAllowed, 'rejected', 'counts'],
    ['other network', rejected('wrong-network'), notAllowed, 'rejected', 'counts'],
    ['old TLS', rejected('wrong-security'), notAllowed, 'rejected', 'counts'],
    ['authzid of somebody else', rejected('authzid-differs'), notAllowed, 'rejected', 'counts'],
    [
      'throttled',
      { kind: 'throttled', retryAfterMs: 1 },
      '[UNAVAILABLE] Too many failed attempts, try again later. | 454 4.7.0 Too many failed attempts, try again later | [SYS/TEMP]',
      'throttled',
      'counts',
    ],
    ['store down', { kind: 'unavailable', cause: 'store' }, temporary, 'unavailable', 'does not count'],
    ['backend down', { kind: 'backend-unavailable' }, temporary, 'unavailable', 'does not count'],
    [
      'mailbox turned away by the backend',
      { kind: 'mailbox-refused', code: 'OVERQUOTA', text: 'Mailbox is full' },
      '[OVERQUOTA] Mailbox is full | 454 4.7.0 Temporary authentication failure | [OVERQUOTA]',
      'unavailable',
      'does not count',
    ],
    [
      'a fault of ours',
      { kind: 'fault' },
      '[SERVERBUG] Internal error. | 421 4.3.0 Internal error | [SYS/TEMP]',
      'bug',
      'does not count',
    ],
    [
      'too many sessions',
      { kind: 'too-many-sessions' },
      '[LIMIT] Too many connections. | 421 4.7.0 Too many connections | [SYS/TEMP]',
      'throttled',
      'does not count',
    ],
  ];

  it.each(rows)('%s', (_, verdict, expected, outcome, counting) => {
    const { imap, pop3, smtp, ...rest } = replies().refusal(verdict, at);
    expect(`[${imap.code}] ${imap.text} | ${smtp.code} ${smtp.enhanced} ${smtp.text} | [${pop3.code}]`).toBe(
      expected,
    );
    // One text for both: the codes differ, because POP3 has fewer.
    expect(pop3.text).toBe(imap.text);
    expect(rest).toEqual({ outcome, countsAsFailure: counting === 'counts' });
  });

  it.each(rows)('%s: ASCII without control characters', (_, verdict) => {
    const { imap, smtp } = replies().refusal(verdict, at);
    for (const text of [imap.text, smtp.text, imap.alert ?? '']) expect(text).toMatch(/^[\x20-\x7e]*$/);
  });
});

describe('wire 51: alerts', () => {
  it('go out once per name and network in an hour', () => {
    const clock = { now: 0 };
    const table = replies(clock);
    const alertAfter = (ms: number, name: string = at.name, network: string = at.network) => {
      clock.now += ms;
      return table.refusal(rejected('not-an-app-password'), { ...at, name, network }).imap.alert;
    };
    expect(alertAfter(0)).toBe(`Application-specific password required: ${url}`);
    expect(alertAfter(1_000)).toBeNull();
    expect(alertAfter(0, 'nobody@example.com')).not.toBeNull();
    expect(alertAfter(0, at.name, '192.0.2.2/32')).not.toBeNull();
    expect(alertAfter(3_599_000)).not.toBeNull();
  });

  it('are not sent for a wrong password', () => {
    const table = replies();
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(table.refusal(rejected('wrong'), at).imap.alert).toBeNull();
    }
  });
});
