import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generate } from 'otplib';
import { formatRecoveryCode } from '../../src/identity/second-factor/recovery-code.ts';
import { resetSecondFactors } from '../../src/store/accounts.ts';
import type { Account } from '../../src/store/schema.ts';
import { hours, minutes } from '../identity/clock.ts';
import { SoftwareAuthenticator } from '../identity/software-authenticator.ts';
import { type Bed, Browser, enroll, openBed, origin, portalConfig } from './bed.ts';

const domain = { backend: 'office', sign_in: { method: 'imap' } };
const peer = { address: '203.0.113.7', network: '203.0.113.7/32' };

describe('second factors in the portal', () => {
  let bed: Bed;
  let alice: Account;
  const beds: Bed[] = [];
  const openWith = async (settings: object, second_factors: object = {}) => {
    bed = await openBed({
      config: portalConfig({ domains: { 'example.com': { ...domain, ...settings } }, second_factors }),
    });
    beds.push(bed);
    alice = await bed.account('alice@example.com');
  };
  beforeEach(async () => {
    await openWith({ enrollment: 'open' }, { email_code: true });
  });
  afterEach(async () => {
    for (const each of beds.splice(0)) await each.close();
  });

  const fresh = async (account: Account) => {
    const found = await bed.database
      .selectFrom('account')
      .selectAll()
      .where('id', '=', account.id)
      .executeTakeFirstOrThrow();
    return found;
  };
  const half = async (account = alice): Promise<Browser> => {
    const browser = new Browser(bed);
    browser.show(await bed.sessions.startFirstFactor(await fresh(account)));
    return browser;
  };
  const steppedUp = async (account = alice) => {
    const started = await bed.sessions.stepUp(
      (await bed.sessions.startFirstFactor(await fresh(account))).session,
    );
    if (started === null) throw new Error('the session was gone');
    const browser = new Browser(bed);
    browser.show(started);
    return { browser, session: started.session };
  };
  const keyIn = (body: string) =>
    (/<code id="key"[^>]*>(.*?)<\/code>/.exec(body)?.[1] ?? '').replace(/<[^>]+>|\s/g, '');
  const codeOf = async (key: string) =>
    await generate({ secret: key, epoch: Math.floor(bed.clock.now() / 1_000) });
  const optionsIn = (body: string) => {
    const text = /data-options="([^"]*)"/.exec(body)?.[1];
    return text === undefined
      ? null
      : JSON.parse(text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&'));
  };
  const recoveryCodes = async (account = alice): Promise<readonly string[]> => {
    const { session } = await steppedUp(account);
    const codes = await bed.factors.recoveryCodes.renew(session, peer);
    return (codes ?? []).map(formatRecoveryCode);
  };

  describe('first enrollment', () => {
    it('chooses one of two methods, in the order of the pages', async () => {
      const browser = await half();
      expect((await browser.get('/')).headers.location).toBe('/set-up');
      expect((await browser.post('/set-up')).headers.location).toBe('/set-up/method');
      const choice = await browser.get('/set-up/method');
      expect(choice.body.indexOf('method-totp')).toBeLessThan(choice.body.indexOf('method-passkey'));
      // An address is never the first (S-81).
      expect(choice.body).not.toContain('method-email');
      const none = await browser.post('/set-up/method');
      expect(none.statusCode).toBe(422);
      expect(none.body).toContain('Choose a method.');
      expect((await browser.post('/set-up/method', { method: 'email' })).statusCode).toBe(422);
      expect((await browser.post('/set-up/method', { method: 'telepathy' })).statusCode).toBe(400);
    });

    it('S-78: by a passkey', async () => {
      const browser = await half();
      expect((await browser.get('/set-up/passkey')).body).not.toContain('data-options');
      expect((await browser.post('/set-up/method', { method: 'passkey' })).headers.location).toBe(
        '/set-up/passkey',
      );
      const page = await browser.get('/set-up/passkey');
      const key = new SoftwareAuthenticator(origin);
      const refused = await browser.post('/set-up/passkey', {
        answer: key.create(optionsIn(page.body), { origin: 'https://evil.example' }),
        name: '',
      });
      expect(refused.statusCode).toBe(422);
      expect(refused.body).toContain('could not be accepted');
      expect((await browser.post('/set-up/passkey/begin')).headers.location).toBe('/set-up/passkey');
      const again = await browser.get('/set-up/passkey');
      const answer = key.create(optionsIn(again.body));
      const done = await browser.post('/set-up/passkey', { answer, name: 'blue\u0000 key' });
      expect(done.headers.location).toBe('/set-up/verified');
      expect(await bed.factors.list(alice)).toMatchObject([{ kind: 'passkey', name: 'blue key' }]);

      const later = await half();
      expect((await later.get('/verify')).body).toContain('Use your passkey');
      expect((await later.post('/verify', { method: 'passkey' })).headers.location).toBe(
        '/verify?method=passkey',
      );
      const asked = optionsIn((await later.get('/verify?method=passkey')).body);
      const shown = await later.post('/verify', { method: 'passkey', answer: key.get(asked) });
      expect(shown.headers.location).toBe('/app-passwords');
      await later.get('/app-passwords');
      bed.clock.advance(5 * minutes);
      expect((await later.get('/app-passwords/new')).headers.location).toBe('/confirm/create');
      await later.post('/confirm/create', { method: 'passkey' });
      const stepUp = optionsIn((await later.get('/confirm/create?method=passkey')).body);
      expect(stepUp).toMatchObject({ userVerification: 'required' });
      expect(
        (await later.post('/confirm/create', { method: 'passkey', answer: key.get(stepUp) })).headers
          .location,
      ).toBe('/app-passwords/new');
    });

    it('S-74: by the operator’s code only, where the domain says so', async () => {
      await openWith({ enrollment: 'code' });
      const browser = await half();
      const gate = await browser.get('/set-up');
      expect(gate.body).toContain('Enter your enrollment code');
      expect(gate.body).not.toContain('Set it up now');
      for (const path of ['/set-up/method', '/set-up/app', '/set-up/passkey']) {
        expect((await browser.get(path)).body).toContain('Enter your enrollment code');
      }
      await browser.post('/set-up/method', { method: 'totp' });
      await browser.post('/set-up/app', { code: '000000' });
      expect(await bed.database.selectFrom('second_factor').selectAll().execute()).toEqual([]);

      const gone = await browser.post('/set-up/code', { code: '7KQ2-9F3M-XT4D-8HVN' });
      expect(gone.statusCode).toBe(403);
      expect(gone.body).toContain('There is no code for your account');
      const made = await bed.factors.enrollmentCodes.create(alice.id, { kind: 'operator', user: 'root' });
      if (made === null) throw new Error('no code');
      const code = formatRecoveryCode(made.secret);
      expect((await browser.post('/set-up/code', { code: 'short' })).statusCode).toBe(422);
      expect((await browser.post('/set-up/code', { code: '7KQ2-9F3M-XT4D-8HVN' })).statusCode).toBe(401);
      expect((await browser.post('/set-up/code', { code })).headers.location).toBe('/set-up');
      expect((await browser.get('/set-up')).body).toContain('Set it up now');
      await browser.post('/set-up/method', { method: 'totp' });
      const key = keyIn((await browser.get('/set-up/app')).body);
      expect((await browser.post('/set-up/app', { code: await codeOf(key) })).headers.location).toBe(
        '/set-up/verified',
      );
      expect(bed.log.join('')).not.toContain(code.replaceAll('-', ''));
      expect(bed.log.join('')).not.toContain(code);
    });

    it('S-74: from the organization’s network only, where the domain says so', async () => {
      await openWith({ enrollment: 'network', enrollment_networks: ['192.0.2.0/24'] });
      const browser = await half();
      const outside = await browser.get('/set-up');
      expect(outside.statusCode).toBe(403);
      expect(outside.body).toContain('from inside your organization');
      browser.remoteAddress = '192.0.2.9';
      expect((await browser.get('/set-up')).body).toContain('Set it up now');
      await browser.post('/set-up/method', { method: 'totp' });
      const key = keyIn((await browser.get('/set-up/app')).body);
      browser.remoteAddress = '203.0.113.9';
      await browser.post('/set-up/app', { code: await codeOf(key) });
      expect(await bed.factors.stateOf(alice)).toBe('none');
    });
  });

  describe('recovery', () => {
    it('S-80: the codes are shown once, to be downloaded and printed, and reminded of until they are saved', async () => {
      await enroll(bed, alice);
      const { browser } = await steppedUp();
      expect((await browser.get('/app-passwords')).body).toContain('/recovery-codes');
      expect((await browser.post('/recovery-codes')).headers.location).toBe('/recovery-codes/new');
      const page = await browser.get('/recovery-codes/new');
      expect(page.headers['cache-control']).toBe('no-store');
      const codes = [...page.body.matchAll(/<li><code>([0-9A-Z-]{19})<\/code>/g)].map((match) => match[1]);
      expect(codes).toHaveLength(10);
      const file = /href="(data:text\/plain[^"]*)" download="recovery-codes.txt"/.exec(page.body)?.[1] ?? '';
      for (const code of codes) expect(decodeURIComponent(file)).toContain(code);
      expect((await browser.get('/recovery-codes/new')).headers.location).toBe('/recovery-codes?shown=1');
      expect((await browser.get('/recovery-codes?shown=1')).body).toContain('cannot be shown again');
      const list = await browser.get('/app-passwords');
      expect(list.body).toContain('You have no saved recovery codes');
      await browser.post('/recovery-codes/saved');
      expect((await browser.get('/app-passwords')).body).not.toContain('You have no saved recovery codes');
      expect((await browser.get('/methods')).body).toContain('Recovery codes left: 10');
      for (const code of codes) expect(bed.log.join('')).not.toContain(code);
    });

    it('S-80: a code opens the page for a new method and nothing else; an app password right after it is delayed', async () => {
      await enroll(bed, alice);
      const [code = ''] = await recoveryCodes();
      const browser = await half();
      expect((await browser.get('/verify')).body).toContain('/verify?method=recovery');
      expect((await browser.get('/verify?method=recovery')).body).toContain('Recovery code');
      expect((await browser.post('/verify', { method: 'recovery', code: 'short' })).statusCode).toBe(422);
      const wrong = await browser.post('/verify', { method: 'recovery', code: '7KQ2-9F3M-XT4D-8HVN' });
      expect(wrong.statusCode).toBe(401);
      expect((await browser.post('/verify', { method: 'recovery', code })).headers.location).toBe('/set-up');
      for (const path of [
        '/app-passwords',
        '/app-passwords/new',
        '/methods',
        '/recovery-codes',
        '/sessions',
      ]) {
        expect((await browser.get(path)).headers.location).toBe('/');
      }
      expect((await browser.get('/verify')).headers.location).toBe('/set-up');
      const page = await browser.get('/set-up');
      expect(page.body).toContain('Set up a new verification method');
      await browser.post('/set-up/method', { method: 'totp' });
      const key = keyIn((await browser.get('/set-up/app')).body);
      const done = await browser.post('/set-up/app', { code: await codeOf(key) });
      expect(done.headers.location).toBe('/methods?done=replaced');
      expect((await browser.get('/methods?done=replaced')).body).toContain(
        'Remove those that you no longer have',
      );
      expect(await bed.factors.list(alice)).toHaveLength(2);

      const order = { app: 'outlook', device: 'Desk', imap: 'on' };
      const held = await browser.post('/app-passwords/new', order);
      expect(held.statusCode).toBe(403);
      expect(held.body).toContain('App passwords can be created later');
      expect((await browser.get('/app-passwords/new')).statusCode).toBe(403);
      expect(await bed.appPasswords.list(alice.id)).toEqual([]);
      bed.clock.advance(24 * hours);
      const { browser: later } = await steppedUp();
      expect((await later.post('/app-passwords/new', order)).headers.location).toMatch(/secret$/);
    });

    it('S-80: a code ends the session it is used in to confirm', async () => {
      await enroll(bed, alice);
      const [code = ''] = await recoveryCodes();
      const { browser } = await steppedUp();
      bed.clock.advance(5 * minutes);
      const old = browser.cookies.get('__Host-sp');
      expect((await browser.post('/confirm/create', { method: 'recovery', code })).headers.location).toBe(
        '/set-up',
      );
      expect(browser.cookies.has('__Host-sp')).toBe(false);
      expect(await bed.sessions.find('full', old ?? '')).toBeNull();
    });

    it('S-82: after a reset by the operator no code of before opens anything', async () => {
      await openWith({ enrollment: 'code' });
      const made = await bed.factors.enrollmentCodes.create(alice.id, { kind: 'operator', user: 'root' });
      const browser = await half();
      expect((await browser.post('/set-up/code', { code: made?.secret.text() ?? '' })).statusCode).toBe(303);
      await browser.get('/set-up');
      await browser.post('/set-up/method', { method: 'totp' });
      const key = keyIn((await browser.get('/set-up/app')).body);
      await browser.post('/set-up/app', { code: await codeOf(key) });
      const [code = ''] = await recoveryCodes();
      await resetSecondFactors(bed.database, bed.guard, alice.id);
      expect((await browser.get('/app-passwords')).statusCode).toBe(401);
      const again = await half();
      expect((await again.get('/')).headers.location).toBe('/set-up');
      expect((await again.get('/set-up')).body).toContain('Enter your enrollment code');
      await again.post('/verify', { method: 'recovery', code });
      expect(await bed.factors.stateOf(alice)).toBe('none');
    });
  });

  describe('methods', () => {
    it('are added with a name, renamed, shown first and removed; the last one is kept', async () => {
      await enroll(bed, alice);
      const { browser } = await steppedUp();
      expect((await browser.post('/methods/add', { method: 'totp' })).headers.location).toBe(
        '/methods/add/app',
      );
      const key = keyIn((await browser.get('/methods/add/app')).body);
      const bad = await browser.post('/methods/add/app', { code: await codeOf(key), name: 'x'.repeat(61) });
      expect(bad.statusCode).toBe(422);
      expect(bad.body).toContain('at most 60');
      const added = await browser.post('/methods/add/app', {
        code: await codeOf(key),
        name: '<b>Tablet</b>',
      });
      expect(added.headers.location).toBe('/methods?done=added');
      const list = await browser.get('/methods?done=added');
      expect(list.body).toContain('&lt;b&gt;Tablet&lt;/b&gt;');
      expect(list.body).not.toContain(key);
      const tablet = (await bed.factors.list(alice)).find(({ name }) => name !== '');
      const id = tablet?.id.toString('hex') ?? '';
      expect((await browser.post(`/methods/${id}`, { name: 'Tablet' })).headers.location).toBe(
        '/methods?done=changed',
      );
      await browser.post(`/methods/${id}/primary`);
      expect(await bed.factors.list(alice)).toMatchObject([
        { name: 'Tablet', isPrimary: true },
        { name: '' },
      ]);
      expect((await browser.get(`/methods/${id}/remove`)).body).toContain('Remove “Tablet”?');
      expect((await browser.post(`/methods/${id}/remove`)).headers.location).toBe('/methods?done=removed');
      const [last] = await bed.factors.list(alice);
      const kept = await browser.post(`/methods/${last?.id.toString('hex')}/remove`);
      expect(kept.statusCode).toBe(409);
      expect(kept.body).toContain('This is your only method');
    });

    it('S-68: are added and removed with a fresh factor only, and looked at without', async () => {
      await enroll(bed, alice);
      const { browser } = await steppedUp();
      bed.clock.advance(5 * minutes);
      const [own] = await bed.factors.list(alice);
      const id = own?.id.toString('hex') ?? '';
      expect((await browser.get('/methods')).statusCode).toBe(200);
      expect((await browser.get('/methods/add')).headers.location).toBe('/confirm/add-method');
      expect((await browser.post('/methods/add', { method: 'totp' })).headers.location).toBe(
        '/confirm/add-method',
      );
      expect((await browser.post(`/methods/${id}/remove`)).headers.location).toBe(
        `/confirm/remove-method-${id}`,
      );
      expect((await browser.get(`/confirm/remove-method-${id}`)).statusCode).toBe(200);
      expect((await browser.post('/recovery-codes')).headers.location).toBe('/confirm/recovery-codes');
    });

    it('S-81: an address is confirmed by a code sent there, and helps to confirm then', async () => {
      const { code } = await enroll(bed, alice);
      const { browser } = await steppedUp();
      expect((await browser.get('/methods/add')).body).toContain('method-email');
      await browser.post('/methods/add', { method: 'email' });
      expect((await browser.post('/methods/add/email/send', { address: 'bob@example.com' })).body).toContain(
        'does not belong to your organization',
      );
      expect(
        (await browser.post('/methods/add/email/send', { address: 'alice@example.net' })).headers.location,
      ).toBe('/methods/add/email');
      expect((await browser.get('/methods/add/email')).body).toContain('a…@example.net');
      expect((await browser.post('/methods/add/email', { code: '123' })).statusCode).toBe(422);
      const done = await browser.post('/methods/add/email', { code: bed.letterbox.lastCode });
      expect(done.headers.location).toBe('/methods?done=added');
      bed.clock.advance(16 * minutes);

      const later = await half();
      const page = await later.get('/verify?method=email');
      expect(page.body).not.toContain('alice@example.net');
      expect((await later.post('/verify', { method: 'email' })).headers.location).toBe(
        '/verify?method=email',
      );
      expect((await later.get('/verify?method=email')).body).toContain('We sent a code to a…@example.net');
      expect((await later.post('/verify', { method: 'email', code: '00000000' })).statusCode).toBe(401);
      expect(
        (await later.post('/verify', { method: 'email', code: bed.letterbox.lastCode })).headers.location,
      ).toBe('/app-passwords');
      bed.letterbox.isDown = true;
      bed.clock.advance(16 * minutes);
      const down = await (await half()).post('/verify', { method: 'email' });
      expect(down.statusCode).toBe(503);
      expect(down.body).toContain('could not be sent right now');
      expect((await (await half()).post('/verify', { code: await code() })).headers.location).toBe(
        '/app-passwords',
      );
    });

    it('says where only a new sign-in helps', async () => {
      const browser = await half();
      await browser.post('/set-up/method', { method: 'passkey' });
      const key = new SoftwareAuthenticator(origin);
      const options = optionsIn((await browser.get('/set-up/passkey')).body);
      await browser.post('/set-up/passkey', {
        answer: key.create(options, { isUserVerified: false }),
        name: '',
      });
      bed.clock.advance(5 * minutes);
      const page = await browser.get('/confirm/create');
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('right after your password only');
      expect(page.body).toContain('action="/sign-out"');
    });

    it.each([
      ['en', 'Verification methods'],
      ['lv', 'Verifikācijas metodes'],
    ])('are there in %s', async (tag, title) => {
      await enroll(bed, alice);
      const { browser } = await steppedUp();
      const page = await browser.get('/methods', { 'accept-language': tag });
      expect(page.body).toContain(title);
      expect(page.body).toContain(`lang="${tag}"`);
    });
  });
});
