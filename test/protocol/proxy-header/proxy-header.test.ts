import { isIP } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import ipaddr from 'ipaddr.js';
import { addressBytes, addressText } from '../../../src/protocol/proxy-header/address.ts';
import type { ProxyHeader } from '../../../src/protocol/proxy-header/header.ts';
import { readProxyHeader } from '../../../src/protocol/proxy-header/read.ts';
import { encodeProxyHeaderV2 } from '../../../src/protocol/proxy-header/v2.ts';

const signature = '0d0a0d0a000d0a515549540a';
const v1 = (line: string) => Buffer.from(line, 'latin1');
const v2 = (rest: string) => Buffer.from(signature + rest.replaceAll(' ', ''), 'hex');
const local: ProxyHeader = { kind: 'local' };
const proxied = (source: [string, number], destination: [string, number]): ProxyHeader => ({
  kind: 'proxied',
  source: { address: source[0], port: source[1] },
  destination: { address: destination[0], port: destination[1] },
});
const ipv4 = proxied(['203.0.113.7', 51_234], ['192.0.2.1', 993]);
const ipv6 = proxied(['2001:db8::7', 51_234], ['2001:db8::1', 993]);
const ipv4Block = 'cb007107 c0000201 c822 03e1';
const ipv6Block = `${'20010db8000000000000000000000007'}${'20010db8000000000000000000000001'} c822 03e1`;
const tlv = (type: string, value: string) =>
  `${type}${(value.length / 2).toString(16).padStart(4, '0')}${value}`;

const good: [string, Buffer, ProxyHeader][] = [
  ['TCP4', v1('PROXY TCP4 203.0.113.7 192.0.2.1 51234 993\r\n'), ipv4],
  ['TCP6', v1('PROXY TCP6 2001:db8::7 2001:db8::1 51234 993\r\n'), ipv6],
  ['TCP6 in another spelling', v1('PROXY TCP6 2001:0DB8:0:0:0:0:0:7 2001:db8:0::1 51234 993\r\n'), ipv6],
  ['TCP6 of an IPv4 client', v1('PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 51234 993\r\n'), ipv4],
  [
    'the longest line',
    v1(`PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`),
    proxied([`${'ffff:'.repeat(7)}ffff`, 65_535], [`${'ffff:'.repeat(7)}ffff`, 65_535]),
  ],
  ['UNKNOWN', v1('PROXY UNKNOWN\r\n'), local],
  ['UNKNOWN and more, 107 bytes', v1(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`), local],
  ['v2 over IPv4', v2(`21 11 000c ${ipv4Block}`), ipv4],
  ['v2 over IPv6', v2(`21 21 0024 ${ipv6Block}`), ipv6],
  [
    'v2 with values appended',
    v2(`21 11 0018 ${ipv4Block} ${tlv('02', '61622e63')} ${tlv('04', '0000')}`),
    ipv4,
  ],
  ['v2 with an empty value', v2(`21 11 000f ${ipv4Block} ${tlv('04', '')}`), ipv4],
  ['v2 with a header of 2048 bytes', v2(`21 11 07f0 ${ipv4Block} ${tlv('02', '61'.repeat(2_017))}`), ipv4],
  ['LOCAL', v2('20 00 0000'), local],
  ['LOCAL that carries addresses all the same', v2(`20 11 000c ${ipv4Block}`), local],
  ['LOCAL with values', v2(`20 00 0007 ${tlv('03', '00112233')}`), local],
  ['UNSPEC', v2('21 00 0000'), local],
  ['UNSPEC with something', v2('21 00 0003 010203'), local],
];

const bad: [string, Buffer][] = [
  ['a TLS ClientHello', Buffer.from('16030100c8010000c40303', 'hex')],
  ['a command', v1('a NOOP\r\n')],
  ['lower case', v1('proxy TCP4 203.0.113.7 192.0.2.1 51234 993\r\n')],
  ['a bare LF', v1('PROXY TCP4 203.0.113.7 192.0.2.1 51234 993\n')],
  ['a bare CR', v1('PROXY UNKNOWN\r x\r\n')],
  ['two spaces', v1('PROXY TCP4  203.0.113.7 192.0.2.1 51234 993\r\n')],
  ['a space at the end', v1('PROXY TCP4 203.0.113.7 192.0.2.1 51234 993 \r\n')],
  ['a tab', v1('PROXY\tTCP4 203.0.113.7 192.0.2.1 51234 993\r\n')],
  ['no port', v1('PROXY TCP4 203.0.113.7 192.0.2.1 51234\r\n')],
  ['a field too many', v1('PROXY TCP4 203.0.113.7 192.0.2.1 51234 993 993\r\n')],
  ['another transport', v1('PROXY UDP4 203.0.113.7 192.0.2.1 51234 993\r\n')],
  ['UNKNOWN with a word stuck to it', v1('PROXY UNKNOWNX\r\n')],
  ['an address of the wrong family', v1('PROXY TCP4 2001:db8::7 192.0.2.1 51234 993\r\n')],
  ['an address of the wrong family, IPv6', v1('PROXY TCP6 203.0.113.7 2001:db8::1 51234 993\r\n')],
  ['an octal address', v1('PROXY TCP4 0203.0.113.7 192.0.2.1 51234 993\r\n')],
  ['a short address', v1('PROXY TCP4 203.7 192.0.2.1 51234 993\r\n')],
  ['an address over 255', v1('PROXY TCP4 203.0.113.256 192.0.2.1 51234 993\r\n')],
  ['a name', v1('PROXY TCP4 localhost 192.0.2.1 51234 993\r\n')],
  ['an address with a zone', v1('PROXY TCP6 fe80::1%eth0 2001:db8::1 51234 993\r\n')],
  ['port 65536', v1('PROXY TCP4 203.0.113.7 192.0.2.1 65536 993\r\n')],
  ['a negative port', v1('PROXY TCP4 203.0.113.7 192.0.2.1 -1 993\r\n')],
  ['a port with a zero before it', v1('PROXY TCP4 203.0.113.7 192.0.2.1 051 993\r\n')],
  ['a line of 108 bytes', v1(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`)],
  ['a line without end', v1(`PROXY UNKNOWN ${'x'.repeat(5_000)}`)],
  ['half a signature', Buffer.from('0d0a0d0a000d0a5155495420', 'hex')],
  ['version 1 in binary', v2('11 11 000c')],
  ['version 3', v2(`31 11 000c ${ipv4Block}`)],
  ['an unknown command', v2(`22 11 000c ${ipv4Block}`)],
  ['UDP', v2(`21 12 000c ${ipv4Block}`)],
  ['a Unix socket', v2(`21 31 00d8 ${'00'.repeat(216)}`)],
  ['an unknown family', v2(`21 41 000c ${ipv4Block}`)],
  ['a transport without a family', v2('21 01 0000')],
  ['a block too short for its addresses', v2('21 11 000b cb007107c0000201c82203')],
  ['IPv6 in the length of IPv4', v2(`21 21 000c ${ipv4Block}`)],
  ['64 KB announced', v2(`21 11 ffff ${ipv4Block}`)],
  ['64 KB of LOCAL announced', v2('20 00 ffff')],
  ['a header of 2049 bytes', v2(`21 11 07f1 ${ipv4Block}`)],
  ['a value longer than the header', v2(`21 11 0013 ${ipv4Block} 20 ffff 61616161`)],
  ['a value one byte longer than the header', v2(`21 11 0010 ${ipv4Block} 20 0002 61`)],
  ['half a value', v2(`21 11 000e ${ipv4Block} 20 00`)],
];

