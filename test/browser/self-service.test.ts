import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { Account } from '../../src/store/schema.ts';
import { minutes } from '../identity/clock.ts';
import { enroll } from '../portal/bed.ts';
import { issue, markUsed, OpenSessions } from '../portal/own-session.ts';
import { openPortalWindows, type PortalWindows } from './portal-window.ts';

describe('self-service in Chromium', () => {
  let portal: PortalWindows;
  let open: OpenSessions;
  let alice: Account;
  let count = 0;

  beforeAll(async () => {
    open = new OpenSessions();
    portal = await openPortalWindows({ liveSessions: open });
  }, 60_000);
  beforeEach(async () => {
    count += 1;
    alice = await portal.bed.account(`alice-${count}@example.com`);
    await enroll(portal.bed, alice);
  });
  afterEach(() => portal.bed.clock.advance(minutes));
  afterAll(async () => {
    await portal.close();
  });

  const freshSession = async () => {
    const { sessions } = portal.bed;
    const started = await sessions.stepUp((await sessions.startFirstFactor(alice)).session);
    if (started === null) throw new Error('the session was gone');
    return started;
  };

  /** The whole of it: create with options, look, rename, pause, let go on, end. Names are those of the accessibility tree. */
  const walk = async (page: Page): Promise<void> => {
    await page.goto(`${portal.origin}/app-passwords`);
    await page.getByRole('link', { name: 'Create an app password' }).click();
    await page.getByLabel('Another app or device').check();
    await page.getByLabel('Where do you use it?').fill('Scanner on floor 2');
    await page.getByLabel('Read mail (IMAP)').uncheck();
    await page.getByText('More options').click();
    await page.getByLabel('In 90 days').check();
    await page.getByLabel('Only from these networks').fill('the office');
    await page.getByLabel('Messages per hour').fill('50');
    await page.getByRole('button', { name: 'Create app password' }).click();
    expect(await page.title()).toMatch(/^Error: /);
    // The options stay open over a mistake in them, and hold what was typed.
    expect(await page.getByLabel('Only from these networks').inputValue()).toBe('the office');
    expect(await page.getByLabel('Messages per hour').inputValue()).toBe('50');
    expect(await page.getByLabel('In 90 days').isChecked()).toBe(true);
    await page.getByRole('link', { name: '“the” is not a network.' }).click();
    expect(await page.locator('#networks:focus').count()).toBe(1);
    await page.getByLabel('Only from these networks').fill('192.0.2.0/24');
    await page.getByRole('button', { name: 'Create app password' }).click();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Your app password');
    await page.getByRole('link', { name: 'See when it was used' }).click();
    expect(await page.getByText('At most 50 messages per hour').isVisible()).toBe(true);

    await page.getByLabel('Name').fill('Scanner on floor 3');
    await page.getByRole('button', { name: 'Save' }).click();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Scanner on floor 3');
    await page.getByRole('link', { name: 'Change what it may do' }).click();
    await page.getByLabel('Only from these networks').fill('192.0.2.0/24\n2001:db8::/32');
    await page.getByRole('button', { name: 'Save changes' }).click();
    expect(await page.getByRole('status').textContent()).toContain('has been changed');

    await page.getByRole('link', { name: 'All app passwords' }).click();
    await page.getByRole('button', { name: 'Pause “Scanner on floor 3”' }).click();
    expect(await page.getByRole('status').textContent()).toContain('is paused');
    await page.getByRole('link', { name: 'All app passwords' }).click();
    await page.getByRole('button', { name: 'Resume “Scanner on floor 3”' }).click();
    await page.getByRole('button', { name: 'Resume' }).click();
    expect(await page.getByRole('status').textContent()).toContain('works again');
    await page.getByRole('link', { name: 'All app passwords' }).click();
    await page.getByRole('button', { name: 'Revoke “Scanner on floor 3”' }).click();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    expect(await page.getByRole('status').textContent()).toContain('has been revoked');
    await page.getByText('No longer valid (1)').click();
    expect(await page.getByRole('link', { name: 'Scanner on floor 3' }).isVisible()).toBe(true);
  };

  it.each([
    ['with JavaScript', true, 1_280],
    ['without JavaScript', false, 1_280],
    ['without JavaScript on a narrow screen', false, 320],
  ])(
    'goes all the way %s',
    async (_, javaScriptEnabled, width) => {
      const { page, complaints, close } = await portal.open({
        session: await freshSession(),
        context: { javaScriptEnabled, viewport: { width, height: 800 } },
      });
      await walk(page);
      expect(complaints.filter((text) => !/status of 422/.test(text))).toEqual([]);
      await close();
    },
    60_000,
  );

  it('ends connections and other browsers without JavaScript', async () => {
    const id = await issue(portal.bed, alice, 'Desk');
    open.open(alice, 'first', id, { since: portal.bed.clock.now() });
    open.open(alice, 'second', id, { protocol: 'smtp', since: portal.bed.clock.now() });
    const other = await freshSession();
    const { page, close } = await portal.open({
      session: await freshSession(),
      context: { javaScriptEnabled: false },
    });
    await page.goto(`${portal.origin}/sessions`);
    await page.getByRole('button', { name: 'End SMTP from 192.0.2.14' }).click();
    expect(await page.getByRole('status').textContent()).toContain('One connection has been closed.');
    expect(open.ids()).toContain('first');
    expect(open.ids()).not.toContain('second');
    // One more is left from the enrollment, and never was confirmed.
    const browsers = page.getByRole('listitem').filter({ hasText: 'Another browser' });
    const confirmed = browsers.filter({ hasNotText: 'Not yet confirmed' });
    await confirmed.getByRole('button', { name: /^Sign out of the browser/ }).click();
    expect(await page.getByRole('status').textContent()).toContain('That browser is signed out.');
    expect(await portal.bed.sessions.find('full', other.token)).toBeNull();
    await page.getByRole('button', { name: 'Sign out everywhere' }).click();
    expect(new URL(page.url()).pathname).toBe('/sign-in');
    await close();
  }, 60_000);

  it('S-70: shows nothing of the account by the Back button after signing out', async () => {
    await issue(portal.bed, alice, 'Desk of Alice');
    const { page, close } = await portal.open({ session: await freshSession() });
    await page.goto(`${portal.origin}/app-passwords`);
    await page.goto(`${portal.origin}/activity`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/\/sign-in$/);
    await page.goBack();
    expect(await page.textContent('body')).not.toContain('Desk of Alice');
    await page.goBack();
    expect(await page.textContent('body')).not.toContain('Desk of Alice');
    await close();
  }, 60_000);

  it('warns two minutes before the session ends, and works again without leaving the page (WCAG 2.2.1)', async () => {
    const { page, close } = await portal.open({ session: await freshSession() });
    await page.clock.install();
    await page.goto(`${portal.origin}/app-passwords/new`);
    await page.getByLabel('Where do you use it?').fill('Half typed');
    await page.clock.runFor(12 * minutes);
    expect(await page.locator('.session-alert').textContent()).toBe('');
    await page.clock.runFor(minutes + 5_000);
    const alert = page.locator('.session-alert');
    expect(await alert.textContent()).toMatch(/You are signed out at \d\d:\d\d\./);
    portal.bed.clock.advance(13 * minutes);
    const answered = page.waitForResponse((response) => new URL(response.url()).pathname === '/');
    await page.getByRole('button', { name: 'Stay signed in' }).click();
    await answered;
    await page.locator('.session-alert:empty').waitFor({ state: 'attached' });
    expect(await page.getByLabel('Where do you use it?').inputValue()).toBe('Half typed');
    // The gateway has heard of it: two minutes later the session would have been over.
    portal.bed.clock.advance(4 * minutes);
    await page.reload();
    expect(new URL(page.url()).pathname).not.toBe('/sign-in');
    expect(await page.textContent('body')).not.toContain('Your session has ended');
    await close();
  }, 60_000);

  it('weighs less than 60 kB with forty app passwords and nothing kept, and paints before any script', async () => {
    for (let index = 0; index < 40; index += 1) {
      const id = await issue(portal.bed, alice, `Outlook, Windows computer ${index}`);
      await markUsed(portal.bed, id, { at: portal.bed.clock.now(), client: 'Microsoft Outlook 16.0.5134' });
    }
    const { page, close } = await portal.open({ session: await freshSession() });
    // A script that never comes holds nothing up.
    await page.route(/\.js$/, () => {});
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Network.enable');
    let bytes = 0;
    devtools.on('Network.loadingFinished', ({ encodedDataLength }) => {
      bytes += encodedDataLength;
    });
    await page.goto(`${portal.origin}/app-passwords`, { waitUntil: 'commit' });
    await page.getByRole('heading', { level: 3 }).nth(39).waitFor();
    const paints = await page.evaluate<number>(
      `new Promise((seen) => new PerformanceObserver((list) => seen(list.getEntries().length)).observe({ type: 'paint', buffered: true }))`,
    );
    expect(paints).toBeGreaterThan(0);
    const scripts = [...(await page.content()).matchAll(/<script src="([^"]+)"/g)];
    for (const [, path] of scripts) {
      const answer = await page.request.get(`${portal.origin}${path}`);
      bytes += Number(answer.headers()['content-length']);
    }
    expect(scripts.length).toBeGreaterThan(0);
    expect(bytes).toBeGreaterThan(20_000);
    expect(bytes).toBeLessThan(60_000);
    await close();
  }, 60_000);
});
