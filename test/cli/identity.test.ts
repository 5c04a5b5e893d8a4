import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { providerCertificates } from '../identity/oidc-bed.ts';
import { startHostileProvider } from '../support/hostile-provider.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;

beforeAll(async () => {
  const domain = { backend: 'office', enrollment: 'open' };
  site = await makeSite({
    domains: {
      'example.com': { ...domain, sign_in: { method: 'oidc', provider: 'work' } },
      'other.example': { ...domain, sign_in: { method: 'imap' } },
    },
    oidc: {
      work: {
        issuer: 'https://login.example.com',
        client_id: 'sallyport',
        client_secret: 'client secret',
        label: 'Work account',
      },
    },
  });
  for (const words of [['keys', 'init'], ['migrate'], ['account', 'create', 'alice@example.com']]) {
    const { code, err } = await site.command(...words);
    if (code !== 0) throw new Error(err);
  }
  await site.command('account', 'create', 'bob@example.com');
  await site.command('account', 'create', 'carol@other.example');
});
afterAll(async () => {
  await site.remove();
});

const link = (account: string, subject: string, provider = 'work') =>
  site.command('identity', 'link', '--account', account, '--provider', provider, '--subject', subject);

it('S-87: an operator links a person to an account, each once, and takes it back', async () => {
  expect(await site.command('identity', 'list', '--account', 'alice')).toMatchObject({
    out: 'alice@example.com is linked to nobody.',
  });
  expect(await link('alice@example.com', 'a-1')).toMatchObject({
    code: 0,
    out: 'alice@example.com is linked to a-1 of https://login.example.com.',
  });
  expect(await site.dataOf('identity', 'list', '--account', 'alice@example.com')).toMatchObject([
    { issuer: 'https://login.example.com', subject: 'a-1', linkedBy: 'operator', genuine: true },
  ]);
  for (const [account, subject] of [
    ['alice@example.com', 'a-2'],
    ['bob@example.com', 'a-1'],
  ] as const) {
    expect(await link(account, subject)).toMatchObject({ code: 1, err: expect.stringContaining('already') });
  }
  const unlink = ['identity', 'unlink', '--account', 'alice@example.com', '--provider', 'work'];
  expect(await site.command(...unlink)).toMatchObject({ code: 0 });
  expect(await site.command(...unlink)).toMatchObject({ code: 1 });
  expect(await link('bob@example.com', 'a-1')).toMatchObject({ code: 0 });
  const trail = await site.command('audit', 'export');
  for (const action of ['identity.linked', 'identity.unlinked']) expect(trail.out).toContain(action);
});

it('says what is wrong with an order', async () => {
  expect(await link('alice@example.com', 'a-1', 'none')).toMatchObject({
    code: 2,
    err: 'There is no provider "none" under oidc in the configuration.',
  });
  expect(await link('alice@example.com', 'ä')).toMatchObject({ code: 2 });
  expect(await link('nobody@example.com', 'n-1')).toMatchObject({ code: 1 });
  expect(await link('carol@other.example', 'c-1')).toMatchObject({
    code: 1,
    err: 'other.example does not sign in with work.',
  });
});

it('S-51: check --connect says what a provider answers', async () => {
  const certificates = await providerCertificates();
  const provider = await startHostileProvider({
    ...certificates,
    host: 'localhost',
    clientId: 'sallyport',
    clientSecret: 'client secret',
  });
  const caFile = join(site.folder, 'idp-ca.pem');
  await writeFile(caFile, certificates.ca);
  const domain = { backend: 'office', enrollment: 'open', sign_in: { method: 'oidc', provider: 'work' } };
  const own = await makeSite({
    domains: { 'example.com': domain },
    oidc: {
      work: {
        ...{ issuer: provider.issuer, client_id: 'sallyport', ca_file: caFile, label: 'Work' },
        client_secret: 'client secret',
      },
    },
  });
  try {
    await own.command('keys', 'init');
    expect((await own.command('check', '--connect')).out).toContain(`oidc.work: ${provider.issuer} answers`);
    provider.metadata = { issuer: 'https://elsewhere.example' };
    expect((await own.command('check', '--connect')).out).toMatch(
      /problem +oidc\.work: https:\/\/localhost:\d+: OAUTH_JSON/,
    );
  } finally {
    await own.remove();
    await provider.stop();
    await certificates.remove();
  }
});

it('check says that nobody is linked by an e-mail claim where many organizations are', async () => {
  const { out } = await site.command('check');
  expect(out).toContain('oidc.work.single_tenant: its e-mail claims are not believed');
  expect(out).toContain('oidc.work.client_secret: stands in the configuration');
  expect(out).not.toContain('client secret\n');
});
