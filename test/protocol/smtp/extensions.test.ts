import { describe, expect, it } from '@jest/globals';
import {
  announced,
  emptyOffer,
  narrowOffer,
  offerOf,
  readExtensions,
} from '../../../src/protocol/smtp/extensions.ts';

function list(...lines: readonly string[]) {
  return readExtensions({ code: 250, enhanced: null, lines: ['mx', ...lines] });
}

const all = [
  'PIPELINING',
  'size 1000',
  '8bitmime',
  'DSN',
  'SMTPUTF8',
  'CHUNKING',
  'BINARYMIME',
  'VRFY',
  'ETRN',
];

describe('what EHLO promises (wire 73, 88)', () => {
  it.each([
    [[all], ['SIZE 1000', '8BITMIME', 'DSN', 'SMTPUTF8']],
    [
      [all, ['SIZE 0', '8BITMIME']],
      ['SIZE 1000', '8BITMIME'],
    ],
    [
      [all, ['SIZE 2000', 'SMTPUTF8']],
      ['SIZE 1000', 'SMTPUTF8'],
    ],
    [[['SIZE', 'DSN']], ['SIZE 5000', 'DSN']],
    [[['SIZE 99999'], ['SIZE']], ['SIZE 5000']],
    [[['SIZE x y']], ['SIZE 5000']],
    [[all, ['8BITMIME']], ['8BITMIME']],
    [[all, []], []],
  ])('of %j is %j and what is ours', (lists, expected) => {
    const offer = lists.map((lines) => offerOf(list(...lines))).reduce(narrowOffer);
    expect(announced(offer, 5_000)).toEqual(['PIPELINING', 'ENHANCEDSTATUSCODES', ...expected]);
  });

  it('of a backend that nobody has seen is nothing', () => {
    expect(announced(narrowOffer(emptyOffer, offerOf(list(...all))), 5_000)).toEqual([
      'PIPELINING',
      'ENHANCEDSTATUSCODES',
    ]);
  });
});

it('reads lists in any case, and the old form of AUTH', () => {
  expect([...list('auth=LOGIN', 'AUTH PLAIN', 'Size 12', 'odd line!', '')]).toEqual([
    ['AUTH', 'LOGIN PLAIN'],
    ['SIZE', '12'],
    ['ODD', 'LINE!'],
  ]);
});
