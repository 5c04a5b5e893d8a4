import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';

let folder: string;
let base: Record<string, unknown>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-config-'));
  const { caFile, certFile, keyFile } = await makeThrowAwayCertificates(folder);
  await writeFile(join(folder, 'master'), 'master secret\n');
  base = {
    hostname: 'mail.example.com',
    state_dir: join(folder, 'var'),
    default_domain: 'example.com',
    keys_file: join(folder, 'keys/keys.json'),
    tls: { certificates: [{ cert: certFile, key: keyFile }] },
    listen: [
      { door: 'imap', port: 993, tls: 'implicit' },
      { door: 'smtp', port: 465, tls: 'implicit' },
    ],
    portal: { port: 8443, public_url: 'https://mail.example.com:8443' },
    database: { url: `sqlite:${join(folder, 'var/sallyport.db')}` },
    backends: {
      office: {
        imap: { host: 'mail.internal.example', port: 993, tls: 'implicit', ca_file: caFile },
        smtp: { host: '127.0.0.1', port: 587, tls: 'none' },
        login: { method: 'master', user: 'gateway', password_file: join(folder, 'master') },
      },
    },
    domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' } },
  };
});

afterAll(() => rm(folder, { recursive: true }));

async function load(
  changes: Record<string, unknown>,
  environment: NodeJS.ProcessEnv = {},
): Promise<LoadedConfig> {
  const file = join(folder, 'sallyport.yaml');
  await writeFile(file, stringify({ ...base, ...changes }));
  return await loadConfig(file, environment);
}

async function problemsOf(
  changes: Record<string, unknown>,
  environment?: NodeJS.ProcessEnv,
): Promise<readonly string[]> {
  const loaded = await load(changes, environment);
  return loaded.kind === 'invalid' ? loaded.problems : [];
}

describe('a usable configuration', () => {
  it('gets its defaults, with durations in milliseconds', async () => {
    const loaded = await load({});
    if (loaded.kind !== 'loaded') throw new Error(loaded.problems.join('\n'));
    expect(loaded.config.appPasswords).toEqual({
      maxPerAccount: 40,
      createdPerHour: 10,
      defaultExpiryMs: null,
      unusedAfterMs: 86_400_000,
      cacheTtlMs: 3_600_000,
      keepEndedMs: 400 * 86_400_000,
      argon2: { memoryKib: 12_288, passes: 3, lanes: 1 },
    });
    expect(loaded.config.limits.idleTimeMs).toBe(35 * 60_000);
    expect(loaded.config.domains['example.com']).toMatchObject({
      backend: 'office',
      signIn: { method: 'imap' },
      mfa: 'required',
      enrollment: 'open',
    });
  });

  it('keeps secrets apart, so that a Config can be printed', async () => {
    const loaded = await load({ redis: { url: 'redis://:redis-secret@127.0.0.1:6379' } });
    if (loaded.kind !== 'loaded') throw new Error(loaded.problems.join('\n'));
    expect(loaded.secrets.masterPasswords.get('office')?.text()).toBe('master secret');
    expect(loaded.secrets.redisPassword?.text()).toBe('redis-secret');
    expect(JSON.stringify(loaded.config)).not.toMatch(/master secret|redis-secret/);
    expect(JSON.stringify(loaded.secrets)).not.toMatch(/redis-secret/);
  });

  it('S-74: says what open enrollment means', async () => {
    const loaded = await load({});
    expect(loaded.kind === 'loaded' && loaded.warnings.join()).toMatch(/leaked main password/);
  });

  it('fills ${env:NAME}', async () => {
    const loaded = await load({ hostname: '${env:MAIL_HOST}' }, { MAIL_HOST: 'mx.example.com' });
    expect(loaded.kind === 'loaded' && loaded.config.hostname).toBe('mx.example.com');
  });
});

