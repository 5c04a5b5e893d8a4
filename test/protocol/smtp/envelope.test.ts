import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ForwardedPeer } from '../../../src/protocol/forwarded-peer.ts';
import { commandLine, utf8CommandLine } from '../../../src/protocol/smtp/command-line.ts';
import { parseMail, parseRcpt } from '../../../src/protocol/smtp/envelope.ts';
import { envelopeLine, missingExtension } from '../../../src/protocol/smtp/envelope-line.ts';
import { xclientLines } from '../../../src/protocol/smtp/xclient.ts';
import { encodeXtext } from '../../../src/protocol/smtp/xtext.ts';

const limits = { messageBytes: 1_000_000 };
const all = new Map([
  ['SIZE', '1000'],
  ['8BITMIME', ''],
]);
const everything = new Map([...all, ['DSN', ''], ['SMTPUTF8', '']]);

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** The line for a backend with these extensions, or why there is none; UTF-8 as Latin-1. */
function mail(text: string, extensions: ReadonlyMap<string, string> = new Map()): string {
  const order = parseMail(bytes(text), limits);
  if (order.kind === 'refused') return `${order.reply.code} ${order.reply.enhanced}`;
  return (
    missingExtension(order, extensions) ?? envelopeLine(order, extensions).toString('latin1').slice(0, -2)
  );
}

function rcpt(
  text: string,
  extensions: ReadonlyMap<string, string> = new Map(),
  options = { smtpUtf8: false },
): string {
  const order = parseRcpt(bytes(text), options);
  if (order.kind === 'refused') return `${order.reply.code} ${order.reply.enhanced}`;
  return (
    missingExtension(order, extensions) ?? envelopeLine(order, extensions).toString('latin1').slice(0, -2)
  );
}

describe('MAIL', () => {
  it.each([
    // Wire 92: the four forms, and what old devices send.
    ['MAIL FROM:<a@b>', 'MAIL FROM:<a@b>'],
    ['MAIL FROM: <a@b>', 'MAIL FROM:<a@b>'],
    ['mail from:<>', 'MAIL FROM:<>'],
    ['MAIL FROM:a@b', 'MAIL FROM:<a@b>'],
    ['MAIL FROM:<a@b> ', 'MAIL FROM:<a@b>'],
    ['MAIL FROM:<@relay,@other:a@b>', 'MAIL FROM:<a@b>'],
    ['MAIL FROM:<"a b"@c>', 'MAIL FROM:<"a b"@c>'],
    ['MAIL FROM:<a+b=c@d>', 'MAIL FROM:<a+b=c@d>'],
    // Wire 94: as it was written.
    ['MAIL FROM:<a@xn--bcher-kva.example>', 'MAIL FROM:<a@xn--bcher-kva.example>'],
    // RFC 4954 5: for us.
    ['MAIL FROM:<a@b> AUTH=<>', 'MAIL FROM:<a@b>'],
  ])('%s', (line, expected) => {
    expect(mail(line)).toBe(expected);
  });

  it.each([
    ['MAIL FROM:<a@b> SIZE=12 BODY=8bitmime', 'MAIL FROM:<a@b> SIZE=12 BODY=8BITMIME'],
    ['MAIL FROM:<a@b> BODY=7BIT', 'MAIL FROM:<a@b> BODY=7BIT'],
    // Wire 95.
    ['MAIL FROM:<a@b>', 'MAIL FROM:<a@b> BODY=8BITMIME'],
  ])('%s to a backend that lists SIZE and 8BITMIME', (line, expected) => {
    expect(mail(line, all)).toBe(expected);
  });

  it.each([
    ['MAIL FROM:<a@b> FOO=1', '555 5.5.4'],
    ['MAIL FROM:<a@b> SOLICIT=x', '555 5.5.4'],
    ['MAIL FROM:<a@b> SMTPUTF8=1', '501 5.5.4'],
    ['MAIL FROM:<a@b> ENVID', '501 5.5.4'],
    ['MAIL FROM:<a@b> ENVID=+0d', '501 5.5.4'],
    ['MAIL FROM:<a@b> ENVID=a+b', '501 5.5.4'],
    [`MAIL FROM:<a@b> ENVID=${'x'.repeat(101)}`, '501 5.5.4'],
    ['MAIL FROM:<a@b> RET=SOME', '501 5.5.4'],
    ['MAIL FROM:<a@b> RET=FULL RET=HDRS', '501 5.5.4'],
    ['MAIL FROM:<a@b> SIZE=1000001', '552 5.3.4'],
    ['MAIL FROM:<a@b> SIZE=99999999999999999999', '552 5.3.4'],
    ['MAIL FROM:<a@b> SIZE=1e3', '501 5.5.4'],
    ['MAIL FROM:<a@b> SIZE', '501 5.5.4'],
    ['MAIL FROM:<a@b> SIZE=1 SIZE=2', '501 5.5.4'],
    ['MAIL FROM:<a@b> BODY=BINARYMIME', '501 5.5.4'],
    ['MAIL FROM:<a@b>SIZE=1', '501 5.1.7'],
    ['MAIL FROM:<a@b', '501 5.1.7'],
    ['MAIL FROM:<a <b> c>', '501 5.1.7'],
    ['MAIL FROM:<a@b c>', '501 5.1.7'],
    ['MAIL FROM:<"a> SIZE=1 "@b>', '501 5.5.4'],
    ['MAIL FROM:<"a> SIZE=1', '501 5.1.7'],
    ['MAIL FROM:<a"@b>', '501 5.1.7'],
    ['MAIL FROM:', '501 5.1.7'],
    ['MAIL', '501 5.5.4'],
    ['MAIL FROMM:<a@b>', '501 5.5.4'],
    ['MAIL FROM:<a@b\rRCPT TO:<x@y>>', '501 5.1.7'],
    ['MAIL FROM:<a\0@b>', '501 5.1.7'],
    ['MAIL FROM:<jos\xc3\xa9@b>', '553 5.6.7'],
    ['MAIL FROM:<a@b\xfccher>', '553 5.6.7'],
    [`MAIL FROM:<${'a'.repeat(600)}@b>`, '501 5.1.7'],
    [`MAIL FROM:<a@b> ${'X'.repeat(3_000)}`, '500 5.5.2'],
  ])('refuses %j', (line, expected) => {
    expect(mail(line)).toBe(expected);
  });
});

