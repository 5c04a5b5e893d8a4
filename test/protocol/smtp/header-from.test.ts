import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { addressesIn, decodeWords } from '../../../src/protocol/smtp/display-text.ts';
import { readHeaderFrom } from '../../../src/protocol/smtp/header-from.ts';

const own = 'joe@example.com';
const boss = 'boss@example.com';

function read(header: string | Buffer, encoding: BufferEncoding = 'utf8') {
  return readHeaderFrom(Buffer.isBuffer(header) ? header : Buffer.from(header, encoding));
}

describe('wire 82, S-53: senders that are read', () => {
  it.each<[string, string[], string[]?]>([
    [`From: ${own}`, [own]],
    [`From: <${own}>`, [own]],
    [`From: < ${own} >`, [own]],
    [`From:${own}`, [own]],
    [`FROM: ${own}`, [own]],
    [`from : ${own}`, [own]],
    [`From\t:\t${own}`, [own]],
    [`From:\r\n ${own}`, [own]],
    [`From: Joe\r\n\t<${own}>`, [own]],
    [`From: Joe Doe <${own}>`, [own]],
    [`From: "Doe, Joe" <${own}>`, [own]],
    [`From: "Joe \\"the\\" Doe" <${own}>`, [own]],
    [`From: J. Doe <${own}>`, [own]],
    [`From: [Ticket 5] <${own}>`, [own]],
    [`From: Joe <${own}> (office)`, [own]],
    [`From: ${own} (Joe Doe)`, [own]],
    [`From: (a (nested \\) one)) ${own}`, [own]],
    [`From: ${own}, Anna <anna@example.com>`, [own, 'anna@example.com']],
    [`From: Joe <JOE@Example.COM>`, ['JOE@Example.COM']],
    [`From: joe+list@example.com`, ['joe+list@example.com']],
    [`From: =?utf-8?Q?J=C4=81nis?= <${own}>`, [own]],
    [`From: =?UTF-8*lv?B?SsSBbmlz?= =?UTF-8?B?IELEk3J6acWG?= <${own}>`, [own]],
    [`From: =?iso-8859-1?q?Jos=E9_Doe?= <${own}>`, [own]],
    [`From: =?iso-2022-jp?B?GyRCOzNFRBsoQg==?= <${own}>`, [own]],
    [`From: Jānis <${own}>`, [own]],
    ['From: joe@bücher.example', ['joe@bücher.example']],
    [`From: "${own}" <${own}>`, [own], [own]],
    [`From: ${own} <${own}>`, [own], [own]],
    [`From: O'Brien <o'brien@example.com>`, ["o'brien@example.com"]],
    [`From: Joe @ Work <${own}>`, [own]],
    [`From: Joe@Work <${own}>`, [own]],
    [`From: ${own}'s iPad <${own}>`, [own], [own]],
    [`Subject: From: ${boss}\r\nFrom: ${own}`, [own]],
    [`Subject: x\r\n From: ${boss}\r\nFrom: ${own}`, [own]],
    [`X-From: ${boss}\r\nReply-To: ${boss}\r\nFrom: ${own}`, [own]],
    [`From: ${own}\r\nSender: Scanner <scan@example.com>`, [own, 'scan@example.com']],
    [`From: ${own}\r\n\r\nFrom: ${boss}`, [own]],
    [`From: ${own}\n\nFrom: ${boss}`, [own]],
    [`From: ${own}\r\rFrom: ${boss}`, [own]],
  ])('%j', (header, addresses, shown = []) => {
    const result = read(`${header}\r\n`);
    expect(result).toMatchObject({ kind: 'read', addresses });
    expect(new Set(result.kind === 'read' ? result.shown : [])).toEqual(new Set(shown));
  });

  it('Latin-1 names are read, and a Latin-1 subject disturbs nothing', () => {
    expect(read(`Subject: d\xe9j\xe0\r\nFrom: Jos\xe9 <${own}>\r\n`, 'latin1')).toMatchObject({
      kind: 'read',
      addresses: [own],
    });
  });
});

