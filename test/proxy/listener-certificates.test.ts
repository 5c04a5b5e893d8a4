import { X509Certificate } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CertificateFiles } from '../../src/config/certificate.ts';
import { chooseCertificates, findGroup } from '../../src/config/certificate-choice.ts';
import { mailTls } from '../../src/config/server-tls.ts';
import { ListenerBed, lineOf, makeCertificate, openssl, shown } from './listener-bed.ts';

let bed: ListenerBed;
let mail: CertificateFiles;
let mailRsa: CertificateFiles;
let wildcard: CertificateFiles;
let exact: CertificateFiles;

beforeAll(async () => {
  bed = await ListenerBed.make();
  mail = await makeCertificate('ec', 'mail.example.com', 'imap.example.com');
  mailRsa = await makeCertificate('rsa', 'mail.example.com', 'imap.example.com', 'old.example.com');
  wildcard = await makeCertificate('ec', '*.example.net', 'example.net');
  exact = await makeCertificate('ec', 'special.example.net');
});
afterEach(() => bed.close());

const all = () => mailTls({ minVersion: 'TLSv1.2' }, mail, mailRsa, wildcard, exact);

describe('wire 120: certificates by server name', () => {
  it.each([
    ['mail.example.com', () => mail],
    ['MAIL.Example.COM', () => mail],
    ['imap.example.com', () => mail],
    ['old.example.com', () => mailRsa],
    ['example.net', () => wildcard],
    ['anything.example.net', () => wildcard],
    ['special.example.net', () => exact],
    ['two.labels.example.net', () => mail],
    ['unknown.example', () => mail],
    ['__proto__', () => mail],
    ['com', () => mail],
  ])('%s', async (servername, expected) => {
    const { port } = await bed.open({ tls: all() });
    const client = bed.dialAny(port, { servername });
    expect(await lineOf(client)).toBe('hello');
    expect(shown(client)).toBe(fingerprint(expected()));
  });

  it('without a server name it is the first, also for programs that know of none', async () => {
    const { port } = await bed.open({ tls: all() });
    const output = await openssl(port, ['-noservername', '-showcerts']);
    expect(output).toContain(mail.cert.toString().trim());
  });

  it('wire 121: the name of a web server gets the mail certificate, which a browser refuses', async () => {
    const { port } = await bed.open({ tls: all() });
    const output = await openssl(port, [
      ...['-servername', 'www.example.com', '-verify_hostname', 'www.example.com', '-showcerts'],
    ]);
    expect(output).toContain(mail.cert.toString().trim());
    expect(output).toMatch(/hostname mismatch|self-signed certificate/i);
  });

  it('wire 124: RSA and ECDSA of the same names are both offered, by name and without', async () => {
    const { port } = await bed.open({ tls: all() });
    for (const name of [['-servername', 'imap.example.com'], ['-noservername']]) {
      const old = ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-SHA', '-sigalgs', 'RSA+SHA256', '-showcerts'];
      expect(await openssl(port, [...name, ...old])).toContain(mailRsa.cert.toString().trim());
      expect(await openssl(port, [...name, '-showcerts'])).toContain(mail.cert.toString().trim());
    }
  });

  it('S-08: sessions are resumed under a server name, and a ticket of one name does not show another', async () => {
    const { port } = await bed.open({ tls: all() });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = bed.dialAny(port, { servername: 'special.example.net', maxVersion });
      const session = new Promise<Buffer>((resolve) => first.once('session', resolve));
      await lineOf(first);
      const again = bed.dialAny(port, {
        servername: 'special.example.net',
        maxVersion,
        session: await session,
      });
      await lineOf(again);
      expect(again.isSessionReused()).toBe(true);
    }
  });

  it('all of them are replaced at once', async () => {
    const { port, listener } = await bed.open({ tls: all() });
    const next = await makeCertificate('ec', 'special.example.net');
    listener.useCertificates(mailTls({ minVersion: 'TLSv1.2' }, mail, next));
    const special = bed.dialAny(port, { servername: 'special.example.net' });
    await lineOf(special);
    expect(shown(special)).toBe(fingerprint(next));
    const gone = bed.dialAny(port, { servername: 'example.net' });
    await lineOf(gone);
    expect(shown(gone)).toBe(fingerprint(mail));
  });
});

describe('the choice of certificates', () => {
  it('makes one group for the same certificates', () => {
    const { standard, byName } = chooseCertificates([mail, mailRsa, wildcard]);
    expect(standard).toEqual([mail, mailRsa]);
    expect(byName.get('mail.example.com')).toBe(standard);
    expect(byName.get('imap.example.com')).toBe(standard);
    expect(byName.get('old.example.com')).toEqual([mailRsa]);
    expect([...byName.keys()].sort()).toEqual(
      ['*.example.net', 'example.net', 'imap.example.com', 'mail.example.com', 'old.example.com'].sort(),
    );
  });

  it('has a standard without any name too', async () => {
    const nameless = await makeCertificate('ec');
    const choice = chooseCertificates([nameless, mail]);
    expect(choice.standard).toEqual([nameless]);
    expect(findGroup(choice, 'mail.example.com')).toEqual([mail]);
    expect(findGroup(choice, '')).toBeNull();
  });
});

function fingerprint({ cert }: CertificateFiles): string {
  return new X509Certificate(cert).fingerprint256;
}
