import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeBase64, encodeBase64 } from '../../src/protocol/base64.ts';

describe('base64', () => {
  // RFC 4648 10
  for (const [plain, encoded] of Object.entries({
    '': '',
    f: 'Zg==',
    fo: 'Zm8=',
    foo: 'Zm9v',
    foob: 'Zm9vYg==',
    fooba: 'Zm9vYmE=',
    foobar: 'Zm9vYmFy',
  })) {
    it(`reads and writes ${JSON.stringify(plain)}`, () => {
      expect(decodeBase64(Buffer.from(encoded))?.toString()).toBe(plain);
      expect(encodeBase64(Buffer.from(plain))).toBe(encoded);
    });
  }

  for (const [what, text] of Object.entries({
    'a foreign character': '!!!!',
    'a pad at the beginning': '=AAA',
    'a pad in the middle': 'AAA=BBBB',
    'one pad where two belong': 'Zg=A',
    'nothing but pads': '====',
    'three pads': 'Z===',
    'two pads alone': '==',
    'no padding': 'Zg',
    'a space': 'Zm9v Zm9v',
    'a line end': 'Zm9v\r\n',
    'the URL alphabet': 'a-_b',
    'unused bits that are set': 'Zh==',
    'unused bits that are set, one pad': 'Zm9=',
    'an 8-bit byte': 'Zm9\xf6',
    'a NUL': 'Zm9\0',
  })) {
    it(`refuses ${what}`, () => expect(decodeBase64(Buffer.from(text, 'latin1'))).toBeNull());
  }

  it('gives back what was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const original = Buffer.from(bytes);
        expect(decodeBase64(Buffer.from(encodeBase64(original)))).toEqual(original);
      }),
    );
  });

  it('takes nothing but the one spelling of a value', () => {
    const character = fc.constantFrom(...'AQgw/+=Zz09\n'.split(''));
    fc.assert(
      fc.property(fc.array(character, { maxLength: 8 }), (characters) => {
        const text = characters.join('');
        const decoded = decodeBase64(Buffer.from(text));
        if (decoded !== null) expect(encodeBase64(decoded)).toBe(text);
      }),
      { numRuns: 5_000 },
    );
  });
});
