import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { guideNames } from '../../src/portal/client-setup/guide-texts.ts';
import type { Account } from '../../src/store/schema.ts';
import { type Bed, openBed, portalConfig } from '../portal/bed.ts';

const screenshots = join(import.meta.dirname, '../../test-output/screenshots');

describe('setting up mail programs in Chromium', () => {
  let scratch: ScratchFolder;
  let bed: Bed;
  let browser: Browser;
  let portal: string;
  let alice: Account;
  let axe: string;
  const contexts: BrowserContext[] = [];

  beforeAll(async () => {
    await mkdir(screenshots, { recursive: true });
    scratch = await makeScratchFolder();
    const certificates = await makeThrowAwayCertificates(scratch.path);
    axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const port = await freePort();
    portal = `https://localhost:${port}`;
    const files = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
    const listen = [
      { door: 'imap', port: 993, tls: 'implicit' },
      { door: 'imap', port: 143, tls: 'starttls' },
      { door: 'smtp', port: 465, tls: 'implicit' },
    ];
    bed = await openBed({
      config: portalConfig({ listen, portal: { host: '127.0.0.1', port, public_url: portal } }),
      tls: files,
      profileCertificate: files,
      now: Date.now,
    });
    await bed.app.listen({ host: '127.0.0.1', port });
    alice = await bed.account('alice@example.com');
    browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
      ],
    });
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
  });
  afterAll(async () => {
    await browser.close();
    await bed.close();
    await scratch.remove();
  });

  const open = async (options: BrowserContextOptions & { readonly isSignedIn?: boolean } = {}) => {
    const { isSignedIn = false, ...rest } = options;
    const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-GB', ...rest });
    contexts.push(context);
    if (isSignedIn) {
      const full = await bed.sessions.stepUp((await bed.sessions.startFirstFactor(alice)).session);
      if (full === null) throw new Error('the session was gone');
      await context.addCookies([
        { name: '__Host-sp', value: full.token, url: portal, secure: true, httpOnly: true, sameSite: 'Lax' },
      ]);
    }
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    return { context, page, complaints };
  };
  const shoot = async (page: Page, name: string): Promise<void> => {
    await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(overflow).toBeLessThanOrEqual(0);
  };
  const violationsOf = async (page: Page): Promise<readonly string[]> => {
    await page.evaluate(axe);
    const found = (await page.evaluate(
      `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })`,
    )) as { violations: { id: string; nodes: { html: string }[] }[] };
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  };

  it.each([
    ['en-GB', 1000],
    ['lv-LV', 320],
  ])('the guides in %s are readable %i pixels wide, and by a screen reader', async (locale, width) => {
    const { page } = await open({
      locale,
      viewport: { width, height: 800 },
      bypassCSP: true,
      isSignedIn: true,
    });
    for (const path of ['help', ...guideNames.map((name) => `help/${name}`)]) {
      await page.goto(`${portal}/${path}`);
      await shoot(page, `${path.replace('/', '-')}-${width}`);
      expect(await violationsOf(page)).toEqual([]);
    }
  });

  it('copies a value without its spaces, and a file as it is', async () => {
    const { page, complaints } = await open({
      isSignedIn: true,
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    await page.goto(`${portal}/help/script`);
    await page.getByRole('button', { name: 'Copy msmtp' }).click({ timeout: 3_000 });
    await page.getByText('Copied to the clipboard.').waitFor({ timeout: 3_000 });
    const copied = await page.evaluate('navigator.clipboard.readText()');
    expect(copied).toContain('account default\nhost mail.example.com\nport 465\n');
    await page.goto(`${portal}/help/thunderbird`);
    await page.getByRole('button', { name: 'Copy Outgoing server: Hostname' }).click();
    await page.getByText('Copied to the clipboard.').waitFor({ timeout: 3_000 });
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe('mail.example.com');
    expect(complaints).toEqual([]);
  });

  it('S-71: a code on one screen sets up another device, and leaves nothing in its history', async () => {
    const desk = await open({ isSignedIn: true, bypassCSP: true });
    await desk.page.goto(`${portal}/apple-device`);
    expect(await violationsOf(desk.page)).toEqual([]);
    await desk.page.getByLabel('Name of the device').fill('Kitchen iPad');
    await desk.page.getByRole('button', { name: 'Set up another device with a QR code' }).click();
    await desk.page.getByRole('img', { name: /^QR code/ }).waitFor();
    await shoot(desk.page, 'device-code');
    expect(await violationsOf(desk.page)).toEqual([]);
    const link = (await desk.page.locator('#link').textContent()) ?? '';
    expect(link.startsWith(`${portal}/p#`)).toBe(true);

    const phone = await open({ viewport: { width: 320, height: 640 }, hasTouch: true });
    const seen: string[] = [];
    phone.page.on('request', (request) => seen.push(`${request.url()} ${request.headers().referer ?? ''}`));
    await phone.page.goto(link);
    await phone.page.getByRole('button', { name: 'Install Mail on this device' }).waitFor();
    expect(phone.page.url()).toBe(`${portal}/p`);
    await shoot(phone.page, 'profile-install');
    expect(seen.join(' ')).not.toContain(link.split('#')[1]);
    expect(await bed.appPasswords.list(alice.id)).toEqual([]);
    const downloaded = phone.page.waitForEvent('download');
    await phone.page.getByRole('button', { name: 'Install Mail on this device' }).click();
    const download = await downloaded;
    expect(download.suggestedFilename()).toBe('mail.mobileconfig');
    expect((await readFile(await download.path())).toString('latin1')).toContain('com.apple.mail.managed');
    expect(phone.complaints).toEqual([]);

    await phone.page.goBack();
    expect(phone.page.url()).not.toContain('#');
    await desk.page.getByRole('link', { name: 'Check whether it was used' }).click();
    await desk.page.getByText(/was used at/).waitFor();
    expect(await bed.appPasswords.list(alice.id)).toMatchObject([{ label: 'Kitchen iPad' }]);
  });

  it('works without a script: the link is pasted', async () => {
    const desk = await open({ isSignedIn: true });
    await desk.page.goto(`${portal}/apple-device`);
    await desk.page.getByRole('button', { name: 'Set up another device with a QR code' }).click();
    const link = (await desk.page.locator('#link').textContent()) ?? '';
    const phone = await open({ javaScriptEnabled: false });
    await phone.page.goto(link);
    await phone.page.getByLabel('Code or link').fill('nonsense');
    await phone.page.getByRole('button', { name: 'Continue' }).click();
    expect(await phone.page.title()).toMatch(/^Error: /);
    await phone.page.getByLabel('Code or link').fill(link);
    await phone.page.getByRole('button', { name: 'Continue' }).click();
    await phone.page.getByRole('button', { name: 'Install Mail on this device' }).waitFor();
  });
});
