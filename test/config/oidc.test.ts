import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';

let folder: string;
let certificates: Awaited<ReturnType<typeof makeThrowAwayCertificates>>;
let provider: Record<string, unknown>;
let domains: Record<string, Record<string, unknown>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-config-'));
  certificates = await makeThrowAwayCertificates(folder);
  await writeFile(join(folder, 'secret'), 'secret of the file\n');
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  provider = {
    issuer: 'https://login.example.com/realms/staff',
    client_id: 'sallyport',
    client_secret_file: join(folder, 'secret'),
    ca_file: certificates.caFile,
    single_tenant: true,
    label: 'Work account',
  };
  domains = {
    'example.com': { sign_in: { method: 'oidc', provider: 'work' } },
    'other.example': { sign_in: { method: 'imap' } },
  };
});

const load = async (environment: NodeJS.ProcessEnv = {}) => {
  const file = join(folder, 'sallyport.yaml');
  const leg = { host: '127.0.0.1', port: 1, tls: 'none' };
  const settings = {
    hostname: 'mail.example.com',
    state_dir: join(folder, 'var'),
    keys_file: join(folder, 'keys.json'),
    tls: { certificates: [{ cert: certificates.certFile, key: certificates.keyFile }] },
    listen: [{ door: 'imap', port: 993, tls: 'implicit' }],
    portal: { port: 8443, public_url: 'https://mail.example.com:8443' },
    backends: {
      office: { imap: leg, smtp: leg, login: { method: 'master', user: 'gateway', password: 'master' } },
    },
    domains: Object.fromEntries(
      Object.entries(domains).map(([name, domain]) => [
        name,
        { backend: 'office', enrollment: 'open', ...domain },
      ]),
    ),
    oidc: { work: provider },
  };
  await writeFile(file, stringify(settings));
  return await loadConfig(file, environment);
};
const problems = async () => {
  const loaded = await load();
  return loaded.kind === 'invalid' ? loaded.problems : [];
};
const loadedOf = async (environment: NodeJS.ProcessEnv = {}) => {
  const loaded = await load(environment);
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
  return loaded;
};

