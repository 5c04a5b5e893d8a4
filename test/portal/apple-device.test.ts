import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mailSettings } from '../../src/portal/client-setup/mail-settings.ts';
import { thunderbirdQr } from '../../src/portal/client-setup/thunderbird-qr.ts';
import { qrImage } from '../../src/portal/qr-image.ts';
import type { Account } from '../../src/store/schema.ts';
import { type Bed, Browser, openBed, origin, portalConfig } from './bed.ts';

const profileType = 'application/x-apple-aspen-config';
const iphone =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1';

let bed: Bed;
let alice: Account;
let desk: Browser;
beforeAll(async () => {
  bed = await openBed();
});
afterAll(async () => {
  await bed.close();
});
beforeEach(async () => {
  bed.clock.advance(3_600_000);
  await bed.database.deleteFrom('app_password').execute();
  alice = await bed.account('alice@example.com');
  desk = await signedIn(alice);
});

/** A browser whose person has just shown a second factor. */
async function signedIn(account: Account): Promise<Browser> {
  const browser = new Browser(bed);
  const first = await bed.sessions.startFirstFactor(account);
  const full = await bed.sessions.stepUp(first.session);
  if (full === null) throw new Error('the session was gone');
  browser.show(full);
  return browser;
}

/** A device without a session. */
function device(): Browser {
  const browser = new Browser(bed);
  browser.remoteAddress = '203.0.113.9';
  return browser;
}

const issued = async () => await bed.appPasswords.list(alice.id);

async function makeLink(name = 'Kitchen iPad') {
  const made = await desk.post('/apple-device', { device: name, way: 'other' });
  expect(made.statusCode).toBe(303);
  const path = String(made.headers.location);
  expect(path).toMatch(/^\/apple-device\/[0-9a-f]{32}$/);
  const page = await desk.get(path);
  const link = /<code id="link"[^>]*>([^<]+)<\/code>/.exec(page.body)?.[1] ?? '';
  return { path, page, link, token: link.split('#')[1] ?? '' };
}

describe('setting up this device', () => {
  it('asks for a name, guessed from the browser, and changes nothing', async () => {
    const page = await desk.get('/apple-device', { 'user-agent': iphone });
    expect(page.statusCode).toBe(200);
    expect(page.body).toContain('value="iPhone"');
    expect(await issued()).toEqual([]);
  });

  it('S-70: answers the form with a profile that nobody keeps', async () => {
    const answer = await desk.post('/apple-device', { device: 'iPhone', way: 'here' });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': profileType,
      'content-disposition': 'attachment; filename="mail.mobileconfig"',
      'cache-control': 'no-store',
    });
    const secret =
      /<key>IncomingPassword<\/key>\s*<string>([a-z]{16})<\/string>/.exec(answer.body)?.[1] ?? '';
    expect(secret).not.toBe('');
    expect(bed.log.join('')).not.toContain(secret);
    expect(await issued()).toMatchObject([{ label: 'iPhone', scopes: ['imap', 'smtp'], state: 'active' }]);
  });

  it('S-68: needs a second factor of the last five minutes', async () => {
    bed.clock.advance(5 * 60_000);
    const asked = await desk.get('/apple-device');
    expect(asked.headers.location).toBe('/confirm/apple-device');
    for (const way of ['here', 'other']) {
      const answer = await desk.post('/apple-device', { device: 'iPhone', way });
      expect(answer.headers.location).toBe('/confirm/apple-device');
    }
    expect(await issued()).toEqual([]);
    expect(await bed.database.selectFrom('profile_link').selectAll().execute()).toEqual([]);
  });

  it.each(['', '   ', 'x'.repeat(51), 'iPhone\u0000', 'iPhone\u202e'])(
    'does not take the name %p',
    async (name) => {
      for (const way of ['here', 'other']) {
        const answer = await desk.post('/apple-device', { device: name, way });
        expect(answer.statusCode).toBe(422);
        expect(answer.body).toContain('aria-invalid="true"');
      }
      expect(await issued()).toEqual([]);
    },
  );

  it('S-65: shows a hostile name as text', async () => {
    const answer = await desk.post('/apple-device', { device: '<img src=x>', way: 'here' });
    expect(answer.body).not.toContain('<img');
    const { page } = await makeLink('<img src=x onerror=1>');
    expect(page.body).toContain('&lt;img src=x onerror=1&gt;');
  });

  it('says that profiles are not possible without implicit TLS', async () => {
    const listen = [
      { door: 'imap', port: 143, tls: 'starttls' },
      { door: 'smtp', port: 587, tls: 'starttls' },
    ];
    const other = await openBed({ config: portalConfig({ listen }) });
    const browser = new Browser(other);
    const first = await other.sessions.startFirstFactor(await other.account('alice@example.com'));
    const full = await other.sessions.stepUp(first.session);
    if (full === null) throw new Error('the session was gone');
    browser.show(full);
    expect((await browser.get('/apple-device')).body).toContain('Set Mail up by hand.');
    await other.close();
  });
});

