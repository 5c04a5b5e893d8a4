import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import type { CertificateFiles } from '../../src/config/certificate.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { listenerTls, portalCertificates } from '../../src/config/server-tls.ts';
import { canonicalCidr } from '../../src/credentials/network.ts';
import { type KeyType, makeCertificate, writeCertificate } from '../proxy/listener-bed.ts';

type Paths = { cert: string; key: string };

let folder: string;
let mail: Paths;
let mailFiles: CertificateFiles;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-listen-'));
  await writeFile(join(folder, 'master'), 'master secret\n');
  mailFiles = await makeCertificate('ec', 'mail.example.com', 'imap.example.com');
  mail = await writeCertificate(folder, 'mail', mailFiles);
});
afterAll(() => rm(folder, { recursive: true }));

async function certificate(keyType: KeyType, ...names: string[]): Promise<Paths> {
  count += 1;
  return await writeCertificate(folder, `certificate-${count}`, await makeCertificate(keyType, ...names));
}

const implicit = (door = 'imap', port = 993) => ({ door, port, tls: 'implicit' });

async function load(
  listen: object[],
  certificates: Paths[] = [mail],
  now?: () => number,
  others: object = {},
): Promise<LoadedConfig> {
  const file = join(folder, 'sallyport.yaml');
  const settings = {
    hostname: 'mail.example.com',
    state_dir: join(folder, 'var'),
    keys_file: join(folder, 'keys/keys.json'),
    tls: { certificates },
    listen,
    portal: { port: 8443, public_url: 'https://portal.example.com:8443' },
    backends: {
      office: {
        imap: { host: '127.0.0.1', port: 143, tls: 'none' },
        smtp: { host: '127.0.0.1', port: 587, tls: 'none' },
        login: { method: 'master', user: 'gateway', password_file: join(folder, 'master') },
      },
    },
    domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' } },
    ...others,
  };
  await writeFile(file, stringify(settings));
  return now === undefined ? await loadConfig(file, {}) : await loadConfig(file, {}, now);
}

async function loaded(...parameters: Parameters<typeof load>) {
  const result = await load(...parameters);
  if (result.kind === 'invalid') throw new Error(result.problems.join('\n'));
  return result;
}

async function problems(...parameters: Parameters<typeof load>): Promise<readonly string[]> {
  const result = await load(...parameters);
  return result.kind === 'invalid' ? result.problems : [];
}

/** Without the one about open enrollment, which is tested elsewhere. */
async function warnings(...parameters: Parameters<typeof load>): Promise<readonly string[]> {
  return (await loaded(...parameters)).warnings.filter((warning) => !warning.startsWith('domains.'));
}

describe('listen', () => {
  it('wire 110: a port that begins in clear is asked to have one beside it that does not', async () => {
    const starttls = { door: 'imap', port: 143, tls: 'starttls' };
    expect(await warnings([implicit(), starttls])).toEqual([]);
    expect(await warnings([starttls, implicit('smtp', 465)])).toEqual([
      expect.stringMatching(/^listen\.0\.tls: .*implicit TLS port for imap/),
    ]);
  });

  it('S-01: a port without any TLS cannot be configured', async () => {
    expect(await problems([{ door: 'imap', port: 143, tls: 'none' }])).toEqual([
      expect.stringMatching(/^listen\.0\.tls: /),
    ]);
  });

  it.each([
    ['a port twice', [implicit(), implicit('smtp', 993)]],
    ['every address and one of them', [implicit(), { ...implicit('smtp', 993), host: '127.0.0.1' }]],
    [
      'every IPv4 address and one of them',
      [
        { ...implicit(), host: '10.0.0.2' },
        { ...implicit('smtp', 993), host: '0.0.0.0' },
      ],
    ],
  ])('%s is refused', async (_, listen) => {
    expect(await problems(listen)).toEqual(['listen.1: port 993 is taken by listen.0']);
  });

  it('one port on two addresses is fine', async () => {
    const hosts = ['10.0.0.2', '10.0.0.3', '::1'].map((host) => ({ ...implicit(), host }));
    expect(await problems(hosts)).toEqual([]);
  });

  it('wire 123: a legacy listener is warned of', async () => {
    const legacy = { ...implicit('imap', 1993), legacy_tls: true };
    expect(await warnings([implicit(), legacy])).toEqual([
      expect.stringMatching(/^listen\.1\.legacy_tls: port 1993 speaks TLS 1\.0/),
    ]);
    const { config, secrets } = await loaded([implicit(), legacy]);
    const tls = config.listen.map((listen, index) =>
      listenerTls(config, listen, secrets.listenCertificates[index] ?? []),
    );
    expect(tls.map(({ isLegacy, settings }) => [isLegacy, settings.minVersion])).toEqual([
      [false, 'TLSv1.2'],
      [true, 'TLSv1'],
    ]);
    expect(tls[0]?.settings.ciphers).not.toMatch(/SECLEVEL|:AES/);
  });
});

