/*
 * Server names (SNI) that nobody has: CVE-2026-21637 (Node: a throwing SNICallback ends the process), CVE-2026-48928 (Node:
 * upper case), CVE-2017-15130 (Dovecot: every new name cost memory for good).
 *
 * Policy. A server name selects a certificate and does nothing else. It is compared in lower case in a Map, so that names of
 * JavaScript's own objects are names like others; an unknown one gets the standard certificate; no name makes anything
 * throw, and none is kept.
 */
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CertificateFiles } from '../../src/config/certificate.ts';
import { chooseCertificates, findGroup } from '../../src/config/certificate-choice.ts';
import { mailTls } from '../../src/config/server-tls.ts';
import { closed, ListenerBed, lineOf, makeCertificate, shown } from '../proxy/listener-bed.ts';
import { until } from '../support/until.ts';

let bed: ListenerBed;
let other: CertificateFiles;

beforeAll(async () => {
  bed = await ListenerBed.make();
  other = await makeCertificate('ec', 'other.example.com', '*.wild.example.com');
});
afterEach(() => bed.close());

const hostile = [
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '__defineGetter__',
    'valueOf',
    'then',
    '*',
    '.',
  ],
  ...[
    '*.wild.example.org',
    'a..b',
    '.wild.example.org',
    'x'.repeat(255),
    `${'a.'.repeat(127)}a`,
    'UNKNOWN.EXAMPLE',
  ],
  ...[
    '%s%n',
    '../../../../secret',
    '-',
    'xn--',
    '\u212aelvin.example',
    'other.example.com.',
    ' other.example.com',
  ],
];

describe('S-07: server names', () => {
  it('that are hostile get the standard certificate, and the process lives', async () => {
    const { port } = await bed.open({
      tls: mailTls({ minVersion: 'TLSv1.2' }, bed.certificate, other),
      handshakeBurst: 1e6,
    });
    const standard = bed.dialAny(port);
    expect(await lineOf(standard)).toBe('hello');
    const expected = shown(standard);
    for (const servername of hostile) {
      const client = bed.dialAny(port, { servername });
      expect(await lineOf(client)).toBe('hello');
      expect(shown(client)).toBe(expected);
      client.destroy();
      await closed(client);
    }
    const known = bed.dialAny(port, { servername: 'OTHER.example.COM' });
    await lineOf(known);
    expect(shown(known)).not.toBe(expected);
  });

  it('that are raw bytes no program would send change nothing', async () => {
    const { port, listener } = await bed.open({ handshakeBurst: 1e6 });
    // As a client says it, with the 9 letters of `localhost` replaced.
    const hello = await clientHello();
    const at = hello.indexOf('localhost');
    for (const name of [
      '\0\0\0\0\0\0\0\0\0',
      '\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff',
      'a\0b\0c\0d\0e',
      '\r\n\r\n\r\n\r\n\r',
    ]) {
      const bytes = Buffer.from(hello);
      bytes.write(name, at, 'latin1');
      const client = bed.plain(port);
      client.end(bytes);
      await closed(client.resume());
    }
    // Lengths that lie about what follows.
    for (const offset of [-1, -2, -4, -5]) {
      const bytes = Buffer.from(hello);
      bytes[at + offset] = 0xff;
      const client = bed.plain(port);
      client.end(bytes);
      await closed(client.resume());
    }
    expect(await lineOf(bed.dial(port))).toBe('hello');
    expect(listener.networks).toBeGreaterThan(0);
  });

  it('a new one in every handshake leaves nothing behind', async () => {
    const { port, listener } = await bed.open({
      tls: mailTls({ minVersion: 'TLSv1.2' }, bed.certificate, other),
      handshakeBurst: 1e6,
    });
    const hello = await clientHello();
    const at = hello.indexOf('localhost');
    const handshakes = async (count: number) => {
      for (let round = 0; round < count; round += 20) {
        const clients = Array.from({ length: 20 }, (_, index) => {
          const bytes = Buffer.from(hello);
          bytes.write(`n${(round + index).toString(36).padStart(6, 'X')}.z`, at);
          const client = bed.plain(port);
          client.write(bytes);
          // The answer says that the name was looked at.
          return once(client, 'data').then(() => closed(client.destroy()));
        });
        await Promise.all(clients);
      }
      await until(() => listener.networks === 0);
      return process.memoryUsage().rss;
    };
    const before = await handshakes(1_000);
    // A context for each would be some 100 KB each: 200 MB.
    expect((await handshakes(2_000)) - before).toBeLessThan(120_000_000);
  });

  it('a hundred thousand of them are looked up and nothing is kept', () => {
    const choice = chooseCertificates([bed.certificate, other]);
    const before = choice.byName.size;
    let unknown = 0;
    for (let round = 0; round < 100_000; round += 1) {
      const name = `${round.toString(36)}-${'Xy'.repeat(round % 100)}.${round % 2 === 0 ? 'wild' : 'tame'}.example.com`;
      if (findGroup(choice, name) === null) unknown += 1;
    }
    expect(unknown).toBe(50_000);
    expect(choice.byName.size).toBe(before);
    for (const name of hostile) expect(findGroup(choice, name)).toBeNull();
  });
});

/** The first record of a TLS client for `localhost`. */
async function clientHello(): Promise<Buffer> {
  const [inside, outside] = duplexPair();
  bed.secure(inside);
  const [bytes] = (await once(outside, 'data')) as [Buffer];
  return bytes;
}
