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
  it('gets an app password that reads mail, ends a connection, pauses and revokes it while it is in use', async () => {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    await page.goto(bed.portalUrl);
    await page.getByLabel('E-mail address').fill(alice);
    await page.getByLabel('Password').fill(bed.mainPasswords[alice] ?? '');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'Set it up now' }).click();
    await page.getByLabel('Authenticator app').check();
    await page.getByRole('button', { name: 'Next' }).click();
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
    imap.on('error', () => {});
    const ended = new Promise<void>((resolve) => imap.once('close', () => resolve()));

    // One connection is ended; the app password stays valid until it is paused.
    await page.getByRole('link', { name: 'Next' }).click();
    await page.getByRole('link', { name: 'Sessions' }).click();
    expect(await page.locator('main').textContent()).toContain('Outlook, Desk at work');
    await page.getByRole('button', { name: /^End IMAP from/ }).click();
    await ended;
    expect(await page.getByRole('status').textContent()).toContain('One connection has been closed.');
    const second = gatewayImap(bed, alice, appPassword);
    second.on('error', () => {});
    await second.connect();
    const paused = new Promise<void>((resolve) => second.once('close', () => resolve()));
    await page.getByRole('link', { name: 'App passwords', exact: true }).click();
    await page.getByRole('button', { name: 'Pause “Outlook, Desk at work”' }).click();
    await paused;
    await expect(gatewayImap(bed, alice, appPassword).connect()).rejects.toThrow();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('button', { name: 'Resume' }).click();
    const third = gatewayImap(bed, alice, appPassword);
    third.on('error', () => {});
    await third.connect();
    const closed = new Promise<void>((resolve) => third.once('close', () => resolve()));

    await page.getByRole('link', { name: 'App passwords', exact: true }).click();
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
