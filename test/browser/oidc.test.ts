import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Browser, chromium, type Page } from 'playwright-core';
import { freePort } from '../../src/demo/free-port.ts';
import { Secret } from '../../src/secret.ts';
import { findAccount } from '../../src/store/accounts.ts';
import { minutes } from '../identity/clock.ts';
import { clientSecret, providerCertificates, providerSettings } from '../identity/oidc-bed.ts';
import { type Bed, openBed, portalConfig } from '../portal/bed.ts';
import { startOidcProvider, type TestProvider } from '../support/oidc-provider.ts';

const alice = { sub: 'a-1', email: 'alice@example.com', email_verified: true };

// The provider is another site here, 127.0.0.1 beside localhost, and shows a page of its own: only so the browser treats
// the return as it does in life.
describe('sign-in at an identity provider, in Chromium', () => {
  let certificates: Awaited<ReturnType<typeof providerCertificates>>;
  let browser: Browser;
  let provider: TestProvider;
  let bed: Bed;
  let portal: string;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    certificates = await providerCertificates();
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });
  beforeEach(async () => {
    const port = await freePort();
    portal = `https://localhost:${port}`;
    provider = await startOidcProvider({
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
    provider.asks = true;
    bed = await openBed({
      config: portalConfig({
        portal: { host: '127.0.0.1', port, public_url: portal },
        domains: {
          'example.com': {
            backend: 'office',
            enrollment: 'open',
            sign_in: { method: 'oidc', provider: 'work' },
          },
        },
        oidc: { work: providerSettings(provider.issuer, { mfa: { amr: ['mfa'] } }) },
      }),
      secrets: {
        oidcProofs: new Map([['work', { kind: 'secret', secret: Secret.fromText(clientSecret) }]]),
        authorities: new Map([['ca.pem', certificates.ca]]),
      },
      tls: certificates,
      now: Date.now,
    });
    await bed.app.listen({ host: '127.0.0.1', port });
    complaints.length = 0;
    page = await browser.newPage({ ignoreHTTPSErrors: true });
    page.on('console', (message) => {
      // The provider's own are its own.
      if (message.type() === 'error' && message.location().url.startsWith(portal))
        complaints.push(message.text());
    });
  });
  afterEach(async () => {
    await page.context().close();
    await bed.close();
    await provider.stop();
  });
  afterAll(async () => {
    await browser.close();
    await certificates.remove();
  });

  const signInThere = async () => {
    await page.waitForURL(`${provider.issuer}/**`);
    await page.click('#go');
  };

  it('comes back signed in, with the cookie that no other site may send', async () => {
    provider.persona = alice;
    await page.goto(`${portal}/`);
    expect(await page.locator('input[type=password]').count()).toBe(0);
    await page.click('text=Continue with Work account');
    await signInThere();
    await page.waitForURL(`${portal}/set-up`);
    expect(await page.textContent('.who-address')).toContain('alice@example.com');
    const cookies = await page.context().cookies(portal);
    expect(cookies).toContainEqual(expect.objectContaining({ name: '__Host-sp-pre', sameSite: 'Strict' }));
    expect(cookies.map(({ name }) => name)).not.toContain('__Host-sp-oidc');
    expect(complaints).toEqual([]);
  });

  it('comes back to the page that waited for a second factor', async () => {
    provider.persona = { ...alice, amr: ['mfa'] };
    await page.goto(`${portal}/sign-in`);
    await page.click('text=Continue with Work account');
    await signInThere();
    await page.waitForURL(`${portal}/app-passwords`);

    // As it is five minutes later.
    const account = await findAccount(bed.database, bed.guard, alice.email);
    if (account === null) throw new Error('no account');
    const { token } = await bed.sessions.startFull(account, Date.now() - 5 * minutes, null);
    await page
      .context()
      .addCookies([
        { name: '__Host-sp', value: token, url: portal, secure: true, httpOnly: true, sameSite: 'Lax' },
      ]);
    await page.goto(`${portal}/app-passwords/new`);
    await page.waitForURL(`${portal}/confirm/create`);
    await page.click('text=Confirm with Work account');
    await signInThere();
    await page.waitForURL(`${portal}/app-passwords/new`);
    expect(complaints).toEqual([]);
  });

  it('stays where it was after the person has cancelled there', async () => {
    provider.persona = { ...alice, denies: true };
    await page.goto(`${portal}/sign-in`);
    await page.click('text=Continue with Work account');
    await signInThere();
    await page.waitForURL(`${portal}/oidc/work/callback?**`);
    expect(await page.textContent('h1')).toBe('You were not signed in');
    await page.click('text=Try again');
    await page.waitForURL(`${portal}/sign-in`);
  });
});
