import { describe, expect, it } from '@jest/globals';
import { greetedSubject, PreauthSubject } from './preauth-subject.ts';

const megabyte = 1_000_000;

/** Feeds the same bytes until the connection is closed; how many that took. */
function pour(subject: PreauthSubject, piece: Buffer, most: number): number {
  let poured = 0;
  while (subject.state.name !== 'closed' && poured < most) {
    subject.receive(piece);
    poured += piece.length;
  }
  return poured;
}

const sent = (subject: PreauthSubject): string => subject.observed().join('');

describe('what a stranger can make an IMAP connection hold, S-03', () => {
  for (const [what, piece] of Object.entries({
    'a line without end': 'x'.repeat(1_000),
    'a LOGIN without end': 'a LOGIN "',
    'parentheses without end': '('.repeat(1_000),
    'NULs without end': '\0'.repeat(1_000),
    '8-bit bytes without end': '\xff'.repeat(1_000),
    'literals without end': 'a {1000+}\r\n',
    'NOOPs without end': 'a NOOP\r\n'.repeat(1_000),
    'unknown mechanisms without end': 'a AUTHENTICATE X\r\n',
    'canceled exchanges without end': 'a AUTHENTICATE LOGIN\r\nYQ==\r\n*\r\n',
  })) {
    it(`ends ${what}`, () => {
      const subject = greetedSubject();
      expect(pour(subject, Buffer.from(piece, 'latin1'), 100 * megabyte)).toBeLessThan(100_000);
      expect(sent(subject).length).toBeLessThan(16_000);
    });
  }

  it('ends LOGINs in clear that are refused before their literal, wire 29', () => {
    const subject = new PreauthSubject('available');
    subject.happen('connected', '');
    subject.observed();
    expect(pour(subject, Buffer.from('a LOGIN {3}\r\n'), megabyte)).toBeLessThan(2_000);
    expect(sent(subject).length).toBeLessThan(16_000);
  });

  it('keeps nothing of empty lines', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from('\r\n\n   \n'.repeat(10_000)));
    const { state } = subject;
    expect(state.name === 'ready' && state.connection.reader.takeAll().length).toBe(0);
  });

  it('ends a SASL response without end', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from('a AUTHENTICATE PLAIN\r\n'));
    expect(pour(subject, Buffer.alloc(1_000, 'A'), megabyte)).toBe(13_000);
    expect(sent(subject)).toContain('* BYE [TOOBIG] Response too long.\r\n');
  });

  it('reads a SASL response of 12288, and no more', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from(`a AUTHENTICATE PLAIN\r\n${'A'.repeat(12_288)}\r\n`));
    expect(subject.state.name).toBe('ready');
    subject.receive(Buffer.from(`a AUTHENTICATE PLAIN\r\n${'A'.repeat(12_292)}\r\n`));
    expect(subject.state.name).toBe('closed');
  });

  it('reads an ID at its longest, in quotes and in literals, wire 8', () => {
    for (const spell of [(text: string) => `"${text}"`, (text: string) => `{${text.length}+}\r\n${text}`]) {
      const pairs = (count: number) =>
        Array.from(
          { length: count },
          (_, n) => `${spell(`k${n}`.padEnd(30, '.'))} ${spell('v'.repeat(1_024))}`,
        ).join(' ');
      const subject = greetedSubject();
      subject.receive(Buffer.from(`a ID (${pairs(30)})\r\n`));
      expect(sent(subject)).toContain('a OK ID completed.\r\n');
      subject.receive(Buffer.from(`b ID (${pairs(31)})\r\nc NOOP\r\n`));
      expect(sent(subject)).toBe('b BAD Invalid ID list.\r\nc OK NOOP completed.\r\n');
    }
  });

  it('holds a read of 64 KB behind a login and passes it on whole', () => {
    const subject = greetedSubject();
    const behind = Buffer.from('b APPEND x\r\n'.repeat(5_400));
    subject.receive(Buffer.concat([Buffer.from('a LOGIN joe pw\r\n'), behind]));
    subject.observed();
    subject.happen('verdict', 'accepted');
    expect(subject.observed()).toContain(`splice: ${behind.toString().replaceAll('\r\n', '\\r\\n')}`);
  });

  it('does not take a command for shorter because it was held', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from(`a LOGIN joe pw\r\nb ${'x'.repeat(40_000)}\r\nc NOOP\r\n`));
    subject.observed();
    subject.happen('verdict', 'refused AUTHENTICATIONFAILED no');
    expect(sent(subject)).toBe('a NO [AUTHENTICATIONFAILED] no\r\n* BYE [TOOBIG] Command too long.\r\nclose');
  });

  it('asks for no literal that the command has no room for', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from(`a ID ("${'x'.repeat(33_000)}" {4096}\r\n`));
    expect(sent(subject)).toBe('a BAD Literal not accepted.\r\n');
  });

  it('ends a client that pours on during a login, byte by byte too', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from('a LOGIN joe pw\r\n'));
    subject.observed();
    expect(pour(subject, Buffer.from('x'), megabyte)).toBe(80 * 1_024 + 1);
    expect(sent(subject)).toBe('* BYE Too much input during login.\r\nclose');
  });

  it('takes no longer per byte for a long command than for a short one', () => {
    // Looked at anew for each byte, this would be 36 KB × 36 KB, and minutes.
    const subject = greetedSubject();
    const begun = process.hrtime.bigint();
    for (let count = 0; count < 36_000; count++) subject.receive(Buffer.from('{'));
    expect(Number(process.hrtime.bigint() - begun) / 1e6).toBeLessThan(2_000);
    expect(subject.state.name).toBe('ready');
  });
});
