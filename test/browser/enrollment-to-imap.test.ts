import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generate } from 'otplib';
import { type Browser, chromium } from 'playwright-core';
import { findProgram } from '../../src/demo/program.ts';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { gatewayImap } from '../support/mailbox.ts';

const screenshots = join(import.meta.dirname, '../../test-output/screenshots');

let bed: TestGateway;
let browser: Browser;

beforeAll(async () => {
  await mkdir(screenshots, { recursive: true });
  bed = await startTestGateway();
  browser = await chromium.launch({ executablePath: findProgram('chromium'), args: ['--no-sandbox'] });
});
afterAll(async () => {
  await browser.close();
  await bed.stop();
});

describe('a person on the portal', () => {
  it('gets an app password that reads mail, and revokes it while it is in use', async () => {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.goto(bed.portalUrl);
    await page.getByLabel('E-mail address').fill(alice);
    await page.getByLabel('Password').fill(bed.mainPasswords[alice] ?? '');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Set it up now' }).click();
    const seed = ((await page.locator('#key').textContent()) ?? '').replace(/\s/g, '');
    await page.getByLabel('Verification code').fill(await generate({ secret: seed }));
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByRole('link', { name: 'Next' }).click();
    await page.getByLabel('Outlook').check();
    await page.getByLabel('Where do you use it?').fill('Desk at work');
    await page.getByRole('button', { name: 'Create app password' }).click();
    const appPassword = (await page.locator('#secret').textContent()) ?? '';

    // As shown, spaces and all.
    const imap = gatewayImap(bed, alice, appPassword);
    await imap.connect();
    await imap.append('INBOX', 'Subject: it works\r\n\r\nindeed\r\n');
    expect(await imap.status('INBOX', { messages: true })).toMatchObject({ messages: 1 });
    const closed = new Promise<void>((resolve) => imap.once('close', () => resolve()));
    imap.on('error', () => {});

    await page.getByRole('link', { name: 'Done' }).click();
    await page.screenshot({ path: join(screenshots, 'whole-gateway-list.png'), fullPage: true });
    expect(await page.locator('main').textContent()).toContain('Outlook, Desk at work');
    await page.getByRole('button', { name: 'Revoke' }).first().click();
    await page.getByRole('button', { name: 'Revoke' }).click();
    await closed;
    const again = await LineClient.connect(bed.imapPort, bed.ca);
    await again.line();
    expect(await again.imap('a', `LOGIN ${alice} "${appPassword}"`)).toEqual([
      'a NO [AUTHENTICATIONFAILED] Authentication failed.',
    ]);
    again.close();
  }, 60_000);
});