describe('wire 126, 127: a PROXY header', () => {
  it.each(good)('%s is read, and not a byte more, wherever it is cut', (_, bytes, header) => {
    for (let length = 0; length < bytes.length; length += 1) {
      expect(readProxyHeader(bytes.subarray(0, length))).toEqual({ kind: 'incomplete' });
    }
    for (const behind of ['', 'a NOOP\r\n', 'PROXY UNKNOWN\r\n', '\x16\x03\x01']) {
      const received = Buffer.concat([bytes, Buffer.from(behind, 'latin1')]);
      expect(readProxyHeader(received)).toEqual({ kind: 'header', header, length: bytes.length });
    }
  });

  it.each(bad)('%s is refused, wherever it is cut', (_, bytes) => {
    let kind = 'incomplete';
    for (let length = 0; length <= bytes.length && kind === 'incomplete'; length += 1) {
      ({ kind } = readProxyHeader(bytes.subarray(0, length)));
    }
    expect(kind).toBe('malformed');
    expect(readProxyHeader(bytes)).toEqual({ kind: 'malformed' });
  });

  it('S-06: 107 or 2048 bytes decide, whatever they are', () => {
    const line = Buffer.from(`PROXY ${'x'.repeat(101)}`);
    expect(readProxyHeader(line.subarray(0, 106))).toEqual({ kind: 'incomplete' });
    expect(readProxyHeader(line)).toEqual({ kind: 'malformed' });
    for (let command = 0; command < 256; command += 1) {
      for (const family of [0x00, 0x11, 0x12, 0x21, 0x31, 0xff]) {
        for (const length of [0, 11, 12, 36, 2_031, 2_032, 2_033, 65_535]) {
          const start = Buffer.from([command, family, length >> 8, length & 0xff]);
          const received = Buffer.concat([Buffer.from(signature, 'hex'), start, Buffer.alloc(2_032)]);
          expect(readProxyHeader(received).kind).not.toBe('incomplete');
        }
      }
    }
  });

  it('random bytes behind a right beginning neither throw nor name an address that is none', () => {
    let seed = 20_261_122;
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
      return seed >> 8;
    };
    for (let round = 0; round < 20_000; round += 1) {
      const start = round % 2 === 0 ? Buffer.from(signature, 'hex') : Buffer.from('PROXY TCP4 ');
      const alphabet = round % 2 === 0 ? null : '0123456789.: \r\nTCP6';
      const tail = Array.from({ length: random() % 64 }, () =>
        alphabet === null ? random() & 0xff : alphabet.charCodeAt(random() % alphabet.length),
      );
      const reading = readProxyHeader(Buffer.concat([start, Buffer.from(tail)]));
      if (reading.kind !== 'header' || reading.header.kind === 'local') continue;
      expect(isIP(reading.header.source.address)).not.toBe(0);
      expect(reading.length).toBeLessThanOrEqual(start.length + tail.length);
    }
  });
});