describe('identity providers in the configuration', () => {
  it('have defaults, and their secret apart from them', async () => {
    const { config, secrets, warnings } = await loadedOf();
    expect(config.oidc.work).toMatchObject({
      issuer: 'https://login.example.com/realms/staff',
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      scopes: ['email'],
      isSingleTenant: true,
      domains: null,
      mfa: null,
      adminClaim: null,
    });
    const proof = secrets.oidcProofs.get('work');
    expect(proof?.kind === 'secret' ? proof.secret.text() : null).toBe('secret of the file');
    expect(inspect(config, { depth: 9 }) + inspect(secrets, { depth: 9 })).not.toContain(
      'secret of the file',
    );
    expect(secrets.authorities.get(certificates.caFile)).toEqual(certificates.ca);
    expect(warnings.filter((warning) => warning.startsWith('oidc'))).toEqual([]);
  });

  it('take their secret from the environment, which is told of, and keep it out of the settings', async () => {
    const { client_secret_file: _, ...rest } = provider;
    provider = { ...rest, client_secret: '${env:SECRET}' };
    const { config, secrets, warnings } = await loadedOf({ SECRET: 'from outside' });
    const proof = secrets.oidcProofs.get('work');
    expect(proof?.kind === 'secret' ? proof.secret.text() : null).toBe('from outside');
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('from outside');
    expect(warnings).toContainEqual(expect.stringMatching(/^oidc\.work\.client_secret: /));
  });

  it.each(['rsa', 'ec', 'ed25519'] as const)('take a private key: %s', async (type) => {
    const { privateKey } = {
      rsa: () => generateKeyPairSync('rsa', { modulusLength: 2_048 }),
      ec: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      ed25519: () => generateKeyPairSync('ed25519'),
    }[type]();
    const file = join(folder, 'key.pem');
    await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const { client_secret_file: _, ...rest } = provider;
    provider = { ...rest, private_key_file: file, private_key_id: 'one' };
    const { secrets } = await loadedOf();
    const proof = secrets.oidcProofs.get('work');
    expect(proof?.kind === 'key' ? proof.key.asymmetricKeyType : null).toBe(type);
  });

  it('take no weak key, and none with a passphrase', async () => {
    const file = join(folder, 'weak.pem');
    const { client_secret_file: _, ...rest } = provider;
    provider = { ...rest, private_key_file: file };
    const { privateKey: weak } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
    await writeFile(file, weak.export({ type: 'pkcs8', format: 'pem' }));
    expect(await problems()).toEqual([expect.stringMatching(/^oidc\.work\.private_key_file: .*2048 bits/)]);
    const { privateKey: locked } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const cipher = { cipher: 'aes-256-cbc', passphrase: 'x' };
    await writeFile(file, locked.export({ type: 'pkcs8', format: 'pem', ...cipher }));
    expect(await problems()).toEqual([expect.stringMatching(/without a passphrase/)]);
    await writeFile(file, 'nonsense');
    expect(await problems()).toEqual([expect.stringMatching(/holds no private key/)]);
  });

  it.each([
    'http://login.example.com',
    'https://login.example.com/?tenant=a',
    'https://login.example.com/#a',
    'https://user@login.example.com',
    'https://login.example.com\\@evil.example',
    'https://',
    'login.example.com',
    ' https://login.example.com',
  ])('S-51: no issuer is %p', async (issuer) => {
    provider.issuer = issuer;
    expect(await problems()).toEqual([
      'oidc.work.issuer: must be an https:// URL without query, fragment or user',
    ]);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['two secrets', { client_secret: 'x' }, /^oidc\.work: needs exactly one of client_secret/],
    ['no secret', { client_secret_file: undefined }, /^oidc\.work: needs exactly one of client_secret/],
    [
      'a key’s id without a key',
      { private_key_id: 'x' },
      /^oidc\.work\.private_key_id: is for private_key_file/,
    ],
    ['HS256', { algorithms: ['HS256'] }, /^oidc\.work\.algorithms\.0: /],
    ['none', { algorithms: ['none'] }, /^oidc\.work\.algorithms\.0: /],
    ['no algorithm', { algorithms: [] }, /^oidc\.work\.algorithms: /],
    ['two scopes in one', { scopes: ['email groups'] }, /^oidc\.work\.scopes\.0: must be a scope/],
    ['a second factor by nothing', { mfa: {} }, /^oidc\.work\.mfa: needs at least one value/],
    ['a claim without a value', { admin_claim: { name: 'groups' } }, /^oidc\.work\.admin_claim\.value: /],
    ['no label', { label: ' ' }, /^oidc\.work\.label: /],
    [
      'a missing secret file',
      { client_secret_file: '/nowhere' },
      /client_secret_file: \/nowhere: there is no such file/,
    ],
    [
      'a missing authority',
      { ca_file: '/nowhere' },
      /^oidc\.work\.ca_file: \/nowhere: there is no such file/,
    ],
    ['an unknown key', { tenant: 'x' }, /tenant/],
  ])('%s is a problem', async (_name, change, problem) => {
    provider = JSON.parse(JSON.stringify({ ...provider, ...change }));
    const found = await problems();
    expect(found).toEqual([expect.stringMatching(problem)]);
  });

  it('a secret of two lines, or of none, is a problem', async () => {
    const file = join(folder, 'odd');
    provider.client_secret_file = file;
    await writeFile(file, 'one\ntwo\n');
    expect(await problems()).toEqual([expect.stringMatching(/client_secret_file: .*second line/)]);
    await writeFile(file, '\n');
    expect(await problems()).toEqual([expect.stringMatching(/client_secret_file: .* is empty/)]);
  });

  it('a domain signs in with a provider that there is, and that may vouch for it', async () => {
    domains['example.com'] = { sign_in: { method: 'oidc', provider: 'home' } };
    expect(await problems()).toEqual([
      'domains.example.com.sign_in.provider: there is no provider "home" under oidc',
    ]);
    domains['example.com'] = { sign_in: { method: 'oidc', provider: '__proto__' } };
    expect(await problems()).toHaveLength(1);
    domains['example.com'] = { sign_in: { method: 'oidc', provider: 'work' } };
    provider.domains = ['other.example'];
    expect(await problems()).toEqual([
      'domains.example.com.sign_in.provider: oidc.work.domains does not list example.com',
      'oidc.work.domains: other.example is no domain that signs in with it',
    ]);
  });

  it('enrollment by the provider’s word needs a provider whose second factor counts', async () => {
    domains['example.com'] = { ...domains['example.com'], enrollment: 'idp' };
    expect(await problems()).toEqual([
      'domains.example.com.enrollment: idp needs oidc.work.mfa, or nobody could enroll',
    ]);
    provider.mfa = { amr: ['mfa'] };
    expect((await loadedOf()).config.domains['example.com']?.enrollment).toBe('idp');
  });

  it('warns of a provider that nobody signs in with, and of one that serves many organizations', async () => {
    provider.single_tenant = false;
    expect((await loadedOf()).warnings).toContainEqual(expect.stringMatching(/^oidc\.work\.single_tenant: /));
    domains = { 'other.example': { sign_in: { method: 'imap' } } };
    expect((await loadedOf()).warnings).toContain('oidc.work: no domain signs in with it');
  });
});