describe('S-06: proxy_protocol_from', () => {
  const from = (...networks: string[]) => [{ ...implicit(), proxy_protocol_from: networks }];

  it.each(['10.0.0.5', '10.0.0.0/24', '2001:db8::/64', '2001:db8::1', '10.0.0.5/32'])(
    '%s is narrow enough',
    async (network) => {
      expect(await warnings(from(network))).toEqual([]);
    },
  );

  it.each(['10.0.0.0/23', '10.0.0.0/8', '0.0.0.0/0', '2001:db8::/63', '::/0'])(
    '%s is told to be wide',
    async (network) => {
      expect(await warnings(from('10.0.0.5', network))).toEqual([
        expect.stringMatching(/^listen\.0\.proxy_protocol_from: every host of/),
      ]);
    },
  );

  it.each([
    ...[
      '10.0.0.0/33',
      '10.0.0.0/-1',
      '10.0.0.0/024',
      '10.0.0.0/',
      '10.0.0.0/24/24',
      'localhost',
      '10.0.0',
      '',
    ],
    ...['010.0.0.1', '::ffff:10.0.0.0/104', '::FFFF:10.0.0.1', 'fe80::1%eth0', '2001:db8::/129', '*'],
  ])('%j is no network', async (network) => {
    expect(await problems(from(network))).toEqual([
      expect.stringMatching(/^listen\.0\.proxy_protocol_from\.0: must be an address, or a network/),
    ]);
  });

  it('what is taken here is taken by the listener too', () => {
    for (const network of ['10.0.0.5', '10.0.0.5/24', '2001:DB8::/64', '::/0', '0.0.0.0/0', '::1']) {
      expect(canonicalCidr(network)).not.toBeNull();
    }
  });
});

describe('certificates', () => {
  it('are those of tls, or the listener’s own', async () => {
    const own = await certificate('ec', 'old.example.com');
    const { secrets } = await loaded([implicit(), { ...implicit('smtp', 465), certificates: [own] }]);
    expect(secrets.listenCertificates.map(([first]) => first?.cert.toString())).toEqual([
      mailFiles.cert.toString(),
      expect.not.stringContaining(mailFiles.cert.toString()),
    ]);
  });

  it('wire 124: of one name may differ in the type of their key only', async () => {
    const rsa = await certificate('rsa', 'mail.example.com');
    const again = await certificate('ec', 'other.example.com', 'IMAP.example.com');
    expect(await problems([implicit()], [mail, rsa])).toEqual([]);
    expect(await problems([implicit()], [mail, rsa, again])).toEqual([
      'tls.certificates.2: imap.example.com is in tls.certificates.0 already, with a key of the same type (ec)',
    ]);
    expect(await problems([{ ...implicit(), certificates: [rsa, rsa] }])).toEqual([
      expect.stringMatching(
        /^listen\.0\.certificates\.1: mail\.example\.com is in listen\.0\.certificates\.0/,
      ),
    ]);
  });

  it('requirements 4.1: an RSA key has 2048 bits', async () => {
    const weak = await certificate('rsa1024', 'mail.example.com');
    expect(await problems([implicit()], [weak])).toEqual([
      'tls.certificates.0: an RSA key of 1024 bits is too weak; 2048 at least',
    ]);
  });

  it('that expired or are not valid yet are warned of', async () => {
    const days = (count: number) => () => Date.now() + count * 86_400_000;
    expect(await warnings([implicit()], [mail], days(0))).toEqual([]);
    expect(await warnings([implicit()], [mail], days(31))).toEqual([
      expect.stringMatching(/^tls\.certificates\.0: .*mail\.pem expired on \d{4}-\d\d-\d\d$/),
    ]);
    expect(await warnings([implicit()], [mail], days(-1))).toEqual([
      expect.stringMatching(/^tls\.certificates\.0: .*is not valid before/),
    ]);
  });

  it('that nobody can ask for are warned of, but for the first', async () => {
    const nameless = await certificate('ec');
    expect(await warnings([implicit()], [nameless, mail])).toEqual([]);
    expect(await warnings([implicit()], [mail, nameless])).toEqual([
      expect.stringMatching(/^tls\.certificates\.1: .*no DNS name/),
    ]);
  });

  it('whose chain is broken are noticed before a listener opens', async () => {
    const chain = join(folder, 'chain.pem');
    await writeFile(
      chain,
      `${mailFiles.cert}-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n`,
    );
    expect(await problems([implicit()], [{ ...mail, cert: chain }])).toEqual([
      expect.stringMatching(/^tls\.certificates\.0: is not a PEM certificate and key/),
    ]);
  });

  it('the portal shows the one that carries its name', async () => {
    const portal = await certificate('ec', 'portal.example.com');
    const { config, secrets } = await loaded([implicit()], [mail, portal]);
    expect(portalCertificates(config, secrets)).toEqual([secrets.certificates[1]]);
    const without = await loaded([implicit()], [mail]);
    expect(portalCertificates(without.config, without.secrets)).toEqual([without.secrets.certificates[0]]);
  });
});

it('limits of the listener have defaults, and bounds', async () => {
  const { config } = await loaded([implicit()]);
  expect(config.limits).toMatchObject({ connections: 10_000, handshakesPerSecond: 20, handshakeBurst: 60 });
  const zero = { limits: { connections: 0, handshakes_per_second: 0, handshake_burst: 0 } };
  expect(await problems([implicit()], [mail], undefined, zero)).toHaveLength(3);
});
