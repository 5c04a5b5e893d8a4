import { describe, expect, it } from '@jest/globals';
import { LoginExchange } from '../../../src/protocol/sasl/login.ts';
import { startExchange } from '../../../src/protocol/sasl/offered.ts';

const responses = (...texts: (string | null)[]) => {
  const exchange = new LoginExchange();
  return texts.map((text) => exchange.next(text === null ? null : Buffer.from(text, 'latin1')));
};
const prompt = (text: string) => ({ kind: 'challenge', challenge: Buffer.from(text) });

describe('SASL LOGIN', () => {
  it('prompts as Thunderbird and Outlook expect, wire 75', () => {
    expect(responses(null, 'joe')).toEqual([prompt('Username:'), prompt('Password:')]);
  });

  it('takes the name as initial response, and the bytes as they are', () => {
    const [first, second] = responses('jos\xe9', 'p w');
    expect(first).toEqual(prompt('Password:'));
    if (second?.kind !== 'credentials') throw new Error(second?.kind);
    expect(second.credentials.authzid).toEqual(Buffer.alloc(0));
    expect(second.credentials.authcid).toEqual(Buffer.from('jos\xe9', 'latin1'));
    expect(second.credentials.password.bytes()).toEqual(Buffer.from('p w'));
  });

  it('asks for the password of an empty name too, and then fails', () => {
    expect(responses('', 'pw')).toEqual([prompt('Password:'), { kind: 'failure', reason: 'no-authcid' }]);
  });

  for (const [name, password] of [
    ['jo\0e', 'pw'],
    ['joe', 'p\0w'],
  ] as const) {
    it(`refuses a NUL in ${JSON.stringify([name, password])}`, () => {
      expect(responses(name, password)[1]).toEqual({ kind: 'failure', reason: 'malformed' });
    });
  }
});

describe('the mechanisms on offer', () => {
  for (const name of ['PLAIN', 'plain', 'Login']) {
    it(`has ${name}`, () => expect(startExchange(name)?.name).toBe(name.toUpperCase()));
  }
  for (const name of ['', 'CRAM-MD5', 'DIGEST-MD5', 'SCRAM-SHA-256', 'XOAUTH2', '__proto__']) {
    it(`has no ${JSON.stringify(name)}, wire 41`, () => expect(startExchange(name)).toBeNull());
  }
});