describe('RCPT', () => {
  it.each([
    ['RCPT TO:<a@b>', 'RCPT TO:<a@b>'],
    ['rcpt to: <Postmaster>', 'RCPT TO:<Postmaster>'],
    ['RCPT TO:<>', '501 5.1.3'],
    ['RCPT TO:<a@b> NOTIFY=NEVER', 'DSN'],
    ['RCPT TO:<a@b> ORCPT=rfc822;a@b', 'DSN'],
    ['RCPT TO:<a@b> NOTIFY=NEVER,FAILURE', '501 5.5.4'],
    ['RCPT TO:<a@b> NOTIFY', '501 5.5.4'],
    ['RCPT TO:<a@b> ORCPT=a@b', '501 5.5.4'],
    ['RCPT TO:<a@b> ORCPT=rfc822;', '501 5.5.4'],
    ['RCPT TO:<a@b> ORCPT=rfc822;a+zzb', '501 5.5.4'],
    [`RCPT TO:<a@b> ORCPT=rfc822;${'x'.repeat(500)}`, '501 5.5.4'],
    ['RCPT TO:<a@b> RRVS=x', '555 5.5.4'],
    ['RCPT TO:<a@b>\rX', '501 5.1.3'],
    ['RCPT TO:<\xff@b>', '553 5.6.7'],
  ])('%j', (line, expected) => {
    expect(rcpt(line)).toBe(expected);
  });

  it('never makes more than one line for the backend, whatever the client says (S-10)', () => {
    const text = fc.string({ unit: fc.constantFrom(...'<>@:,". \r\n\0\x80ab=;'), maxLength: 40 });
    fc.assert(
      fc.property(text, (rest) => {
        const lines = [
          mail(`MAIL FROM:${rest}`, all),
          rcpt(`RCPT TO:${rest}`, everything, { smtpUtf8: true }),
        ];
        for (const line of lines) {
          expect(line).toMatch(/^[\x20-\x7e\x80-\xff]+$/);
          expect(line).toMatch(/^(?:MAIL FROM:<[^<>]*> BODY=8BITMIME|RCPT TO:<[^<>]+>|5\d\d 5\.\d\.\d)$/);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('parameters of extensions (wire 93)', () => {
  it.each([
    ['MAIL FROM:<a@b> RET=hdrs ENVID=QQ+0D+0AX', 'MAIL FROM:<a@b> BODY=8BITMIME RET=HDRS ENVID=QQ+0D+0AX'],
    ['MAIL FROM:<a@b> SMTPUTF8', 'MAIL FROM:<a@b> BODY=8BITMIME SMTPUTF8'],
    [
      'MAIL FROM:<jos\xc3\xa9@b\xc3\xbccher> SMTPUTF8',
      'MAIL FROM:<jos\xc3\xa9@b\xc3\xbccher> BODY=8BITMIME SMTPUTF8',
    ],
    ['MAIL FROM:<jos\xe9@b> SMTPUTF8', '553 5.6.7'],
    // NEL and LINE SEPARATOR end a line for some.
    ['MAIL FROM:<a\xc2\x85b@c> SMTPUTF8', '501 5.1.7'],
    ['MAIL FROM:<a\xe2\x80\xa8b@c> SMTPUTF8', '501 5.1.7'],
  ])('%j goes on as %j where it is listed', (line, expected) => {
    expect(mail(line, everything)).toBe(expected);
  });

  it.each([
    ['MAIL FROM:<a@b> SMTPUTF8', 'SMTPUTF8'],
    ['MAIL FROM:<a@b> RET=FULL', 'DSN'],
    ['MAIL FROM:<a@b> ENVID=x', 'DSN'],
    ['MAIL FROM:<a@b> BODY=8BITMIME', '8BITMIME'],
  ])('%s needs %s', (line, extension) => {
    expect(mail(line)).toBe(extension);
  });

  it.each([
    ['RCPT TO:<a@b> NOTIFY=success,delay', 'RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY'],
    ['RCPT TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;a+0D+0Ab', 'RCPT TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;a+0D+0Ab'],
    ['RCPT TO:<jos\xc3\xa9@b>', 'RCPT TO:<jos\xc3\xa9@b>'],
  ])('%j goes on as %j', (line, expected) => {
    expect(rcpt(line, everything, { smtpUtf8: true })).toBe(expected);
  });
});

describe('a domain in other letters (wire 94)', () => {
  it.each([
    ['a@b\xc3\xbccher.example', 'a@xn--bcher-kva.example'],
    ['"a b"@b\xc3\xbccher.example', '"a b"@xn--bcher-kva.example'],
    ['a@\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88.example', 'a@xn--zckzah.example'],
    // Not a name, whatever a parser of URLs would make of it.
    ['a@b\xc3\xbc:25', null],
    ['a@b\xc3\xbc/x', null],
    ['a@b\xc3\xbc%2ex', null],
    ['a@[b\xc3\xbc]', null],
    ['a@b\xc3\xbc@c', null],
    ['a@\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1', null],
    ['jos\xc3\xa9@b\xc3\xbccher.example', null],
    ['b\xc3\xbccher', null],
  ])('%j: %j', (path, expected) => {
    expect(mail(`MAIL FROM:<${path}>`)).toBe(expected === null ? '553 5.6.7' : `MAIL FROM:<${expected}>`);
    expect(rcpt(`RCPT TO:<${path}>`)).toBe(expected === null ? '553 5.6.7' : `RCPT TO:<${expected}>`);
  });
});

const caller: ForwardedPeer = {
  address: '203.0.113.7',
  port: 465,
  localAddress: '198.51.100.1',
  localPort: 465,
  sessionId: 'k3',
  helo: null,
};

describe('lines for the backend', () => {
  it.each(['NOOP\r\nRCPT TO:<x@y>', 'a\nb', 'a\0b', 'caf\xe9', ''])('refuses %j', (text) => {
    expect(() => commandLine(text)).toThrow(TypeError);
  });

  it.each(['NOOP\r\nRSET', 'a\nb', 'a\0b', 'a\u0085b', 'a\u2028b', '\ud800', ''])(
    'refuses %j behind SMTPUTF8 too',
    (text) => {
      expect(() => utf8CommandLine(text)).toThrow(TypeError);
    },
  );

  it('encodes xtext (wire 132)', () => {
    expect(encodeXtext(bytes('a b+c=\x7f\xe9'))).toBe('a+20b+2Bc+3D+7F+E9');
    expect(encodeXtext(bytes('a\r\nRCPT TO:<x@y>'))).toBeNull();
  });

  it('announces the client with what the backend lists (wire 129, 130)', () => {
    const peer = { ...caller, address: '2001:db8::7%eth0', helo: { name: 'my printer', isExtended: false } };
    expect(xclientLines(peer, 'ADDR PORT PROTO HELO LOGIN')).toEqual([
      'XCLIENT ADDR=IPV6:2001:db8::7 PORT=465 PROTO=SMTP HELO=my+20printer',
    ]);
    // As Dovecot lists them: LOGIN would be a claim, and what is not known stays unsaid.
    const dovecot =
      'HELO PROTO LOGIN TTL PORT ADDR DESTPORT DESTADDR SESSION CLIENT-TRANSPORT DESTNAME FORWARD';
    expect(xclientLines(peer, dovecot)).toEqual([
      'XCLIENT ADDR=IPV6:2001:db8::7 PORT=465 PROTO=SMTP HELO=my+20printer DESTADDR=198.51.100.1 DESTPORT=465 SESSION=k3',
    ]);
    expect(xclientLines(peer, 'LOGIN TTL FORWARD')).toEqual([]);
  });

  it('splits what is longer than 512 octets and drops what cannot fit (wire 129)', () => {
    const saying = (name: string) => ({ ...caller, helo: { name, isExtended: true } });
    const lines = xclientLines(saying('h '.repeat(120)), 'NAME ADDR PORT PROTO HELO');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line.length + 2).toBeLessThanOrEqual(512);
    expect(xclientLines(saying(' '.repeat(255)), 'HELO')).toEqual(['XCLIENT HELO=[UNAVAILABLE]']);
    expect(xclientLines(saying('a\r\nRSET'), 'HELO')).toEqual(['XCLIENT HELO=[UNAVAILABLE]']);
    for (const silent of [saying(''), caller]) {
      expect(xclientLines(silent, 'HELO')).toEqual(['XCLIENT HELO=[UNAVAILABLE]']);
    }
  });
});
