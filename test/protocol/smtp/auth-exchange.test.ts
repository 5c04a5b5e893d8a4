import { describe, expect, it } from '@jest/globals';
import { type AuthStep, beginAuth, continueAuth } from '../../../src/protocol/smtp/auth-exchange.ts';

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

/** The steps of an exchange, one per line of the client. */
function run(...lines: readonly string[]): string {
  let step = null as AuthStep | null;
  const seen: string[] = [];
  for (const line of lines) {
    const bytes = Buffer.from(line, 'latin1');
    step = step?.kind === 'challenge' ? continueAuth(step.exchange, bytes) : beginAuth(bytes);
    seen.push(describeStep(step));
  }
  return seen.join(' | ');
}

function describeStep(step: AuthStep): string {
  switch (step.kind) {
    case 'challenge':
      return `334 ${step.text}`;
    case 'credentials': {
      const { authzid, authcid, password } = step.credentials;
      const fields = [authzid, authcid, password.bytes()].map((field) => field.toString('latin1'));
      return `${step.mechanism} ${JSON.stringify(fields)}`;
    }
    case 'nameless':
      return step.kind;
    case 'refused':
      return `${step.reply.code} ${step.reply.enhanced}`;
    default:
      return step satisfies never;
  }
}

describe('AUTH', () => {
  it.each([
    // Wire 75, 76: the prompts byte for byte.
    [
      ['AUTH LOGIN', base64('joe'), base64('pw')],
      '334 VXNlcm5hbWU6 | 334 UGFzc3dvcmQ6 | LOGIN ["","joe","pw"]',
    ],
    [[`auth login ${base64('joe')}`, base64('pw')], '334 UGFzc3dvcmQ6 | LOGIN ["","joe","pw"]'],
    // Wire 77.
    [['AUTH PLAIN', base64('\0joe\0pw')], '334  | PLAIN ["","joe","pw"]'],
    [[`AUTH PLAIN  ${base64('\0joe\0pw')}`], 'PLAIN ["","joe","pw"]'],
    [[`AUTH PLAIN ${base64('joe\0joe\0pw')}`], 'PLAIN ["joe","joe","pw"]'],
    // Wire 85: Latin-1 stays as it came.
    [[`AUTH PLAIN ${base64('\0jos\xe9\0pw')}`], 'PLAIN ["","jos\xe9","pw"]'],
    // Wire 86: the authzid is not taken for a missing authcid.
    [[`AUTH PLAIN ${base64('joe\0\0pw')}`], 'nameless'],
    [['AUTH LOGIN', '', base64('pw')], '334 VXNlcm5hbWU6 | 334 UGFzc3dvcmQ6 | nameless'],
    // Wire 78.
    [['AUTH PLAIN ='], '501 5.5.2'],
    [['AUTH PLAIN', '*'], '334  | 501 5.7.0'],
    [['AUTH LOGIN', base64('joe'), '*'], '334 VXNlcm5hbWU6 | 334 UGFzc3dvcmQ6 | 501 5.7.0'],
    [['AUTH PLAIN !!!!'], '501 5.5.2'],
    [[`AUTH PLAIN ${base64('\0joe\0pw').replace(/=+$/, '')}`], '501 5.5.2'],
    [['AUTH PLAIN AAA=BBB='], '501 5.5.2'],
    [[`AUTH PLAIN ${base64('\0joe\0p\0w')}`], '501 5.5.2'],
    [[`AUTH PLAIN ${base64('joe')}`], '501 5.5.2'],
    [['AUTH PLAIN', 'A'.repeat(12_289)], '334  | 500 5.5.6'],
    [['AUTH CRAM-MD5'], '504 5.5.4'],
    [['AUTH XOAUTH2 abc='], '504 5.5.4'],
    [['AUTH'], '501 5.5.4'],
    [['AUTH PLAIN a b'], '501 5.5.4'],
  ])('%j', (lines, expected) => {
    expect(run(...lines)).toBe(expected);
  });

  it('leaves no password in the line it read', () => {
    const line = Buffer.from(`AUTH PLAIN ${base64('\0joe\0pw')}`);
    expect(beginAuth(line).kind).toBe('credentials');
    expect(line.toString()).not.toContain(base64('\0joe\0pw').slice(4));
  });
});
