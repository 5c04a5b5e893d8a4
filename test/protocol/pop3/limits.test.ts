import { describe, expect, it } from '@jest/globals';
import { greetedSubject, type PreauthSubject } from './preauth-subject.ts';

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

describe('what a stranger can make a POP3 connection hold, S-03', () => {
  for (const [what, piece] of Object.entries({
    'a line without end': 'x'.repeat(1_000),
    'a PASS without end': 'PASS x',
    'NULs without end': '\0'.repeat(1_000),
    '8-bit bytes without end': '\xff'.repeat(1_000),
    'carriage returns without end': '\r'.repeat(1_000),
    'CAPAs without end': 'CAPA\r\n'.repeat(1_000),
    'names without end': 'USER joe\r\n',
    'soft refusals without end': 'UTF8\r\n',
    'unknown mechanisms without end': 'AUTH X\r\n',
    'canceled exchanges without end': 'AUTH LOGIN\r\nYQ==\r\n*\r\n',
  })) {
    it(`ends ${what}`, () => {
      const subject = greetedSubject();
      expect(pour(subject, Buffer.from(piece, 'latin1'), 100 * megabyte)).toBeLessThan(100_000);
      expect(sent(subject).length).toBeLessThan(16_000);
    });
  }

  it('keeps nothing of empty lines', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from('\r\n\n   \n'.repeat(10_000)));
    const { state } = subject;
    expect(state.name === 'ready' && state.connection.reader.isEmpty).toBe(true);
  });

  it('reads a line of 12544, with either line end, and no more', () => {
    for (const end of ['\r\n', '\n']) {
      const subject = greetedSubject();
      subject.receive(Buffer.from(`USER ${'x'.repeat(12_539)}${end}`));
      expect(sent(subject)).toBe('+OK\r\n');
      subject.receive(Buffer.from(`USER ${'x'.repeat(12_540)}${end}`));
      expect(sent(subject)).toBe('-ERR Line too long.\r\nclose');
    }
  });

  it('reads a SASL response of 12288, and no more', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from(`AUTH PLAIN\r\n${'A'.repeat(12_288)}\r\n`));
    expect(sent(subject)).toBe('+ \r\n-ERR Invalid PLAIN response.\r\n');
    subject.receive(Buffer.from(`AUTH PLAIN\r\n${'A'.repeat(12_292)}\r\n`));
    expect(sent(subject)).toBe('+ \r\n-ERR Response too long.\r\nclose');
  });

  it('holds a read of 64 KB behind a login and passes it on whole', () => {
    const subject = greetedSubject();
    const behind = Buffer.from('RETR 1\r\n'.repeat(8_190));
    subject.receive(Buffer.concat([Buffer.from('AUTH PLAIN AGpvZQBwdw==\r\n'), behind]));
    subject.observed();
    subject.happen('verdict', 'accepted');
    expect(subject.observed()).toContain(`splice: ${behind.toString().replaceAll('\r\n', '\\r\\n')}`);
  });

  it('does not take a line for shorter because it was held', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from(`AUTH PLAIN AGpvZQBwdw==\r\nUSER ${'x'.repeat(40_000)}\r\nCAPA\r\n`));
    subject.observed();
    subject.happen('verdict', 'refused AUTH no');
    expect(sent(subject)).toBe('-ERR [AUTH] no\r\n-ERR Line too long.\r\nclose');
  });

  it('ends a client that pours on during a login, byte by byte too', () => {
    const subject = greetedSubject();
    subject.receive(Buffer.from('AUTH PLAIN AGpvZQBwdw==\r\n'));
    subject.observed();
    expect(pour(subject, Buffer.from('x'), megabyte)).toBe(80 * 1_024 + 1);
    expect(sent(subject)).toBe('-ERR [SYS/TEMP] Too much input during login.\r\nclose');
  });
});
