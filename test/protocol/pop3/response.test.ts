import { describe, expect, it } from '@jest/globals';
import { commandLine, continuation, err, listing, ok } from '../../../src/protocol/pop3/response.ts';

describe('the writer of POP3 lines, S-10', () => {
  for (const value of [
    'a\r\n+OK x',
    'a\nb',
    'a\0b',
    'a\x1b[2J',
    'a\x7f',
    'caf\xe9',
    '\u2028',
    `${'x'.repeat(900)}\r\n.`,
  ]) {
    it(`refuses ${JSON.stringify(value.slice(-12))} in every place`, () => {
      for (const write of [
        () => ok(value),
        () => err(null, value),
        () => err(value, 'text'),
        () => listing(['TOP', value]),
        () => continuation(value),
        () => commandLine(value, 10_000),
      ]) {
        expect(write).toThrow(TypeError);
      }
    });
  }

  it('lets no text pass for a response code, and no code end early', () => {
    expect(() => ok('[IN-USE] x')).toThrow(TypeError);
    expect(() => err(null, '[AUTH] x')).toThrow(TypeError);
    expect(() => err('X] y', 'text')).toThrow(TypeError);
    expect(() => err('AUTH', '')).toThrow(TypeError);
  });

  it('keeps a line to 512 octets, its end with it', () => {
    expect(err('AUTH', `Create one at https://gw/${'x'.repeat(600)}`).toString()).toMatch(
      /^-ERR \[AUTH\] Create one at https:\/\/gw\/x+\r\n$/,
    );
    expect(err('AUTH', 'x'.repeat(600))).toHaveLength(512);
    expect(ok('x'.repeat(506))).toHaveLength(512);
    expect(ok('')).toEqual(Buffer.from('+OK\r\n'));
  });

  it('writes no command longer than allowed', () => {
    expect(commandLine('x'.repeat(253), 255)).toHaveLength(255);
    expect(() => commandLine('x'.repeat(254), 255)).toThrow(RangeError);
  });
});
