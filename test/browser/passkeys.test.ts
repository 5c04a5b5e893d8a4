import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CDPSession, Page } from 'playwright-core';
import type { Account } from '../../src/store/schema.ts';
import { minutes } from '../identity/clock.ts';
import { enroll } from '../portal/bed.ts';
import { overflowOf, violationsOf } from './axe.ts';
import { openPortalWindows, type PortalWindows } from './portal-window.ts';

/** Chromium's own authenticator in software, of the window's context. */
async function addAuthenticator(page: Page, options: { readonly verifies?: boolean } = {}) {
  const devtools: CDPSession = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: options.verifies ?? true,
      isUserVerified: options.verifies ?? true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    credentials: async () =>
      (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
    setCounter: async (signCount: number) => {
      const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
      for (const credential of credentials) {
        await devtools.send('WebAuthn.removeCredential', {
          authenticatorId,
          credentialId: credential.credentialId,
        });
        await devtools.send('WebAuthn.addCredential', {
          authenticatorId,
          credential: { ...credential, signCount },
        });
      }
    },
  };
}

describe('passkeys in Chromium', () => {
  let portal: PortalWindows;
  beforeAll(async () => {
    portal = await openPortalWindows();
  });
  afterAll(async () => {
    await portal.close();
  });

  const half = async (account: Account) => {
    const window = await portal.open({ session: await portal.bed.sessions.startFirstFactor(account) });
    await window.page.goto(portal.origin);
    return window;
  };
  const pathOf = (page: Page) => new URL(page.url()).pathname;
  const create = async (page: Page, name: string): Promise<void> => {
    await page.getByRole('button', { name: 'Set it up now' }).click();
    await page.getByLabel('Passkey or security key').check();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByLabel('Name of this passkey').fill(name);
    await page.getByRole('button', { name: 'Create a passkey' }).click();
    await page.waitForURL(/\/set-up\/verified$/);
  };

  it('S-78: one is made, signs in, steps up, and lets nobody in once it is removed', async () => {
    const { bed, origin } = portal;
    const alice = await bed.account('alice@example.com');
    const { page, complaints, close } = await half(alice);
    const authenticator = await addAuthenticator(page);
    await create(page, 'this laptop');
    expect(await authenticator.credentials()).toHaveLength(1);
    expect(await bed.factors.list(alice)).toMatchObject([{ kind: 'passkey', name: 'this laptop' }]);

    await page.context().clearCookies();
    const again = await bed.sessions.startFirstFactor(alice);
    await page
      .context()
      .addCookies([{ name: '__Host-sp-pre', value: again.token, url: origin, secure: true, httpOnly: true }]);
    await page.goto(origin);
    expect(pathOf(page)).toBe('/verify');
    await page.getByRole('button', { name: 'Use your passkey' }).click();
    await page.waitForURL(/\/app-passwords$/);

    bed.clock.advance(5 * minutes);
    await page.goto(`${origin}/app-passwords/new`);
    expect(pathOf(page)).toBe('/confirm/create');
    await page.getByRole('button', { name: 'Use your passkey' }).click();
    await page.waitForURL(/\/app-passwords\/new$/);

    // One more method first: the last one is kept.
    await page.goto(`${origin}/methods/add`);
    await page.getByLabel('Authenticator app').check();
    await page.getByRole('button', { name: 'Next' }).click();
    const key = ((await page.locator('#key').textContent()) ?? '').replace(/\s/g, '');
    const { generate } = await import('otplib');
    await page
      .getByLabel('Verification code')
      .fill(await generate({ secret: key, epoch: Math.floor(bed.clock.now() / 1_000) }));
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.waitForURL(/\/methods\?done=added$/);
    expect(await violationsOf(page)).toEqual([]);
    expect(await overflowOf(page)).toBe(0);
    await page.getByRole('button', { name: 'Remove “this laptop”' }).click();
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.waitForURL(/\/methods\?done=removed$/);

    await page.context().clearCookies();
    const last = await bed.sessions.startFirstFactor(alice);
    await page
      .context()
      .addCookies([{ name: '__Host-sp-pre', value: last.token, url: origin, secure: true, httpOnly: true }]);
    await page.goto(`${origin}/verify?method=passkey`);
    expect(await page.getByLabel('Verification code').count()).toBe(1);
    expect(await page.getByRole('button', { name: 'Use your passkey' }).count()).toBe(0);
    expect(complaints).toEqual([]);
    await close();
  }, 90_000);

  it('S-79: a key whose counter fell is refused, and told of', async () => {
    const { bed, origin } = portal;
    const bert = await bed.account('bert@example.com');
    const { page, close } = await half(bert);
    const authenticator = await addAuthenticator(page);
    await create(page, '');
    await bed.database.updateTable('second_factor').set({ sign_count: 50 }).execute();
    await authenticator.setCounter(3);
    bed.clock.advance(5 * minutes);
    await page.goto(`${origin}/confirm/create`);
    await page.getByRole('button', { name: 'Use your passkey' }).click();
    await page.getByText('could not be accepted').first().waitFor();
    const fell = await bed.database
      .selectFrom('audit_entry')
      .select('entry')
      .where('action', '=', 'passkey.counter-fell')
      .execute();
    expect(fell).toHaveLength(1);
    await close();
  }, 60_000);

  it('a person who gives up is told so, and can go another way', async () => {
    const { bed } = portal;
    const carla = await bed.account('carla@example.com');
    // No authenticator: the debugger that axe needs would take it away again.
    const { page, close } = await half(carla);
    await page.getByRole('button', { name: 'Set it up now' }).click();
    await page.getByLabel('Passkey or security key').check();
    await page.getByRole('button', { name: 'Next' }).click();
    expect(await violationsOf(page)).toEqual([]);
    expect(await overflowOf(page)).toBe(0);
    // As if the browser's window had been closed.
    await page.evaluate(
      'navigator.credentials.create = () => Promise.reject(new DOMException("closed", "NotAllowedError"))',
    );
    await page.getByRole('button', { name: 'Create a passkey' }).click();
    await page.getByText('No passkey was created').waitFor();
    expect(await page.getByRole('button', { name: 'Create a passkey' }).isVisible()).toBe(true);
    await page.getByRole('link', { name: 'Choose another method' }).click();
    expect(pathOf(page)).toBe('/set-up/method');
    await close();
  }, 60_000);

  it('without JavaScript the pages say so, and everything else goes on', async () => {
    const { bed, origin } = portal;
    const dora = await bed.account('dora@example.com');
    const { page, close } = await portal.open({
      session: await bed.sessions.startFirstFactor(dora),
      context: { javaScriptEnabled: false },
    });
    await page.goto(`${origin}/set-up/method`);
    await page.getByLabel('Passkey or security key').check();
    await page.getByRole('button', { name: 'Next' }).click();
    expect(await page.textContent('main')).toContain('Passkeys need JavaScript');
    await page.getByRole('link', { name: 'Choose another method' }).click();
    expect(pathOf(page)).toBe('/set-up/method');
    await close();
  }, 60_000);
});

