import { describe, expect, it } from '@jest/globals';
import {
  clientText,
  emptyReader,
  encodeReply,
  forClient,
  type Reply,
  readReply,
} from '../../../src/protocol/smtp/reply.ts';

function read(text: string): Reply {
  const result = readReply(emptyReader, Buffer.from(text, 'latin1'));
  if (result.kind !== 'reply') throw new Error(result.kind);
  return result.reply;
}

describe('reply', () => {
  it.each([
    ['250 2.1.0 Ok\r\n', { code: 250, enhanced: '2.1.0', text: 'Ok' }],
    ['250\r\n', { code: 250, enhanced: '2.0.0', text: '' }],
    ['250 \r\n', { code: 250, enhanced: '2.0.0', text: '' }],
    ['250-a\r\n250-b\r\n250 c\r\n', { code: 250, enhanced: '2.0.0', text: 'a b c' }],
    ['550-5.1.1 No such\r\n550 5.1.1 user\r\n', { code: 550, enhanced: '5.1.1', text: 'No such user' }],
    // RFC 2034 4: a code of another class is none.
    ['550 4.1.1 odd\r\n', { code: 550, enhanced: '2.0.0', text: 'odd' }],
    ['550 5.1.1\r\n', { code: 550, enhanced: '5.1.1', text: '' }],
    ['250 2.0.0.1 is no code\r\n', { code: 250, enhanced: '2.0.0', text: '2.0.0.1 is no code' }],
    ['451 bare LF\n', { code: 451, enhanced: '2.0.0', text: 'bare LF' }],
  ])('%j', (text, expected) => {
    expect(forClient(read(text), '2.0.0')).toEqual(expected);
  });

  it('makes one printable line of a hostile text (wire 84)', () => {
    const { text } = forClient(read('550 5.1.1 a\rb\x00c\x1b[2Jd\xe9\r\n'), '5.0.0');
    expect(text).toBe('a?b?c?[2Jd?');
    expect(clientText('x'.repeat(4_000))).toHaveLength(480);
  });

  it('is written as lines of one code, whatever is in the texts (S-10, wire 84)', () => {
    expect(encodeReply(421, '4.7.0', ['Too many connections']).toString()).toBe(
      '421 4.7.0 Too many connections\r\n',
    );
    expect(encodeReply(250, '', ['mx', 'SIZE 1', 'AUTH PLAIN']).toString()).toBe(
      '250-mx\r\n250-SIZE 1\r\n250 AUTH PLAIN\r\n',
    );
    expect(encodeReply(334, '', ['']).toString()).toBe('334 \r\n');
    expect(encodeReply(550, '5.1.1', ['a\r\n250 b', '\xe9\0']).toString('latin1')).toBe(
      '550-5.1.1 a??250 b\r\n550 5.1.1 ??\r\n',
    );
  });

  it('keeps what follows', () => {
    const result = readReply(emptyReader, Buffer.from('250 a\r\n250 b\r\n'));
    expect(result.kind === 'reply' && result.rest.toString()).toBe('250 b\r\n');
  });

  it.each(['1xx\r\n', '650 x\r\n', '25 x\r\n', '2500 x\r\n', '250x\r\n', '\r\n', ' 250 x\r\n'])(
    'refuses %j',
    (text) => {
      expect(readReply(emptyReader, Buffer.from(text)).kind).toBe('invalid');
    },
  );
});
