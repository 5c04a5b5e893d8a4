import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generate } from 'otplib';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { parseAppPassword } from '../../src/credentials/app-password.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { texts as english, type Texts } from '../../src/portal/locales/en.ts';
import { texts as latvian } from '../../src/portal/locales/lv.ts';
import { type Bed, openBed, portalConfig } from '../portal/bed.ts';

const screenshots = join(import.meta.dirname, '../../test-output/screenshots');
const mainPassword = 'correct horse 7';
const people = ['script', 'plain', 'phone', 'night', 'narrow', 'talrunis', 'dators'].map(
  (name) => `${name}@example.com`,
);

describe('enrollment in Chromium', () => {
  let scratch: ScratchFolder;
  let certificates: ThrowAwayCertificates;
  let dovecot: Dovecot;
  let bed: Bed;
  let browser: Browser;
  let portal: string;

  beforeAll(async () => {
    await mkdir(screenshots, { recursive: true });
    scratch = await makeScratchFolder();
    certificates = await makeThrowAwayCertificates(scratch.path);
    dovecot = await startDovecot({
      folder: scratch.path,
      users: Object.fromEntries(people.map((address) => [address, mainPassword])),
      master: { user: 'gateway', password: 'master password' },
      certificate: { cert: certificates.certFile, key: certificates.keyFile },
    });
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
    const config = portalConfig({
      portal: { host: '127.0.0.1', port, public_url: portal },
      backends: {
        office: {
          imap: { host: 'localhost', port: dovecot.imapsPort, tls: 'implicit' },
          smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
          login: { method: 'master', user: 'gateway', password: 'unused' },
        },
      },
    });
    const imapTls = createSecureContext({ ca: certificates.ca });
    bed = await openBed({
      config,
      upstreams: new Map(
        Object.entries(config.backends).map(([name, backend]) => [name, { backend, imapTls }]),
      ),
      tls: { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) },
      now: Date.now,
    });
    await bed.app.listen({ host: '127.0.0.1', port });
  });
  afterEach(async () => {
    await bed.close();
  });
  afterAll(async () => {
    await browser.close();
    await dovecot.stop();
    await scratch.remove();
  });

  /** Opens a page; the test fails on anything the browser complains of, content policy included. */
  const open = async (options: BrowserContextOptions) => {
    // Chromium takes no authority for one context; TLS itself is checked by the tests of the server.
    const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    const seen: string[] = [];
    page.on('request', (request) => seen.push(request.url()));
    return { context, page, complaints, seen };
  };

  const shoot = async (page: Page, name: string, hasScript = true): Promise<void> => {
    await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
    if (!hasScript) return;
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
  };

  const signIn = async (page: Page, address: string, { signIn: t }: Texts = english): Promise<void> => {
    await page.goto(portal);
    await page.getByLabel(t.address).fill(address);
    await page.getByLabel(t.password, { exact: true }).fill(mainPassword);
    await page.getByRole('button', { name: t.submit, exact: true }).click();
  };

  /** The whole way from the sign-in to an app password. Answers the secret as shown and the authenticator's key. */
  const enroll = async (page: Page, address: string, shots: string | null, t: Texts = english) => {
    const shot = async (name: string) => (shots === null ? undefined : await shoot(page, `${shots}-${name}`));
    await page.goto(portal);
    await shot('01-sign-in');
    await page.getByLabel(t.signIn.address).fill(address);
    await page.getByLabel(t.signIn.password, { exact: true }).fill('not this one');
    await page.getByRole('button', { name: t.signIn.submit, exact: true }).click();
    expect(await page.title()).toBe(`${t.errorTitle(t.signIn.title)} – mail.example.com`);
    expect(await page.getByRole('alert').textContent()).toContain(t.errorSummary);
    await shot('02-sign-in-wrong');
    await page.getByLabel(t.signIn.password, { exact: true }).fill(mainPassword);
    await page.getByRole('button', { name: t.signIn.submit, exact: true }).click();
    await shot('03-set-up');
    await page.getByRole('button', { name: t.setUp.button }).click();
    await shot('03-method');
    await page.getByLabel(t.choose.totp).check();
    await page.getByRole('button', { name: t.next, exact: true }).click();
    const key = ((await page.locator('#key').textContent()) ?? '').replace(/\s/g, '');
    await page.getByLabel(t.code, { exact: true }).fill('12 34');
    await page.getByRole('button', { name: t.setUpApp.verify, exact: true }).click();
    expect(await page.getByRole('alert').textContent()).toContain(t.codeLength);
    expect(await page.locator('#code:focus').count()).toBe(1);
    await shot('04-scan-problem');
    await page.goto(`${portal}/set-up/app`);
    await shot('05-scan');
    expect(((await page.locator('#key').textContent()) ?? '').replace(/\s/g, '')).toBe(key);
    await page.getByLabel(t.code, { exact: true }).fill(await generate({ secret: key }));
    await page.getByRole('button', { name: t.setUpApp.verify, exact: true }).click();
    await shot('06-verified');
    await page.getByRole('link', { name: t.next, exact: true }).click();
    await shot('07-name');
    await page.getByLabel('Outlook').check();
    await page.getByLabel(t.create.device).fill('Desk at work');
    await page.getByRole('button', { name: t.create.submit }).click();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(t.secret.title);
    await shot('08-app-password');
    const shown = (await page.locator('#secret').textContent()) ?? '';
    expect(shown).toMatch(/^[a-z]{4} [a-z]{4} [a-z]{4} [a-z]{4}$/);
    expect(parseAppPassword(Buffer.from(shown))).not.toBeNull();
    expect(page.url()).not.toContain(shown.replaceAll(' ', ''));
    return { shown, key };
  };

  /** After the first app password: recovery codes, then the list. */
  const saveCodes = async (page: Page, shots: string | null = null, t: Texts = english): Promise<void> => {
    await page.getByRole('link', { name: t.next, exact: true }).click();
    await page.getByRole('button', { name: t.recovery.create }).click();
    expect(await page.locator('#codes li').count()).toBe(10);
    if (shots !== null) await shoot(page, `${shots}-10-recovery-codes`);
    await page.getByRole('button', { name: t.recovery.saved }).click();
  };

  it('goes from the main password to an app password that is copied, shown once, listed and revoked', async () => {
    const { context, page, complaints, seen } = await open({
      viewport: { width: 1_280, height: 900 },
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const { shown, key } = await enroll(page, 'script@example.com', 'desktop-light');
    expect(await page.getByText('port 993, SSL/TLS', { exact: true }).isVisible()).toBe(true);

    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByText('Copied to the clipboard.').waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(shown.replaceAll(' ', ''));
    await shoot(page, 'desktop-light-09-copied');

    await page.reload();
    expect(await page.textContent('body')).toContain('has already been shown');
    expect(await page.content()).not.toContain(shown);
    await shoot(page, 'desktop-light-10-already-shown');
    await page.getByRole('link', { name: 'Go to this app password' }).click();
    await page.getByRole('link', { name: 'All app passwords' }).click();
    await shoot(page, 'desktop-light-11-list');

    await page.getByRole('link', { name: 'Create an app password' }).click();
    await page.getByLabel('Another app or device').check();
    await page.getByLabel('Where do you use it?').fill('<img src=x onerror=alert(1)>"\'`${1}');
    await page.getByLabel('Read mail (IMAP)').uncheck();
    await shoot(page, 'desktop-light-12-create');
    await page.getByRole('button', { name: 'Create app password' }).click();
    await page.waitForURL(/\/secret$/);
    await page.goBack();
    await page.goForward();
    expect(await page.textContent('body')).toContain('has already been shown');
    await page.goto(`${portal}/app-passwords`);
    expect(await page.locator('h3').first().textContent()).toBe('<img src=x onerror=alert(1)>"\'`${1}');

    await page.getByRole('button', { name: 'Revoke “Outlook, Desk at work”' }).click();
    await shoot(page, 'desktop-light-13-revoke');
    await page.getByRole('button', { name: 'Revoke' }).click();
    expect(await page.getByRole('status').textContent()).toContain(
      '“Outlook, Desk at work” has been revoked.',
    );
    await page.getByText('No longer valid (1)').click();
    await shoot(page, 'desktop-light-14-revoked');

    await page.getByRole('button', { name: 'Sign out' }).click();
    expect(new URL(page.url()).pathname).toBe('/sign-in');
    expect(await context.cookies()).toEqual([]);
    await page.goto(`${portal}/app-passwords`);
    expect(new URL(page.url()).pathname).toBe('/sign-in');

    await signIn(page, 'script@example.com');
    expect(new URL(page.url()).pathname).toBe('/verify');
    await page.getByLabel('Verification code').fill('000 000');
    await page.getByRole('button', { name: 'Confirm' }).click();
    await shoot(page, 'desktop-light-15-confirm-wrong');
    // The enrolling code's step is spent; the next one is within the window.
    await page
      .getByLabel('Verification code')
      .fill(await generate({ secret: key, epoch: Date.now() / 1_000 + 30 }));
    await page.getByRole('button', { name: 'Confirm' }).click();
    expect(new URL(page.url()).pathname).toBe('/app-passwords');

    await page.goto(`${portal}/nowhere`);
    await shoot(page, 'desktop-light-16-not-found');
    expect(complaints.filter((text) => !/status of 4\d\d/.test(text))).toEqual([]);
    expect(seen.filter((url) => !url.startsWith(portal) && !url.startsWith('data:image/svg'))).toEqual([]);
    expect(bed.log.join('')).not.toContain(shown.replaceAll(' ', ''));
    expect(bed.log.join('')).not.toContain(key);
    await context.close();
  }, 90_000);

  it('works without JavaScript', async () => {
    const { context, page } = await open({
      javaScriptEnabled: false,
      viewport: { width: 1_280, height: 900 },
    });
    await enroll(page, 'plain@example.com', null);
    expect(await page.getByRole('button', { name: 'Copy' }).count()).toBe(0);
    await saveCodes(page);
    expect(await page.locator('h3').first().textContent()).toBe('Outlook, Desk at work');
    await shoot(page, 'desktop-plain-11-list', false);
    await context.close();
  }, 90_000);

  it.each([
    ['phone-light', 'phone@example.com', 390, 'light', true, 'en'],
    ['desktop-dark', 'night@example.com', 1_280, 'dark', true, 'en'],
    ['narrow-dark', 'narrow@example.com', 320, 'dark', true, 'en'],
    ['latvian-phone-dark', 'talrunis@example.com', 390, 'dark', true, 'lv'],
    ['latvian-desktop-plain', 'dators@example.com', 1_280, 'light', false, 'lv'],
  ] as const)(
    'goes all the way and fits, %s',
    async (name, address, width, colorScheme, javaScriptEnabled, language) => {
      const t = language === 'lv' ? latvian : english;
      const { context, page } = await open({
        viewport: { width, height: 800 },
        locale: language,
        colorScheme,
        javaScriptEnabled,
      });
      const shots = javaScriptEnabled ? name : null;
      await enroll(page, address, shots, t);
      expect(await page.getAttribute('html', 'lang')).toBe(language);
      await saveCodes(page, shots, t);
      await shoot(page, `${name}-11-list`, javaScriptEnabled);
      await page.getByRole('button', { name: t.revoke.button }).first().click();
      await shoot(page, `${name}-13-revoke`, javaScriptEnabled);
      await context.close();
    },
    90_000,
  );
});
