import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type DataEncoder, dataStart, encodeData, endData } from '../../../src/protocol/smtp/data-encoder.ts';

/** What a backend reads for a message that arrives in these pieces; null where the message is refused. */
function wire(pieces: readonly Buffer[]): string | null {
  let encoder: DataEncoder = dataStart;
  const sent: Buffer[] = [];
  for (const piece of pieces) {
    const encoded = encodeData(encoder, piece);
    if (encoded.kind === 'nul') return null;
    encoder = encoded.encoder;
    sent.push(encoded.bytes);
  }
  return Buffer.concat([...sent, endData(encoder)]).toString('latin1');
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** RFC 5321 4.5.2, the other way round. */
function unstuffed(onWire: string): string {
  expect(onWire.endsWith('\r\n.\r\n') || onWire === '.\r\n').toBe(true);
  return onWire.slice(0, -3).replace(/(^|\r\n)\./g, '$1');
}

const corpus: readonly (readonly [body: string, onWire: string])[] = [
  ['', '.\r\n'],
  ['a\r\n', 'a\r\n.\r\n'],
  ['a', 'a\r\n.\r\n'],
  ['.', '..\r\n.\r\n'],
  ['.\r\n', '..\r\n.\r\n'],
  ['..\r\n', '...\r\n.\r\n'],
  ['\r\n', '\r\n.\r\n'],
  ['\r\n.\r\n', '\r\n..\r\n.\r\n'],
  ['a\r\n.b\r\n.\r\nc\r\n', 'a\r\n..b\r\n..\r\nc\r\n.\r\n'],
  ['a.\r\n', 'a.\r\n.\r\n'],
  ['a\nb\n', 'a\r\nb\r\n.\r\n'],
  ['a\rb\r', 'a\r\nb\r\n.\r\n'],
  ['\r\r\n', '\r\n\r\n.\r\n'],
  ['\n\r', '\r\n\r\n.\r\n'],
  ['\n.', '\r\n..\r\n.\r\n'],
  ['\r.', '\r\n..\r\n.\r\n'],
  ['caf\xe9 \x85.\x85\r\n', 'caf\xe9 \x85.\x85\r\n.\r\n'],
];

/** Wire 107: ends of data that some servers see; what the client leg hands over has one dot less where dots are doubled. */
const smuggles: readonly (readonly [name: string, bytes: string])[] = [
  ['lflf', '\n.\n'],
  ['lfcrlf', '\n.\r\n'],
  ['crlflf', '\r\n.\n'],
  ['crcr', '\r.\r'],
  ['crcrlf', '\r.\r\n'],
  ['crlfcr', '\r\n.\r'],
  ['crlf', '\r.\n'],
  ['lfcr', '\n.\r'],
  ['doubled CR', '\r\r\n.\r\r\n'],
  ['stuffed after LF', '\n..\r\n'],
  ['stuffed before LF', '\r\n..\n'],
  ['C1 line ends', '\x85.\x85'],
  ['crlfcrlf', '\r\n.\r\n'],
];

describe('encoding of a message', () => {
  it.each(corpus)('%j', (body, onWire) => {
    expect(wire([bytes(body)])).toBe(onWire);
  });

  it('does not depend on where the message was cut (wire 109)', () => {
    for (const text of [...corpus.map(([body]) => body), ...smuggles.map(([, end]) => `x${end}y`)]) {
      const whole = wire([bytes(text)]);
      for (let at = 0; at <= text.length; at++) {
        expect(wire([bytes(text.slice(0, at)), bytes(text.slice(at))])).toBe(whole);
      }
      expect(wire([...text].map(bytes))).toBe(whole);
    }
  });

  it.each(smuggles)('leaves one end of data: %s', (_, end) => {
    const onWire =
      wire([bytes(`before${end}MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\n`)]) ?? '';
    expect(onWire.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(onWire.match(/(?:^|\r\n)\.\r\n/g)).toHaveLength(1);
    expect(onWire).toMatch(/RCPT TO:<victim@example.com>\r\n\.\r\n$/);
  });

  it.each(['\r\n\0.\r\n', '\r\n.\0\r\n', '\0'])('refuses a NUL: %j', (text) => {
    expect(wire([bytes(text)])).toBeNull();
    expect(wire([...text].map(bytes))).toBeNull();
  });

  it('gives back what was sent, however it was cut, for every message of whole lines', () => {
    const line = fc.stringMatching(/^[.a\x80 ]{0,6}$/);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat(60), { maxLength: 5 }), (lines, cuts) => {
        const body = lines.map((text) => `${text}\r\n`).join('');
        expect(unstuffed(wire(cutAt(body, cuts)) ?? '')).toBe(body);
      }),
      { numRuns: 2_000 },
    );
  });

  it('has no line end but CRLF and one end of data, for every message', () => {
    const text = fc.stringMatching(/^[.\r\na]{0,24}$/);
    fc.assert(
      fc.property(text, fc.array(fc.nat(24), { maxLength: 4 }), (body, cuts) => {
        const onWire = wire(cutAt(body, cuts)) ?? '';
        expect(onWire).toBe(wire([bytes(body)]));
        expect(onWire.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
        expect(onWire.match(/(?:^|(?<=\r\n))\.\r\n/g)).toHaveLength(1);
        // An oracle of a different make: line ends first, then dots, then the end.
        const lines = body.replace(/\r\n|\r|\n/g, '\r\n').replace(/(^|\r\n)\./g, '$1..');
        expect(onWire).toBe(lines === '' || lines.endsWith('\r\n') ? `${lines}.\r\n` : `${lines}\r\n.\r\n`);
      }),
      { numRuns: 5_000 },
    );
  });

  it('does not copy what it need not change', () => {
    const clean = Buffer.from('a line\r\n'.repeat(8_000));
    const encoded = encodeData(dataStart, clean);
    expect(encoded.kind === 'encoded' && encoded.bytes.buffer === clean.buffer).toBe(true);
  });
});

function cutAt(text: string, cuts: readonly number[]): readonly Buffer[] {
  const places = [0, ...cuts.map((at) => Math.min(at, text.length)).sort((a, b) => a - b), text.length];
  return places.slice(1).map((end, index) => bytes(text.slice(places[index], end)));
}