describe('S-53: what a mail program may show instead is told', () => {
  it.each([
    `From: "${boss}" <${own}>`,
    `From: ${boss} <${own}>`,
    `From: The Boss ${boss} <${own}>`,
    `From: ${own} (${boss})`,
    `From: (${boss}) ${own}`,
    `From: ${own} (see (${boss}))`,
    `From: "The Boss <${boss}>" <${own}>`,
    `From: =?utf-8?Q?boss=40example=2Ecom?= <${own}>`,
    `From: =?utf-8?B?${Buffer.from(boss).toString('base64')}?= <${own}>`,
    `From: "=?utf-8?B?${Buffer.from(boss).toString('base64')}?=" <${own}>`,
    `From: =?utf-8?Q?boss?= =?utf-8?Q?=40example.com?= <${own}>`,
    `From: =?utf-8?Q?boss?=\r\n =?utf-8?B?QGV4YW1wbGUuY29t?= <${own}>`,
    `From: =?utf-8?Q?boss?=@example.com <${own}>`,
    `From: =?us-ascii?q?boss@example.com?= <${own}>`,
    `From: =?utf-16le?B?${Buffer.from(boss, 'utf16le').toString('base64')}?= <${own}>`,
    `From: ${own} (=?utf-8?Q?boss=40example.com?=)`,
    `From: "bo\\ss@example.com" <${own}>`,
    `From: bo\u200bss@exam\u00adple.com <${own}>`,
    `From: mail ${boss}, <${own}>`.replace(', ', ' '),
    `From: ${own}\r\nSender: "${boss}" <${own}>`,
  ])('%j', (header) => {
    expect(read(header)).toMatchObject({ kind: 'read', shown: expect.arrayContaining([boss]) });
  });

  it('another sign for @ or for the dot is no way round', () => {
    expect(addressesIn('boss\uff20example.com')).toHaveLength(1);
    expect(addressesIn('boss@example\u3002com')).toHaveLength(1);
  });
});

describe('S-53: a second sender is told', () => {
  it.each([
    `From: ${own}, ${boss}`,
    `From: ${boss}, ${own}`,
    `From: Joe <${own}>,\r\n Boss <${boss}>`,
    `From: ${own}\r\nSender: ${boss}`,
    `Sender: ${boss}\r\nFrom: ${own}`,
  ])('%j', (header) => {
    expect(read(header)).toMatchObject({ kind: 'read', addresses: expect.arrayContaining([own, boss]) });
  });
});

