import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PlainExchange, plainMessage } from '../../../src/protocol/sasl/plain.ts';
import { Secret } from '../../../src/secret.ts';

const begun = (message: string) => new PlainExchange().next(Buffer.from(message, 'latin1'));

describe('SASL PLAIN, server side (RFC 4616)', () => {
  it('says nothing until the client speaks', () => {
    expect(new PlainExchange().next(null)).toEqual({ kind: 'challenge', challenge: Buffer.alloc(0) });
  });

  for (const [message, fields] of [
    ['\0joe\0pw', ['', 'joe', 'pw']],
    ['boss\0joe\0pw', ['boss', 'joe', 'pw']],
    ['joe\0joe\0pw', ['joe', 'joe', 'pw']],
    ['\0joe\0', ['', 'joe', '']],
    ['\0jos\xe9\0p\xc3\xa9', ['', 'jos\xe9', 'p\xc3\xa9']],
    [`\0${'u'.repeat(255)}\0${'p'.repeat(255)}`, ['', 'u'.repeat(255), 'p'.repeat(255)]],
  ] as const) {
    it(`reads ${JSON.stringify(message.slice(0, 20))}`, () => {
      const step = begun(message);
      if (step.kind !== 'credentials') throw new Error(step.kind);
      const { authzid, authcid, password } = step.credentials;
      expect([authzid, authcid, password.bytes()].map((bytes) => bytes.toString('latin1'))).toEqual(fields);
    });
  }

  for (const message of ['', 'joe', '\0', 'joe\0pw', '\0joe\0pw\0', '\0joe\0p\0w', '\0\0\0']) {
    it(`refuses ${JSON.stringify(message)} as malformed`, () => {
      expect(begun(message)).toEqual({ kind: 'failure', reason: 'malformed' });
    });
  }

  for (const message of ['\0\0pw', 'joe\0\0pw', '\0\0']) {
    it(`takes no authzid for the empty authcid of ${JSON.stringify(message)}, wire 86`, () => {
      expect(begun(message)).toEqual({ kind: 'failure', reason: 'no-authcid' });
    });
  }

  it('leaves no password in the response', () => {
    const response = Buffer.from('\0joe\0pw');
    new PlainExchange().next(response);
    expect(response).toEqual(Buffer.alloc(7));
  });
});

describe('SASL PLAIN, client side', () => {
  it('is authzid NUL authcid NUL password', () => {
    const message = plainMessage({ authzid: 'jō@x', authcid: 'master', password: Secret.fromText('pä') });
    expect(message).toEqual(Buffer.from('jō@x\0master\0pä'));
  });

  it('is what a server reads: never another authzid than ordered, whatever the names', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        (authzid, authcid, password) => {
          let message: Buffer;
          try {
            message = plainMessage({ authzid, authcid, password: Secret.fromText(password) });
          } catch (error) {
            expect(error).toBeInstanceOf(TypeError);
            return;
          }
          const step = new PlainExchange().next(message);
          if (step.kind !== 'credentials') throw new Error(step.kind);
          expect(step.credentials.authzid.toString()).toBe(authzid);
          expect(step.credentials.authcid.toString()).toBe(authcid);
          expect(step.credentials.password.text()).toBe(password);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
