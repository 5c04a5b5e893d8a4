import { describe, expect, it } from '@jest/globals';
import { HeaderSection } from '../../../src/protocol/smtp/header-section.ts';

function collect(pieces: readonly string[]): string {
  const header = new HeaderSection();
  for (const [index, piece] of pieces.entries()) {
    const collected = header.add(Buffer.from(piece, 'latin1'), index + 1 === pieces.length);
    if (collected.kind === 'complete') return collected.section.toString('latin1');
    if (collected.kind === 'too-long') return 'too long';
  }
  return 'need more';
}

describe('header section', () => {
  it.each([
    ['From: a\r\nTo: b\r\n\r\nbody\r\n\r\n', 'From: a\r\nTo: b\r\n\r\n'],
    ['\r\nbody\r\n\r\n', '\r\n'],
    ['\r\n', '\r\n'],
    ['From: a\r\n', 'From: a\r\n'],
    ['', ''],
  ])('of %j, however it is cut', (message, section) => {
    for (let at = 0; at <= message.length; at++) {
      expect(collect([message.slice(0, at), message.slice(at)])).toBe(section);
    }
    expect(collect(message === '' ? [''] : [...message])).toBe(section);
  });

  it('is bounded', () => {
    const line = 'X-Long: x\r\n';
    const fits = line.repeat(Math.floor(65_534 / line.length));
    expect(collect([fits, '\r\nbody'])).toBe(`${fits}\r\n`);
    expect(collect([fits, line, '\r\nFrom: late\r\n'])).toBe('too long');
    expect(collect([`${'x'.repeat(70_000)}\r\n\r\n`])).toBe('too long');
    expect(collect(Array.from({ length: 700 }, () => 'x'.repeat(100)))).toBe('too long');
  });
});