describe('every problem at once', () => {
  it('names each setting by its path', async () => {
    const problems = await problemsOf({
      hostname: 'bad host',
      color: 'blue',
      listen: [{ door: 'imap', port: 99999, tls: 'implicit' }],
    });
    expect(problems.map((problem) => problem.split(':')[0])).toEqual(
      expect.arrayContaining(['hostname', 'listen.0.port']),
    );
    expect(problems.join('\n')).toMatch(/color/);
  });

  it('S-74: enrollment has no default', async () => {
    const problems = await problemsOf({
      domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' } } },
    });
    expect(problems.join()).toMatch(/domains\.example\.com\.enrollment: must be chosen/);
  });

  const domain = (change: object) => ({
    domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, ...change } },
  });

  it.each<[object, RegExp | null]>([
    [{ enrollment: 'code' }, null],
    [{ enrollment: 'open' }, null],
    [{ enrollment: 'network', enrollment_networks: ['192.0.2.0/24', '2001:db8::/32', '198.51.100.7'] }, null],
    [{ enrollment: 'network' }, /enrollment_networks: .*needs at least one/],
    [
      { enrollment: 'network', enrollment_networks: ['192.0.2'] },
      /enrollment_networks\.0: must be an address/,
    ],
    [
      { enrollment: 'open', enrollment_networks: ['192.0.2.0/24'] },
      /enrollment_networks: is for enrollment: network/,
    ],
    [{ enrollment: 'idp' }, /enrollment: idp needs sign_in/],
    [{ enrollment: 'idp', mfa: 'off' }, null],
    [{ enrollment: 'everybody' }, /enrollment: must be chosen/],
  ])('S-74: %j', async (change, problem) => {
    const problems = await problemsOf(domain(change));
    if (problem === null) expect(problems).toEqual([]);
    else expect(problems.join('\n')).toMatch(problem);
  });

  it('S-74: behind a web proxy everybody comes from its address, and none of them may enroll by that', async () => {
    const problems = await problemsOf({
      ...domain({ enrollment: 'network', enrollment_networks: ['10.0.0.0/8'] }),
      portal: { host: '127.0.0.1', port: 8443, tls: 'none', public_url: 'https://mail.example.com' },
    });
    expect(problems.join()).toMatch(/enrollment: network needs portal\.tls: implicit/);
  });

  it('S-80, S-81: second factors have their defaults, and a hold that can be left out', async () => {
    const usual = await load({});
    expect(usual.kind === 'loaded' && usual.config.secondFactors).toEqual({
      emailCode: false,
      recoveryHoldMs: 24 * 3_600_000,
    });
    const other = await load({ second_factors: { email_code: true, recovery_hold: '0s' } });
    expect(other.kind === 'loaded' && other.config.secondFactors).toEqual({
      emailCode: true,
      recoveryHoldMs: 0,
    });
  });

  const backend = (change: object) => ({
    backends: { office: { ...(base.backends as { office: object }).office, ...change } },
  });

  it('S-45: the master password does not go in clear over a network', async () => {
    const problems = await problemsOf(backend({ smtp: { host: '10.0.0.9', port: 587, tls: 'none' } }));
    expect(problems).toEqual([expect.stringMatching(/^backends\.office\.smtp\.tls: .*10\.0\.0\.9/)]);
  });

  it('a master password that no SASL message can carry is refused', async () => {
    await writeFile(join(folder, 'two-lines'), 'one\ntwo\n');
    const login = { method: 'master', user: 'gateway', password_file: join(folder, 'two-lines') };
    expect(await problemsOf(backend({ login }))).toEqual([
      expect.stringMatching(/^backends\.office\.login: the password/),
    ]);
    expect(await problemsOf(backend({ login: { ...login, user: 'gate\nway' } }))).toHaveLength(1);
  });

  it.each(['a\u3002example', 'mail\u0000.example', 'mail example'])(
    'S-44: backend name %j is refused',
    async (host) => {
      expect(await problemsOf(backend({ imap: { host, port: 993, tls: 'implicit' } }))).toHaveLength(1);
    },
  );

  it.each([
    ['redis://10.0.0.9:6379', /rediss/],
    ['rediss://10.0.0.9:6379', /password/],
  ])('S-29: %s is refused', async (url, reason) => {
    expect((await problemsOf({ redis: { url } })).join()).toMatch(reason);
  });

  it('S-37: keys do not lie beside the database', async () => {
    expect((await problemsOf({ keys_file: join(folder, 'var/keys.json') })).join()).toMatch(
      /^keys_file: must not/,
    );
  });

  it('what does not fit together is told together', async () => {
    const problems = await problemsOf({
      tls: { certificates: [{ cert: join(folder, 'none.pem'), key: join(folder, 'none.key') }] },
      default_domain: 'other.example',
      domains: { 'example.com': { backend: 'nowhere', sign_in: { method: 'imap' }, enrollment: 'open' } },
    });
    expect(problems).toEqual([
      expect.stringMatching(/^domains\.example\.com\.backend: there is no backend "nowhere"/),
      expect.stringMatching(/^default_domain: /),
      expect.stringMatching(/^tls\.certificates\.0\.cert: .*no such file/),
      expect.stringMatching(/^tls\.certificates\.0\.key: .*no such file/),
    ]);
  });

  it('a wrong shape, a missing variable and a missing file are told together', async () => {
    const problems = await problemsOf({
      hostname: '${env:NOT_SET}',
      limits: { login_time: 'soon' },
      tls: { certificates: [{ cert: join(folder, 'none.pem'), key: join(folder, 'none.key') }] },
    });
    expect(problems).toEqual([
      'hostname: environment variable NOT_SET is not set',
      expect.stringMatching(/^hostname: /),
      expect.stringMatching(/^limits\.login_time: must be a duration/),
      expect.stringMatching(/^tls\.certificates\.0\.cert: .*no such file/),
      expect.stringMatching(/^tls\.certificates\.0\.key: .*no such file/),
    ]);
  });

  it.each([
    [
      'a timer that would overflow',
      { limits: { login_time: '30d' } },
      /^limits\.login_time: must be 10s to 1h/,
    ],
    [
      'wire 66: an idle time under 30 minutes',
      { limits: { idle_time: '29m' } },
      /^limits\.idle_time: must be 30m/,
    ],
    [
      'an app password that is born dead',
      { app_passwords: { default_expiry: '0s' } },
      /default_expiry: must be 1m/,
    ],
  ])('%s is refused', async (_, change, problem) => {
    expect(await problemsOf(change)).toEqual([expect.stringMatching(problem)]);
  });

  it('without a database setting it lies in state_dir, and the keys may not', async () => {
    const loaded = await load({ database: undefined });
    expect(loaded.kind === 'loaded' && loaded.config.database).toEqual({
      engine: 'sqlite',
      file: join(folder, 'var/sallyport.db'),
    });
    const database = { url: `sqlite:${join(folder, 'db/sallyport.db')}` };
    expect((await problemsOf({ database, keys_file: join(folder, 'db/keys.json') })).join()).toMatch(
      /^keys_file: /,
    );
  });

  it('wire 125: a door without a certificate is refused, and a TLS older than 1.2', async () => {
    expect(await problemsOf({ tls: { certificates: [] } })).toEqual([
      expect.stringMatching(/^tls\.certificates: /),
    ]);
    const { certificates } = base.tls as { certificates: object };
    expect(await problemsOf({ tls: { certificates, min_version: 'TLSv1.1' } })).toEqual([
      expect.stringMatching(/^tls\.min_version: /),
    ]);
  });

  it('a key of another certificate is noticed', async () => {
    const other = await mkdtemp(join(tmpdir(), 'sallyport-config-'));
    const { keyFile } = await makeThrowAwayCertificates(other);
    const [{ cert }] = (base.tls as { certificates: [{ cert: string }] }).certificates;
    const problems = await problemsOf({ tls: { certificates: [{ cert, key: keyFile }] } });
    await rm(other, { recursive: true });
    expect(problems).toEqual(['tls.certificates.0: the key does not belong to the certificate']);
  });

  it('broken YAML and a missing file are told by file and place', async () => {
    const file = join(folder, 'broken.yaml');
    await writeFile(file, 'hostname: [');
    expect(await loadConfig(file, {})).toEqual({
      kind: 'invalid',
      problems: [expect.stringMatching(/broken\.yaml: .*at line 1/)],
    });
    expect(await loadConfig(join(folder, 'nothing.yaml'), {})).toEqual({
      kind: 'invalid',
      problems: [`${join(folder, 'nothing.yaml')}: there is no such file`],
    });
  });
});
