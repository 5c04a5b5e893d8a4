import { afterEach, describe, expect, it } from '@jest/globals';
import { type NameServer, startNameServer, type ZoneAnswer } from '../support/name-server.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
let server: NameServer | null = null;
afterEach(async () => {
  await site.remove();
  await server?.close();
  server = null;
});

const domain = { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' };
const listen = [
  { door: 'imap', host: '127.0.0.1', port: 993, tls: 'implicit' },
  { door: 'smtp', host: '127.0.0.1', port: 465, tls: 'implicit' },
  { door: 'smtp', host: '127.0.0.1', port: 587, tls: 'starttls' },
];

describe('dns', () => {
  it('prints the zone lines of each domain, and withdraws what is not offered', async () => {
    site = await makeSite({ listen, domains: { 'example.com': domain, 'example.org': domain } });
    const { code, out } = await site.command('dns');
    expect(code).toBe(0);
    const zoneOf = (name: string) => [
      `; ${name}`,
      `autoconfig.${name}. CNAME mail.example.com.`,
      `autodiscover.${name}. CNAME mail.example.com.`,
      `_autodiscover._tcp.${name}. SRV 0 1 443 mail.example.com.`,
      `_imaps._tcp.${name}. SRV 0 1 993 mail.example.com.`,
      `_imap._tcp.${name}. SRV 0 0 0 .`,
      `_pop3s._tcp.${name}. SRV 0 0 0 .`,
      `_pop3._tcp.${name}. SRV 0 0 0 .`,
      `_submissions._tcp.${name}. SRV 0 1 465 mail.example.com.`,
      `_submission._tcp.${name}. SRV 5 1 587 mail.example.com.`,
      `; The certificate of the portal does not carry autoconfig.${name} and autodiscover.${name}.`,
    ];
    expect(out.split('\n')).toEqual([...zoneOf('example.com'), ...zoneOf('example.org')]);
    const only = await site.command('dns', '--domain', 'EXAMPLE.org');
    expect(only.out.split('\n')).toEqual(zoneOf('example.org'));
  });

  it('says what the records cannot: the ports, the certificates, what is missing', async () => {
    site = await makeSite({
      portal: { host: '127.0.0.1', port: 0, public_url: 'https://mail.example.com:8443' },
      client_setup: { host: 'imap.example.net' },
    });
    const { out } = await site.command('dns');
    expect(out).not.toContain('_autodiscover._tcp');
    expect(out).toContain('_imap._tcp.example.com. SRV 0 0 0 .');
    expect(out.split('\n').slice(-4)).toEqual([
      '; Mail programs ask autoconfig.example.com and autodiscover.example.com on ports 443 and 80 only: have the portal on 443, a web proxy there, or set portal.redirect_port: 80.',
      '; The certificate of the portal does not carry autoconfig.example.com and autodiscover.example.com.',
      '; Without IMAP and SMTP there is no autoconfig document.',
      '; No certificate of tls.certificates carries imap.example.net, which programs connect to.',
    ]);
  });

  it('prints them as data', async () => {
    site = await makeSite({ listen });
    expect(await site.dataOf('dns')).toMatchObject({
      domains: [
        {
          domain: 'example.com',
          records: expect.arrayContaining([
            {
              type: 'SRV',
              name: '_imaps._tcp.example.com',
              priority: 0,
              weight: 1,
              port: 993,
              target: 'mail.example.com',
              line: '_imaps._tcp.example.com. SRV 0 1 993 mail.example.com.',
            },
          ]),
        },
      ],
    });
  });

  it.each([
    ['--domain', 'elsewhere.example'],
    ['--check', '--resolver', 'not an address'],
  ])('refuses %s %s', async (...words) => {
    site = await makeSite({ listen });
    const { code, err } = await site.command('dns', ...words);
    expect(code).toBe(2);
    expect(err).toContain(words.at(-1));
  });
});

describe('dns --check', () => {
  const right: Readonly<Record<string, readonly ZoneAnswer[]>> = {
    'mail.example.com': [{ type: 'A', address: '192.0.2.1' }],
    'autoconfig.example.com': [{ type: 'CNAME', target: 'mail.example.com' }],
    // As good as a CNAME.
    'autodiscover.example.com': [{ type: 'A', address: '192.0.2.1' }],
    '_autodiscover._tcp.example.com': [srv(0, 443)],
    '_imaps._tcp.example.com': [srv(0, 993)],
    '_imap._tcp.example.com': [{ type: 'SRV', priority: 0, weight: 0, port: 0, target: '.' }],
    '_submissions._tcp.example.com': [srv(0, 465)],
    '_submission._tcp.example.com': [srv(10, 587)],
  };

  async function check(zone: Readonly<Record<string, readonly ZoneAnswer[]>>, failing = false) {
    site = await makeSite({ listen });
    server = await startNameServer(zone, failing);
    const { code, out, err } = await site.command('dns', '--check', '--resolver', server.at);
    const lines = out.split('\n');
    const said = Object.fromEntries(
      lines.flatMap((line, index) =>
        line.startsWith(';   ') ? [[lines[index - 1]?.split('. ')[0] ?? '', line.slice(4)]] : [],
      ),
    );
    return { code, err, said };
  }

  it('finds them', async () => {
    const { code, said, err } = await check(right);
    expect(said).toEqual({
      'autoconfig.example.com': 'found',
      'autodiscover.example.com': 'found: the addresses of mail.example.com',
      '_autodiscover._tcp.example.com': 'found',
      '_imaps._tcp.example.com': 'found',
      '_imap._tcp.example.com': 'found',
      '_pop3s._tcp.example.com': 'missing, which does no harm',
      '_pop3._tcp.example.com': 'missing, which does no harm',
      '_submissions._tcp.example.com': 'found',
      '_submission._tcp.example.com': 'found',
    });
    expect(err).toBe('');
    expect(code).toBe(0);
  });

  it('says which are missing and which are different', async () => {
    const { code, said, err } = await check({
      ...right,
      'autoconfig.example.com': [{ type: 'CNAME', target: 'web.example.com' }],
      'autodiscover.example.com': [{ type: 'A', address: '192.0.2.99' }],
      // IMAP that points to POP3's port, a service withdrawn by a copied example, and one that nobody offers.
      '_imaps._tcp.example.com': [srv(0, 995)],
      '_submissions._tcp.example.com': [{ type: 'SRV', priority: 0, weight: 0, port: 0, target: '.' }],
      '_pop3s._tcp.example.com': [srv(0, 995)],
      '_submission._tcp.example.com': [],
    });
    expect(said).toMatchObject({
      'autoconfig.example.com': 'different: CNAME web.example.com.',
      'autodiscover.example.com': 'different: 192.0.2.99',
      '_imaps._tcp.example.com': 'different: SRV 0 1 995 mail.example.com.',
      '_submissions._tcp.example.com': 'different: SRV 0 0 0 .',
      '_pop3s._tcp.example.com': 'different: SRV 0 1 995 mail.example.com.',
      '_submission._tcp.example.com': 'missing',
    });
    expect(err).toBe('6 records are not as listed.');
    expect(code).toBe(1);
  });

  it('does not take an outage for a missing record', async () => {
    const { code, said } = await check(right, true);
    expect(code).toBe(1);
    expect(Object.values(said)).toEqual(Array(9).fill('could not be looked up: ESERVFAIL'));
  });
});

function srv(priority: number, port: number): ZoneAnswer {
  return { type: 'SRV', priority, weight: 1, port, target: 'mail.example.com' };
}
