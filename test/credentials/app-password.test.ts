import { describe, expect, it } from '@jest/globals';
import {
  formatAppPassword,
  generateAppPassword,
  parseAppPassword,
} from '../../src/credentials/app-password.ts';

const parse = (text: string | Buffer) => parseAppPassword(Buffer.from(text))?.text() ?? null;

describe('the check letter (requirements 3.7)', () => {
  it.each([
    ['abcdefghijklmno', 'q', 'abcd efgh ijkl mnoq'],
    ['aaaaaaaaaaaaaaa', 'r', 'aaaa aaaa aaaa aaar'],
    ['zzzzzzzzzzzzzzz', 'w', 'zzzz zzzz zzzz zzzw'],
    ['qwertyuiopasdfg', 'r', 'qwer tyui opas dfgr'],
  ])('%s ends in %s and no other letter', (letters, check, shown) => {
    for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
      expect(parse(letters + letter)).toBe(letter === check ? letters + check : null);
    }
    const secret = parseAppPassword(Buffer.from(letters + check));
    expect(secret === null ? null : formatAppPassword(secret)).toBe(shown);
  });

  it('catches every single wrong letter', () => {
    const right = 'qwertyuiopasdfgr';
    for (let index = 0; index < 16; index += 1) {
      for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
        const typed = right.slice(0, index) + letter + right.slice(index + 1);
        expect(parse(typed)).toBe(typed === right ? right : null);
      }
    }
  });
});

describe('pasted app passwords (wire 26)', () => {
  it.each([
    'abcd efgh ijkl mnoq',
    'abcd-efgh-ijkl-mnoq ',
    'ABCD EFGH IJKL MNOQ',
    '\tabcd\u00a0efgh\u2003ijkl\u3000mnoq\r\n',
    '\ufeffabcd\u200befgh\u2060ijkl\u200dmnoq',
    'abcd\u2013efgh\u2014ijkl\u2212mnoq',
    Buffer.from('abcd\u00a0efgh\u00adijkl\u00a0mnoq', 'latin1'),
  ])('%p is read', (typed) => {
    expect(parse(typed)).toBe('abcdefghijklmnoq');
  });

  it.each([
    '',
    'abcd efgh ijkl mno',
    'abcd efgh ijkl mnoqq',
    'abcd efgh ijkl mno1',
    'abcd_efgh_ijkl_mnoq',
    'abcdefghijklmnop',
    // U+212A and full-width letters are not the ASCII ones.
    '\u212abcdefghijklmnoq',
    '\uff41bcdefghijklmnoq',
    'abcdefghijklmno\u0000q',
    '[bcdefghijklmnoq',
    'correct horse battery staple',
  ])('%p has not the shape', (typed) => {
    expect(parse(typed)).toBeNull();
  });
});

describe('generation (S-23)', () => {
  it('draws every letter equally often: chi-square over a million', () => {
    const counts = new Array<number>(26).fill(0);
    const draws = 66_667;
    for (let draw = 0; draw < draws; draw += 1) {
      const bytes = generateAppPassword().bytes();
      for (let index = 0; index < 15; index += 1) {
        const letter = (bytes[index] ?? 0) - 0x61;
        counts[letter] = (counts[letter] ?? 0) + 1;
      }
    }
    const expected = (draws * 15) / 26;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 25 degrees of freedom: above 75 once in two million runs.
    expect(chiSquare).toBeLessThan(75);
  });

  it('draws what it reads back', () => {
    for (let draw = 0; draw < 1_000; draw += 1) {
      const secret = generateAppPassword();
      expect(parse(formatAppPassword(secret))).toBe(secret.text());
    }
  });
});
