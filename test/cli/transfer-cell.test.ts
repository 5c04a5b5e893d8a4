import { describe, expect, it } from '@jest/globals';
import { guarded, unguarded } from '../../src/cli/transfer/cell.ts';
import { readLines } from '../../src/cli/transfer/file.ts';

describe('a cell that a spreadsheet could compute', () => {
  it.each([
    ['=1+1', "'=1+1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['+371 2000', "'+371 2000"],
    ['-5', "'-5"],
    ['\tx', "'\tx"],
    ['＝cmd', "'＝cmd"],
    ["'=quoted by its owner", "''=quoted by its owner"],
    ["''", "'''"],
    ["'plain", "'plain"],
    ["'", "'"],
    ['a=b', 'a=b'],
    ['', ''],
  ])('%j is written as %j, and read back', (cell, written) => {
    expect(guarded(cell)).toBe(written);
    expect(unguarded(written)).toBe(cell);
  });

  it('every text of up to four of the characters that matter comes back, and none begins as a formula', () => {
    const alphabet = ["'", '=', '+', '-', '@', '\t', '\r', '\n', '＝', 'a', ' ', '"', ','];
    let texts = [''];
    for (let length = 0; length < 4; length += 1) {
      texts = texts.flatMap((text) => [text, ...alphabet.map((character) => text + character)]);
    }
    const all = new Set(texts);
    expect(all.size).toBe(30_941);
    for (const text of all) {
      expect(unguarded(guarded(text))).toBe(text);
      expect(guarded(text)).not.toMatch(/^[=+\-@\t\r\n＝]/);
    }
    expect(new Set([...all].map(guarded)).size).toBe(all.size);
  });
});

describe('reading lines', () => {
  const columns = ['id', 'label', 'networks'];
  const cells = (text: string, format: 'csv' | 'json' = 'csv') =>
    readLines(text, format, columns).lines.map(({ number, cells: each }) => [number, ...each.values()]);

  it.each([
    ['commas', 'id,label\n1,a\n\n2,"b, c"\n'],
    ['semicolons', 'id;label\n1;a\n\n2;b, c\n'],
    ['tabs', 'id\tlabel\r\n1\ta\r\n\r\n2\tb, c'],
    ['a byte order mark', '\ufeffid,label\n1,a\n\n2,"b, c"\n'],
    ['quoted names', '"id","label"\n1,a\n\n2,"b, c"\n'],
  ])('with %s', (_what, text) => {
    expect(cells(text)).toEqual([
      [2, '1', 'a'],
      [4, '2', 'b, c'],
    ]);
  });

  it('of JSON on whatever lines it stands', () => {
    const text =
      '[ {"id":"1","label":"a, [b] {\\"c\\"}"},\n\n {"id":"2",\n "label":null,"networks":["x","y"]}, 5\n]';
    expect(cells(text, 'json')).toEqual([
      [1, '1', 'a, [b] {"c"}'],
      [3, '2', '', 'x y'],
    ]);
    expect(readLines(text, 'json', columns).problems).toEqual([{ line: 4, problem: 'it is no object' }]);
  });

  it.each<[string, 'csv' | 'json', string, number, RegExp]>([
    ['nothing', 'csv', '', 1, /empty/],
    ['a column nobody knows', 'csv', 'id,labl\n1,a\n', 1, /no column "labl"/],
    ['a column twice', 'csv', 'id,label,id\n1,a,1\n', 1, /id comes twice/],
    ['a cell too many', 'csv', 'id,label\n1,a\n2,b,c\n', 3, /3 cells/],
    ['a cell too few', 'csv', 'id,label\n1,a\n2\n', 3, /1 cells/],
    ['a quote that is not closed', 'csv', 'id,label\n1,"a\n', 2, /quotes/],
    ['no JSON', 'json', '{"secret"', 1, /not JSON/],
    ['an object', 'json', '{}', 1, /no JSON array/],
    ['a field nobody knows', 'json', '[\n{"id":"1","secret":"x"}]', 2, /no field "secret"/],
    ['a field of a wrong kind', 'json', '[\n{"id":{}}]', 2, /id holds/],
  ])('%s is told with its line', (_what, format, text, line, problem) => {
    expect(readLines(text, format, columns).problems).toEqual([
      { line, problem: expect.stringMatching(problem) },
    ]);
  });
});