describe('a header for a backend', () => {
  const roundTrip = (source: string, destination: string) =>
    readProxyHeader(
      encodeProxyHeaderV2({ address: source, port: 51_234 }, { address: destination, port: 993 }),
    );

  it('is the bytes of the document', () => {
    expect(
      encodeProxyHeaderV2({ address: '203.0.113.7', port: 51_234 }, { address: '192.0.2.1', port: 993 }),
    ).toEqual(v2(`21 11 000c ${ipv4Block}`));
    expect(
      encodeProxyHeaderV2({ address: '2001:db8::7', port: 51_234 }, { address: '2001:db8::1', port: 993 }),
    ).toEqual(v2(`21 21 0024 ${ipv6Block}`));
  });

  it('of two families is IPv6', () => {
    const bytes = encodeProxyHeaderV2(
      { address: '203.0.113.7', port: 1 },
      { address: '2001:db8::1', port: 993 },
    );
    expect(bytes.toString('hex')).toContain('00000000000000000000ffffcb007107');
    expect(roundTrip('203.0.113.7', '2001:db8::1')).toMatchObject({
      header: { source: { address: '203.0.113.7' }, destination: { address: '2001:db8::1' } },
    });
  });

  it('leaves out the zone of a link-local address', () => {
    expect(roundTrip('fe80::1%eth0', 'fe80::2%eth0')).toMatchObject({
      header: { source: { address: 'fe80::1' } },
    });
  });

  it('names nobody where an address is unreadable', () => {
    expect(encodeProxyHeaderV2({ address: '', port: 0 }, { address: '192.0.2.1', port: 993 })).toEqual(
      v2('21 00 0000'),
    );
  });
});

describe('addresses', () => {
  const spellings = [
    ...['::', '::1', '1::', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1::8', 'a:B::C'],
    ...['::ffff:1.2.3.4', '64:ff9b::192.0.2.33', '1:2:3:4:5:6:1.2.3.4', '::1.2.3.4', '0:0:0:0:0:0:0:0'],
    ...['1.2.3.4', '0.0.0.0', '255.255.255.255', '01.2.3.4', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.', ''],
    ...[
      ':',
      ':::',
      '1:2',
      '1::2::3',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '::1:2:3:4:5:6:7:8',
      '12345::',
    ],
    ...[
      '1.2.3.4::',
      '1.2.3.4::1',
      '::1.2.3.4:1',
      '1:2:3:4:5:6:7:1.2.3.4',
      'g::',
      ' ::1',
      '::1 ',
      '+1::',
      '0x1::',
    ],
    ...['::%eth0', '1:', ':1', '::1:', ':1::', '1::2:', '::-1', '1.2.3.4 ', '1e0.2.3.4', '::1.2.3.04'],
  ];

  it.each(spellings)('%j is one to us where it is one to Node', (text) => {
    expect(addressBytes(text) !== null).toBe(isIP(text) !== 0 && !text.includes('%'));
  });

  it('are read and written as ipaddr.js does', () => {
    for (let round = 0; round < 5_000; round += 1) {
      // Zeros in many places, because only their runs are shortened.
      const bytes = Buffer.from(
        Array.from({ length: 16 }, (_, index) =>
          (round >> (index / 2)) & 1 ? (round * 31 + index * 17) & 0xff : 0,
        ),
      );
      const address = ipaddr.fromByteArray([...bytes]);
      if (!(address instanceof ipaddr.IPv6) || address.isIPv4MappedAddress()) continue;
      expect(addressText(bytes)).toBe(address.toRFC5952String());
      expect(addressBytes(address.toNormalizedString())).toEqual(bytes);
      expect(addressBytes(addressText(bytes))).toEqual(bytes);
    }
  });
});
