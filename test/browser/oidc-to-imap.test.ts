import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';
import { freePort } from '../../src/demo/free-port.ts';
import { findProgram } from '../../src/demo/program.ts';
import { clientSecret, providerCertificates, providerSettings } from '../identity/oidc-bed.ts';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { gatewayImap } from '../support/mailbox.ts';
import { startOidcProvider } from '../support/oidc-provider.ts';

const closers: (() => Promise<unknown>)[] = [];
let bed: TestGateway;
let browser: Browser;

beforeAll(async () => {
  const certificates = await providerCertificates();
  closers.push(certificates.remove);
  const port = await freePort();
  const portal = `https://localhost:${port}`;
  const provider = await startOidcProvider({
    ...certificates,
    host: '127.0.0.1',
    client: {
      client_id: 'sallyport',
      client_secret: clientSecret,
      redirect_uris: [`${portal}/oidc/work/callback`],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  });
  closers.push(provider.stop);
  provider.asks = true;
  provider.persona = { sub: 'a-1', email: alice, email_verified: true, amr: ['mfa'] };
  const caFile = join(certificates.folder, 'idp-ca.pem');
  await writeFile(caFile, certificates.ca);
  bed = await startTestGateway({
    portal: { host: '127.0.0.1', port, public_url: portal },
    domains: {
      'example.com': {
        backend: 'demo',
        enrollment: 'open',
        sign_in: { method: 'oidc', provider: 'work' },
      },
    },
    oidc: { work: providerSettings(provider.issuer, { ca_file: caFile, mfa: { amr: ['mfa'] } }) },
  });
  closers.push(bed.stop);
  browser = await chromium.launch({ executablePath: findProgram('chromium'), args: ['--no-sandbox'] });
  closers.push(() => browser.close());
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

it('a person whose provider asks for two factors gets an app password that reads mail, with no password typed here', async () => {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(bed.portalUrl);
  await page.getByRole('link', { name: 'Continue with Work account' }).click();
  await page.getByRole('button', { name: 'Sign in here' }).click();
  await page.waitForURL(`${bed.portalUrl}/app-passwords`);
  await page.goto(`${bed.portalUrl}/app-passwords/new`);
  await page.getByLabel('Outlook').check();
  await page.getByLabel('Where do you use it?').fill('Desk at work');
  await page.getByRole('button', { name: 'Create app password' }).click();
  const appPassword = (await page.locator('#secret').textContent()) ?? '';
  const imap = gatewayImap(bed, alice, appPassword);
  await imap.connect();
  expect(await imap.status('INBOX', { messages: true })).toMatchObject({ messages: 0 });
  await imap.logout();
}, 60_000);