describe('setting up another device', () => {
  it('S-71: five looks, then one POST works, a second one is 410', async () => {
    const { token, page, link } = await makeLink();
    expect(link).toBe(`${origin}/p#${token}`);
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(page.headers['cache-control']).toBe('no-store');
    const phone = device();
    for (let look = 0; look < 5; look += 1) {
      const opened = await phone.get('/p');
      expect(opened.statusCode).toBe(200);
      expect(opened.body).not.toContain('alice@example.com');
      const shown = await phone.post('/p', { code: token });
      expect(shown.statusCode).toBe(200);
      expect(shown.body).toContain('alice@example.com');
      expect(shown.body).toContain('Kitchen iPad');
      expect(shown.headers['cache-control']).toBe('no-store');
    }
    expect(await issued()).toEqual([]);

    const answer = await phone.post('/p/profile', { code: token }, { 'user-agent': iphone });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({ 'content-type': profileType, 'cache-control': 'no-store' });
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect((await phone.post('/p/profile', { code: token })).statusCode).toBe(410);
    expect((await phone.post('/p', { code: token })).statusCode).toBe(410);
    expect(await issued()).toMatchObject([{ label: 'Kitchen iPad' }]);
    expect(bed.log.join('')).not.toContain(token);
  });

  it('S-71: a link that nobody opens makes nothing', async () => {
    const { token } = await makeLink();
    bed.clock.advance(10 * 60_000);
    expect((await device().post('/p/profile', { code: token })).statusCode).toBe(410);
    expect(await issued()).toEqual([]);
  });

  it('S-71: of twenty devices at once one gets it', async () => {
    const { token } = await makeLink();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => device().post('/p/profile', { code: token })),
    );
    expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1);
    expect(answers.filter(({ statusCode }) => statusCode === 410)).toHaveLength(19);
    expect(await issued()).toHaveLength(1);
  });

  it('S-61: another site cannot use it', async () => {
    const { token } = await makeLink();
    for (const from of ['https://evil.example', 'null', 'https://mail.example.com']) {
      const answer = await device().post('/p/profile', { code: token }, { origin: from });
      expect(answer.statusCode).toBe(403);
    }
    expect(await issued()).toEqual([]);
    expect((await device().post('/p/profile', { code: token })).statusCode).toBe(200);
  });

  it('S-70: shows the code once, then what became of it', async () => {
    const { path, page, token } = await makeLink();
    expect(page.body).toContain('src="data:image/svg+xml;base64,');
    const again = await desk.get(path);
    expect(again.body).not.toContain(token);
    expect(again.body).toContain('has not been used yet');
    await device().post('/p/profile', { code: token }, { 'user-agent': iphone });
    const after = await desk.get(path);
    expect(after.body).toMatch(
      /role="status">The code for “Kitchen iPad” was used at .* by iPhone \(203\.0\.113\.9\)/,
    );
    const [made] = await issued();
    expect(after.body).toContain(`/app-passwords/${made?.id.toString('hex')}/revoke`);
  });

  it('S-67: is nobody else’s to see or to cancel', async () => {
    const { path, token } = await makeLink();
    const bob = await signedIn(await bed.account('bob@example.com'));
    expect((await bob.get(path)).statusCode).toBe(404);
    expect((await bob.post(`${path}/cancel`)).statusCode).toBe(404);
    expect((await device().post('/p', { code: token })).statusCode).toBe(200);
    expect((await desk.post(`${path}/cancel`)).headers.location).toBe('/app-passwords');
    expect((await device().post('/p', { code: token })).statusCode).toBe(410);
  });

  it('takes a pasted link as well as a code, and says what is neither', async () => {
    const { token, link } = await makeLink();
    const phone = device();
    expect((await phone.post('/p', { code: ` ${link}\n` })).statusCode).toBe(200);
    for (const code of ['', 'hello', token.slice(1), `${token}x`]) {
      expect((await phone.post('/p', { code })).statusCode).toBe(422);
    }
    expect((await phone.post('/p', { code: 'A'.repeat(43) })).statusCode).toBe(410);
    expect((await phone.post('/p/profile', { code: 'hello' })).statusCode).toBe(410);
  });

  it('S-34: sets up nothing for an account that somebody else has changed', async () => {
    const { token } = await makeLink();
    await bed.database
      .updateTable('account')
      .set({ state: 'disabled' } as never)
      .execute();
    // Not as the gateway wrote it: an outage, and nothing is made.
    expect((await device().post('/p/profile', { code: token })).statusCode).toBe(503);
    expect(await issued()).toEqual([]);
    await bed.database
      .updateTable('account')
      .set({ state: 'active' } as never)
      .execute();
  });
});

describe('the code for Thunderbird on Android', () => {
  const shown = async (app: string) => {
    const made = await desk.post('/app-passwords/new', { app, device: 'Phone', imap: 'on', smtp: 'on' });
    const { body } = await desk.get(String(made.headers.location));
    const code = /<code id="secret">([\s\S]*?)<\/code>/.exec(body)?.[1] ?? '';
    const secret = code.replace(/<[^>]+>|\s/g, '');
    expect(secret).toMatch(/^[a-z]{16}$/);
    return { body, secret };
  };

  it('S-70: stands beside the app password, in the page itself', async () => {
    const { body, secret } = await shown('other');
    const account = thunderbirdQr('alice@example.com', secret, mailSettings(bed.config)) ?? '';
    expect(account).toContain(secret);
    expect(body).toContain(await qrImage(account));
  });

  it('is not there where another app was chosen', async () => {
    expect((await shown('outlook')).body).not.toContain('data:image');
  });
});
