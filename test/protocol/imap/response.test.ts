import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { foreignText } from '../../../src/protocol/foreign-text.ts';
import { continuation, quoted, tagged, untagged, untaggedData } from '../../../src/protocol/imap/response.ts';

describe('the writer of IMAP lines, S-10', () => {
  for (const value of [
    'a\r\nb OK x',
    'a\nb',
    'a\0b',
    'a\x1b[2J',
    'a\x7f',
    'caf\xe9',
    '\u2028',
    'x'.repeat(8_000),
  ]) {
    it(`refuses ${JSON.stringify(value.slice(0, 12))} in every place`, () => {
      for (const write of [
        () => tagged('a', 'OK', null, value),
        () => tagged('a', 'NO', value, 'text'),
        () => tagged(value, 'BAD', null, 'text'),
        () => untagged('BYE', null, value),
        () => untaggedData(value),
        () => continuation(value),
        () => continuation(quoted(value)),
      ]) {
        expect(write).toThrow(TypeError);
      }
    });
  }

  it('lets no text pass for a response code, and no code end early', () => {
    expect(() => tagged('a', 'NO', null, '[ALERT] x')).toThrow(TypeError);
    expect(() => tagged('a', 'NO', 'X] y', 'text')).toThrow(TypeError);
    expect(() => tagged('a', 'NO', '', 'text')).toThrow(TypeError);
    expect(() => tagged('a', 'NO', null, '')).toThrow(TypeError);
  });

  it('can write whatever it has made harmless', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const harmless = foreignText(text);
        if (harmless === '') return;
        const line = tagged('a', 'NO', null, harmless).toString('latin1');
        expect(line).toMatch(/^a NO (?!\[)[\x20-\x7e]{1,300}\r\n$/);
      }),
      { numRuns: 2_000 },
    );
  });
});
