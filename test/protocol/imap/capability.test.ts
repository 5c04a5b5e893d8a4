import { describe, expect, it } from '@jest/globals';
import { preLoginCapabilities } from '../../../src/protocol/imap/capability.ts';
import type { TlsState } from '../../../src/protocol/preauth.ts';
import { PreauthSubject } from './preauth-subject.ts';

const states: readonly TlsState[] = ['established', 'available'];

/** How a client uses what is announced, where it is a command or a way to log in. */
const uses: Readonly<Record<string, string>> = {
  ID: 'a ID NIL\r\n',
  STARTTLS: 'a STARTTLS\r\n',
  'AUTH=PLAIN': 'a AUTHENTICATE PLAIN\r\n',
  'AUTH=LOGIN': 'a AUTHENTICATE LOGIN\r\n',
  'SASL-IR': 'a AUTHENTICATE PLAIN AGpvZQBwdw==\r\n',
  'LITERAL-': 'a ID ("name" {1+}\r\nx)\r\n',
  IMAP4rev1: 'a NOOP\r\n',
  LOGINDISABLED: 'a LOGIN joe pw\r\n',
};

describe.each(states)('what is announced before login, TLS %s', (tls) => {
  const tokens = preLoginCapabilities(tls).split(' ');

  it.each(tokens)('wire 3: %s is answered', (token) => {
    const use = uses[token];
    expect(use).toBeDefined();
    const subject = new PreauthSubject(tls);
    subject.happen('connected', '');
    subject.observed();
    subject.receive(Buffer.from(use ?? ''));
    const answer = subject.observed().join('');
    expect(answer).not.toMatch(/^a BAD /m);
    expect(answer).not.toBe('');
    expect(subject.state.name).not.toBe('closed');
  });

  it('wire 4, 5: no LOGIN by itself, no UTF8 before login', () => {
    expect(tokens).not.toContain('LOGIN');
    expect(tokens.filter((token) => token.startsWith('UTF8'))).toEqual([]);
  });

  it('wire 20, 41: LITERAL- alone, and no mechanism that hides the password', () => {
    expect(tokens).not.toContain('LITERAL+');
    expect(tokens.filter((token) => /^AUTH=(?!PLAIN$|LOGIN$)/.test(token))).toEqual([]);
  });
});
