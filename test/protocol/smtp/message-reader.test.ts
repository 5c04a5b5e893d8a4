import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  type BareNewlines,
  endOfData,
  type Offence,
  readMessage,
  startMessage,
} from '../../../src/protocol/smtp/message-reader.ts';
import { bodies, doubts, shown, smuggled, smuggles } from './smuggling.ts';

interface Outcome {
  /** What the backend gets; without an end where the message has none or is unfit. */
  readonly onWire: string;
  readonly offence: Offence | null;
  readonly rest: string | null;
  readonly size: number;
}

function read(segments: readonly string[], bareNewlines: BareNewlines = 'normalize'): Outcome {
  let reader = startMessage(bareNewlines);
  let onWire = '';
  let offence: Offence | null = null;
  let rest: string | null = null;
  for (const segment of segments) {
    if (rest !== null) {
      rest += segment;
      continue;
    }
    const step = readMessage(reader, bytes(segment));
    reader = step.reader;
    onWire += step.bytes.toString('latin1');
    offence ??= step.offence;
    if (step.rest === null) continue;
    rest = step.rest.toString('latin1');
    if (offence === null) onWire += endOfData.toString('latin1');
  }
  return { onWire, offence, rest, size: reader.size };
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The same, one character after the other, as plainly as it can be written. */
function reference(input: string): { readonly onWire: string; readonly rest: string | null } {
  let onWire = '';
  let at = 0;
  let line: 'client' | 'made' | 'inside' = 'client';
  while (at < input.length) {
    const tail = input.slice(at);
    if (line === 'client' && tail.startsWith('.\r\n'))
      return { onWire: `${onWire}.\r\n`, rest: tail.slice(3) };
    if (tail[0] === '.' && line !== 'inside') {
      const isAlone = tail[1] === '\n' || (tail[1] === '\r' && tail[2] !== '\n');
      onWire += line === 'made' || isAlone ? '..' : '.';
      line = 'inside';
      at += 1;
    } else if (tail.startsWith('\r\n')) {
      onWire += '\r\n';
      line = 'client';
      at += 2;
    } else if (tail[0] === '\r' || tail[0] === '\n') {
      onWire += '\r\n';
      line = 'made';
      at += 1;
    } else {
      onWire += tail[0];
      line = 'inside';
      at += 1;
    }
  }
  return { onWire, rest: null };
}

/** RFC 5321 4.5.2. */
function received(onWire: string): string {
  return onWire.slice(0, -endOfData.length).replace(/(^|\r\n)\./g, '$1');
}

describe('reading a message', () => {
  it.each(bodies)('gives %j as it came, and what stands behind it (wire 102)', (body) => {
    for (const behind of ['', 'QUIT\r\n', '.\r\n']) {
      for (let at = 0; at <= body.length + behind.length; at++) {
        const whole = body + behind;
        const outcome = read([whole.slice(0, at), whole.slice(at)]);
        expect(outcome).toEqual({ onWire: body, offence: null, rest: behind, size: received(body).length });
      }
      expect(read([...(body + behind)]).onWire).toBe(body);
    }
  });

  it('shares the bytes of a clean segment', () => {
    const segment = bytes('a line\r\n..another\r\n.\r\n');
    const { bytes: out } = readMessage(startMessage('normalize'), segment);
    expect(out.buffer).toBe(segment.buffer);
    expect(out.byteOffset).toBe(segment.byteOffset);
  });

  it.each([
    // A line that normalizing makes gets a dot, once.
    ['a\n.b\r\n.\r\n', 'a\r\n..b\r\n.\r\n'],
    ['a\r.b\r\n.\r\n', 'a\r\n..b\r\n.\r\n'],
    ['a\n.\n.\r\n.\r\n', 'a\r\n..\r\n..\r\n.\r\n'],
    ['\n.\r\n.\r\n', '\r\n..\r\n.\r\n'],
    // No dot of it was the client's doubling, and none is taken away.
    ['a\n..\r\n.\r\n', 'a\r\n...\r\n.\r\n'],
    // Alone in its line the client's dot is the line.
    ['a\r\n.\nb\r\n.\r\n', 'a\r\n..\r\nb\r\n.\r\n'],
    ['.\rb\r\n.\r\n', '..\r\nb\r\n.\r\n'],
    ['a\r\n..\nb\r\n.\r\n', 'a\r\n..\r\nb\r\n.\r\n'],
    ['a\r\r\n.\r\n', 'a\r\n\r\n.\r\n'],
    ['a\n\r\n.\r\n', 'a\r\n\r\n.\r\n'],
    ['\r\n\r.\r\n.\r\n', '\r\n\r\n..\r\n.\r\n'],
  ])('makes %j %j (wire 107)', (input, onWire) => {
    for (let at = 0; at <= input.length; at++) {
      const outcome = read([input.slice(0, at), input.slice(at)]);
      expect(outcome.onWire).toBe(onWire);
      expect(outcome.size).toBe(received(onWire).length);
    }
  });

  it.each(smuggles)('leaves one end: %s (wire 107, 109)', (_, end) => {
    const input = `before${end}${smuggled}.\r\n`;
    const whole = read([input]);
    if (end.includes('\0')) {
      expect(whole.offence).toBe('nul');
      expect(whole.onWire).not.toMatch(/\.\r\n$/);
    } else {
      expect(doubts(whole.onWire)).toEqual([]);
      expect(whole.onWire).toContain('forged');
    }
    for (let at = 0; at <= input.length; at++) {
      const cut = read([input.slice(0, at), input.slice(at)]);
      expect([cut.offence, cut.rest, cut.offence === null ? shown(cut.onWire) : '']).toEqual([
        whole.offence,
        '',
        whole.offence === null ? shown(whole.onWire) : '',
      ]);
    }
  });

  it('agrees with the plain one on whatever comes, in whatever pieces (wire 107, 109)', () => {
    const letters = fc.constantFrom('\r', '\n', '\r\n', '.', '..', '.\r\n', 'a', '\xff');
    const pieces = fc.array(
      fc.array(letters, { maxLength: 8 }).map((parts) => parts.join('')),
      {
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(pieces, (segments) => {
        const input = `${segments.join('')}`;
        const end = '\r\n.\r\n';
        const outcome = read([...segments, end]);
        const expected = reference(input + end);
        expect(shown(outcome.onWire)).toBe(shown(expected.onWire));
        expect(outcome.rest).toBe(expected.rest);
        expect(doubts(outcome.onWire)).toEqual([]);
        expect(outcome.size).toBe(received(outcome.onWire).length);
        expect(read([...(input + end)]).onWire).toBe(outcome.onWire);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each([
    ['a\nb\r\n.\r\n', 'bare-lf'],
    ['a\rb\r\n.\r\n', 'bare-cr'],
    ['a\0b\r\n.\r\n', 'nul'],
    ['\n.\r\n.\r\n', 'bare-lf'],
  ] as const)('where they are refused finds %j, and its end (wire 107)', (input, offence) => {
    for (let at = 0; at <= input.length; at++) {
      const outcome = read([input.slice(0, at), `${input.slice(at)}NOOP\r\n`], 'refuse');
      expect([outcome.offence, outcome.rest]).toEqual([offence, 'NOOP\r\n']);
    }
  });

  it('holds two bytes at most', () => {
    for (const held of ['', '.', '\r', '.\r']) {
      const { reader } = readMessage(startMessage('normalize'), bytes(`${'x'.repeat(50_000)}\r\n${held}`));
      expect(reader.held.toString('latin1')).toBe(held);
    }
  });

  it('counts on what is refused, so that it has an end', () => {
    let reader = startMessage('normalize');
    for (let i = 0; i < 10; i++) reader = readMessage(reader, bytes(`\0${'x'.repeat(999)}`)).reader;
    expect(reader.size).toBe(10_000);
  });
});