describe('S-53: what cannot be read with certainty is refused', () => {
  it.each([
    'From:',
    'From: ',
    'From: Joe',
    'From: joe',
    'From: @example.com',
    'From: joe@',
    'From: <>',
    'From: Joe <>',
    `From: ${own},`,
    `From: ,${own}`,
    `From: ${own},,anna@example.com`,
    `From: ${own} ${boss}`,
    `From: <${own}> <${boss}>`,
    `From: <${own}>${boss}`,
    `From: <${own}> Joe`,
    `From: <${own}`,
    `From: ${own}>`,
    `From: <<${own}>>`,
    `From: <"${boss}"@example.com>`,
    `From: "${boss} x"@example.com`,
    `From: "joe"@example.com`,
    'From: joe@example.com@evil.example',
    'From: joe @example.com',
    'From: joe@ example.com',
    'From: joe@exam\r\n ple.com',
    'From: joe(x)@example.com',
    'From: joe@(x)example.com',
    'From: joe@example(x).com',
    'From: joe@example.com(x).evil.example',
    'From: joe@example.com"x"',
    `From: <@relay.example:${own}>`,
    `From: <@a,@b:${own}>`,
    `From: Team: ${own};`,
    `From: undisclosed-recipients:;`,
    `From: ${boss}: ${own};`,
    'From: joe@[192.0.2.1]',
    `From: joe\\@x <${own}>`,
    `From: "Joe <${own}>`,
    `From: (Joe ${own}`,
    `From: ${own} (Joe`,
    `From: Joe) <${own}>`,
    `From: Joe <${own}>; ${boss}`,
    `From: =?utf-8?Q?boss=40example.com?=`,
    `From: =?utf-8?B?Ym9zc0BleGFtcGxlLmNvbQ==?==?utf-8?Q?=00?=@evil.example`,
    `From: =?utf-8?Q?boss=00?= <${own}>`,
    `From: =?utf-8?Q?boss=0A?= <${own}>`,
    `From: =?utf-7?Q?boss+AEA-example.com?= <${own}>`,
    `From: =?unknown?Q?boss?= <${own}>`,
    `From: =?utf-8?Q?boss=4?= <${own}>`,
    `From: =?utf-8?B?Ym9z!c0?= <${own}>`,
    `From: =?utf-8?B?////?= <${own}>`,
    `From: =?utf-8?Q?boss=40example.com <${own}>`,
    `From: =?utf-8?Q?=3D=3Futf-8=3FQ=3Fboss=3F=3D?= <${own}>`,
    `From: =?utf-8?Q?=E2=80=AEmoc.elpmaxe@ssob?= <${own}>`,
    `From: \u202emoc.elpmaxe@ssob <${own}>`,
    `From: Joe\u00a0Doe <${own}>`,
    `From: Joe\x01 <${own}>`,
    `From: ${own}\x00${boss}`,
    `From: ${own}\r\nFrom: ${own}`,
    `From: ${own}\r\nX: y\r\nfrom: ${boss}`,
    `From: ${own}\r\nFrom : ${boss}`,
    `From: ${own}\nFrom: ${boss}`,
    `From: ${own}\rFrom: ${boss}`,
    `From: ${own}\r\nSender: ${own}\r\nSender: ${boss}`,
    `From: ${own}\r\nSender: Joe`,
    ` From: ${boss}\r\nFrom: ${own}`,
    `From: ${own}\r\n \r\nFrom: ${boss}`,
    `From: ${own}\r\n.From: ${boss}`,
    `From: ${own}\r\nno header field`,
    `From joe@example.com Mon Jan  1 00:00:00 2026\r\nFrom: ${own}`,
    `From: ${own}\r\nFr\r\n om: ${boss}`,
    `From: ${own}\r\nFrom\u00a0: ${boss}`,
    `\ufeffFrom: ${boss}\r\nFrom: ${own}`,
    `From: ${own}\r\nSubject: x\x0bFrom: ${boss}`,
    `From: ${own}\r\nSubject: x\x0cFrom: ${boss}`,
    `From: ${own}\r\nSubject: x\u0085From: ${boss}`,
    `From: ${own}\r\nSubject: x\u2028From: ${boss}`,
    `From: ${own}\r\nX: \x00`,
    `From: ${'x'.repeat(5_000)} <${own}>`,
    `From: ${own}\r\nX: ${'x'.repeat(70_000)}\r\nFrom: ${boss}`,
  ])('%j', (header) => {
    expect(read(header)).toMatchObject({ kind: 'uncertain', problem: expect.any(String) });
  });

  it('8-bit in an address of a header that is not UTF-8', () => {
    expect(read('From: jos\xe9@example.com', 'latin1').kind).toBe('uncertain');
  });

  it.each([
    '',
    '\r\n',
    'Subject: x\r\n',
    `Subject: x\r\n\r\nFrom: ${own}`,
    `Subject: x\n\nFrom: ${own}\r\n\r\n`,
  ])('none in %j', (header) => {
    expect(read(header)).toEqual({ kind: 'missing' });
  });
});

describe('S-53: whatever is sent', () => {
  it('nothing throws, and what is read holds every address that stands in it', () => {
    const piece = fc.constantFrom(
      ...[
        'From',
        'Sender',
        ':',
        ' ',
        '\r\n',
        '\n',
        '\r',
        '\t',
        '"',
        '(',
        ')',
        '<',
        '>',
        ',',
        ';',
        '\\',
        '@',
        '.',
      ],
      ...[own, boss, '=?utf-8?Q?', '=?utf-8?B?', '?=', 'Joe', '=40', '\u00e9', '\0', '.From'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const result = read(`From: ${pieces.join('')}`);
        if (result.kind !== 'read') return;
        const told = [...result.addresses, ...result.shown].join(' ');
        const [field] = `${pieces.join('')}`.split(/\r\n(?![ \t])|\r(?![ \t\n])|\n(?![ \t])/);
        if (field?.includes(boss)) expect(told).toContain('boss@example.com');
      }),
      { numRuns: 3_000 },
    );
  });

  it('is bounded work', () => {
    for (const text of [
      '.'.repeat(4_000),
      '(',
      '(('.repeat(2_000),
      '=?x'.repeat(1_200),
      'a,'.repeat(2_000),
    ]) {
      expect(['read', 'uncertain']).toContain(read(`From: ${text}x@y.z <${own}>`).kind);
    }
  });
});

describe('encoded words', () => {
  it.each([
    ['plain', 'plain'],
    ['=?utf-8?Q?a_b?=', 'a b'],
    ['=?utf-8?Q?a?= =?utf-8?Q?b?= c', 'ab c'],
    ['=?windows-1257?Q?J=E2nis?=', 'Jānis'],
    ['=?utf-8?Q??=', ''],
  ])('%j', (text, decoded) => {
    expect(decodeWords(text)).toBe(decoded);
  });
});