describe('recovery codes in Chromium', () => {
  let portal: PortalWindows;
  beforeAll(async () => {
    portal = await openPortalWindows();
  });
  afterAll(async () => {
    await portal.close();
  });

  it.each([true, false])(
    'S-80: are downloaded as a text file, with JavaScript or without: %p',
    async (javaScriptEnabled) => {
      const { bed, origin } = portal;
      const alice = await bed.account(`alice-${javaScriptEnabled}@example.com`);
      await enroll(bed, alice);
      const started = await bed.sessions.stepUp((await bed.sessions.startFirstFactor(alice)).session);
      if (started === null) throw new Error('the session was gone');
      const { page, complaints, close } = await portal.open({
        session: started,
        context: { javaScriptEnabled, acceptDownloads: true },
      });
      await page.goto(`${origin}/recovery-codes`);
      await page.getByRole('button', { name: 'Create recovery codes' }).click();
      await page.waitForURL(/\/recovery-codes\/new$/);
      const shown = await page.locator('#codes code').allTextContents();
      expect(shown).toHaveLength(10);
      if (javaScriptEnabled) expect(await violationsOf(page)).toEqual([]);
      expect(await page.getByRole('button', { name: 'Print' }).count()).toBe(javaScriptEnabled ? 1 : 0);
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'Download' }).click(),
      ]);
      expect(download.suggestedFilename()).toBe('recovery-codes.txt');
      const text = await readFile(await download.path(), 'utf8');
      for (const code of shown) expect(text).toContain(code);
      await page.emulateMedia({ media: 'print' });
      expect(await page.locator('#codes').isVisible()).toBe(true);
      expect(await page.locator('.masthead').isVisible()).toBe(false);
      expect(await page.getByRole('button', { name: 'The codes are saved' }).isVisible()).toBe(false);
      await page.emulateMedia({ media: 'screen' });
      await page.getByRole('button', { name: 'The codes are saved' }).click();
      expect(new URL(page.url()).pathname).toBe('/app-passwords');
      expect(complaints).toEqual([]);
      await close();
    },
    60_000,
  );
});
