import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generate } from 'otplib';
import { parseAppPassword } from '../../src/credentials/app-password.ts';
import { disableAccount } from '../../src/store/accounts.ts';
import { recordWrongGuess } from '../../src/store/factor-guesses.ts';
import type { Account } from '../../src/store/schema.ts';
import { hours, minutes, seconds } from '../identity/clock.ts';
import { ApiClient } from './api-client.ts';
import { type Bed, Browser, enroll, openBed } from './bed.ts';

const outlook = { app: 'outlook', device: 'Desk', imap: 'on', smtp: 'on' };

describe('app passwords in the portal', () => {
  let bed: Bed;
  let alice: Account;
  let code: () => Promise<string>;

  beforeEach(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    ({ code } = await enroll(bed, alice));
    bed.clock.advance(minutes);
  });
  afterEach(async () => {
    await bed.close();
  });

  const steppedUp = async (account = alice): Promise<Browser> => {
    const browser = new Browser(bed);
    const full = await bed.sessions.stepUp((await bed.sessions.startFirstFactor(account)).session);
    if (full === null) throw new Error('the session was gone');
    browser.show(full);
    return browser;
  };
  const create = async (
    browser: Browser,
    fields: Readonly<Record<string, string>> = outlook,
  ): Promise<string> => {
    const response = await browser.post('/app-passwords/new', fields);
    expect(response.statusCode).toBe(303);
    return String(response.headers.location);
  };
  const secretIn = (body: string): string | null => {
    const shown = /<code id="secret">(.*?)<\/code>/.exec(body)?.[1]?.replace(/<[^>]+>/g, '') ?? null;
    return shown !== null && parseAppPassword(Buffer.from(shown)) !== null ? shown : null;
  };

  it('shows a new one once', async () => {
    const browser = await steppedUp();
    const place = await create(browser);
    expect(place).toMatch(/^\/app-passwords\/[0-9a-f]{32}\/secret$/);
    const page = await browser.get(place);
    const secret = secretIn(page.body);
    expect(secret).toMatch(/^[a-z]{4} [a-z]{4} [a-z]{4} [a-z]{4}$/);
    expect(page.headers['cache-control']).toBe('no-store');
    expect(page.body.match(/<title>.*<\/title>/)?.[0]).not.toContain(secret);

    const again = await browser.get(place);
    expect(again.statusCode).toBe(200);
    expect(again.body).toContain('has already been shown');
    expect(secretIn(again.body)).toBeNull();
    const log = bed.log.join('');
    expect(log).not.toContain(secret);
    expect(log).not.toContain(secret?.replaceAll(' ', ''));
  });

  it('shows it in the session that made it only', async () => {
    const [mine, other] = [await steppedUp(), await steppedUp()];
    const place = await create(mine);
    expect(secretIn((await other.get(place)).body)).toBeNull();
    expect(secretIn((await mine.get(place)).body)).not.toBeNull();
  });

  it('shows it to one of two looks at once', async () => {
    const browser = await steppedUp();
    const place = await create(browser);
    const looks = await Promise.all([browser.get(place), browser.get(place)]);
    expect(looks.filter(({ body }) => secretIn(body) !== null)).toHaveLength(1);
  });

  it('forgets it after two minutes, and with the portal', async () => {
    const browser = await steppedUp();
    const place = await create(browser);
    bed.clock.advance(2 * minutes + seconds);
    expect((await browser.get(place)).body).toContain('has already been shown');
  });

  it('says what a mail app has to be told', async () => {
    const browser = await steppedUp();
    const { body } = await browser.get(await create(browser));
    for (const text of ['alice@example.com', 'mail.example.com', 'port 993, SSL/TLS', 'port 465, SSL/TLS']) {
      expect(body).toContain(text);
    }
    const sending = await browser.get(await create(browser, { app: 'other', device: 'Scanner', smtp: 'on' }));
    expect(sending.body).not.toContain('port 993, SSL/TLS</span>');
    const row = (await bed.appPasswords.list(alice.id)).find(({ label }) => label === 'Scanner');
    expect(row).toMatchObject({ scopes: ['smtp'], createdBy: 'portal' });
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ['Choose an app.', { device: 'Desk', imap: 'on' }],
    ['Enter where you use it.', { ...outlook, device: ' ' }],
    ['Choose at least one permission.', { app: 'outlook', device: 'Desk' }],
    ['Use at most 50 letters', { ...outlook, device: 'x'.repeat(51) }],
    ['Use at most 50 letters', { ...outlook, device: 'a\u202eb' }],
  ])('asks again: %s', async (text, fields) => {
    const browser = await steppedUp();
    const page = await browser.post('/app-passwords/new', fields);
    expect(page.statusCode).toBe(422);
    expect(page.body).toContain(text);
    expect(page.body).toContain('<title>Error: ');
    expect(await bed.appPasswords.list(alice.id)).toEqual([]);
  });

  it('makes ten in an hour', async () => {
    const browser = await steppedUp();
    const client = await ApiClient.open(bed, browser);
    for (let index = 0; index < 10; index += 1) {
      await client.do('/app-passwords', { label: `App ${index}`, scopes: ['imap'] });
    }
    expect((await browser.post('/app-passwords/new', outlook)).body).toContain(
      '10 app passwords within an hour',
    );
    bed.clock.advance(hours);
    expect(await create(await steppedUp())).toMatch(/secret$/);
  });

  it('needs a fresh factor to create and to revoke all, and none to revoke one', async () => {
    const browser = await steppedUp();
    const place = await create(browser);
    bed.clock.advance(5 * minutes);
    expect((await browser.post('/app-passwords/new', outlook)).headers.location).toBe('/confirm/create');
    expect((await browser.post('/app-passwords/revoke-all')).headers.location).toBe('/confirm/revoke-all');
    expect((await bed.appPasswords.list(alice.id)).map(({ state }) => state)).toEqual(['active']);
    expect((await browser.post(place.replace('secret', 'revoke'))).headers.location).toMatch(
      /\?revoked=[0-9a-f]{32}$/,
    );
    expect((await bed.appPasswords.list(alice.id)).map(({ state }) => state)).toEqual(['revoked']);

    const before = new Map(browser.cookies);
    await browser.get('/confirm/create');
    const confirmed = await browser.post('/confirm/create', { code: await code() });
    expect(confirmed.headers.location).toBe('/app-passwords/new');
    expect(browser.cookies.get('__Host-sp')).not.toBe(before.get('__Host-sp'));
    expect((await browser.get('/app-passwords/new')).statusCode).toBe(200);
    // The id known from before is over.
    browser.cookies.set('__Host-sp', before.get('__Host-sp') ?? '');
    expect((await browser.get('/app-passwords')).statusCode).toBe(401);
  });

  it('revokes all', async () => {
    const browser = await steppedUp();
    const client = await ApiClient.open(bed, browser);
    for (const label of ['Outlook', 'Phone']) await client.do('/app-passwords', { label, scopes: ['imap'] });
    const done = await browser.post('/app-passwords/revoke-all');
    expect((await browser.get(String(done.headers.location))).body).toContain(
      'All app passwords have been revoked.',
    );
    expect((await bed.appPasswords.list(alice.id)).every(({ state }) => state === 'revoked')).toBe(true);
  });

  it('praises no revocation that was not', async () => {
    const browser = await steppedUp();
    const client = await ApiClient.open(bed, browser);
    const { id } = await client.do('/app-passwords', { label: 'Outlook', scopes: ['imap'] });
    for (const query of [`revoked=${id}`, 'revoked=all', 'revoked=x', `revoked=${'0'.repeat(32)}`]) {
      expect((await browser.get(`/app-passwords?${query}`)).body).not.toContain('revoked.');
    }
  });

  it('shows labels, networks and protocols as text', async () => {
    const browser = await steppedUp();
    await create(browser, { ...outlook, app: 'other', device: '"><script>alert(1)</script>' });
    const { body } = await browser.get('/app-passwords');
    expect(body).not.toContain('<script>alert');
    expect(body).toContain('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;');
  });
});

describe('second factor in the portal', () => {
  let bed: Bed;
  let alice: Account;
  let code: () => Promise<string>;

  beforeEach(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    ({ code } = await enroll(bed, alice));
    bed.clock.advance(minutes);
  });
  afterEach(async () => {
    await bed.close();
  });

  const half = async (remoteAddress = '203.0.113.7'): Promise<Browser> => {
    const browser = new Browser(bed);
    browser.remoteAddress = remoteAddress;
    browser.show(await bed.sessions.startFirstFactor(alice));
    return browser;
  };

  it('lets one of twenty posts of one code in', async () => {
    const now = await code();
    const browsers = await Promise.all(Array.from({ length: 10 }, () => half()));
    const answers = await Promise.all(
      browsers.flatMap((browser) => [
        browser.post('/verify', { code: now }),
        browser.post('/verify', { code: now }),
      ]),
    );
    expect(answers.filter(({ headers }) => headers.location === '/app-passwords')).toHaveLength(1);
    const full = await bed.database
      .selectFrom('portal_session')
      .selectAll()
      .where('level', '=', 'full')
      .execute();
    expect(full).toHaveLength(1);
  });

  it('gives the full cookie for the half one, each with its attributes', async () => {
    const browser = await half();
    const answer = await browser.post('/verify', { code: await code() });
    const cookies = [answer.headers['set-cookie']].flat().map(String);
    expect(cookies).toHaveLength(2);
    const given =
      cookies.find((cookie) => cookie.startsWith('__Host-sp=') && !cookie.startsWith('__Host-sp=;')) ?? '';
    expect(given).toMatch(/^__Host-sp=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    expect([...browser.cookies.keys()]).toEqual(['__Host-sp']);
    await browser.get('/app-passwords');
    const left = await browser.post('/sign-out');
    expect(left.headers['clear-site-data']).toBe('"cache", "storage"');
    expect(left.headers.location).toBe('/sign-in');
    expect(browser.cookies.size).toBe(0);
    const full = bed.database.selectFrom('portal_session').selectAll().where('level', '=', 'full');
    expect(await full.execute()).toEqual([]);
  });

  it('looks at five codes of a hundred, whatever session they come from, and says until when', async () => {
    const wrong = (await code()) === '000000' ? '111111' : '000000';
    const statuses: number[] = [];
    for (let session = 0; session < 20; session += 1) {
      const browser = await half(`203.0.113.${session}`);
      for (let guess = 0; guess < 5; guess += 1) {
        const answer = await browser.post('/verify', { code: wrong });
        statuses.push(answer.statusCode);
        if (answer.statusCode === 429) {
          expect(answer.body).toContain('Try again in 15 minutes.');
          expect(Number(answer.headers['retry-after'])).toBeGreaterThan(800);
          expect(answer.body).not.toContain('That code is not right');
        }
      }
    }
    expect(statuses.filter((status) => status === 401)).toHaveLength(5);
    expect(statuses.filter((status) => status === 429)).toHaveLength(95);
  });

  it('tells of a disabled factor, and offers no new enrollment', async () => {
    const factor = await bed.database.selectFrom('second_factor').selectAll().executeTakeFirstOrThrow();
    const atOnce = { consecutive: 1, long: { windowMs: 1, guesses: 1 } };
    expect(await recordWrongGuess(bed.database, bed.guard, factor, bed.clock.now(), atOnce)).toBe(true);
    const browser = await half();
    expect((await browser.get('/')).headers.location).toBe('/verify');
    expect((await browser.get('/verify')).body).toContain('Your verification method is turned off');
    expect((await browser.post('/set-up')).headers.location).toBe('/verify');
    expect((await browser.post('/verify', { code: await code() })).statusCode).toBe(403);
  });

  it('ends every other session of the account with the first enrollment', async () => {
    const bob = await bed.account('bob@example.com');
    const [mine, other] = [new Browser(bed), new Browser(bed)];
    mine.show(await bed.sessions.startFirstFactor(bob));
    other.show(await bed.sessions.startFirstFactor(bob));
    await mine.post('/set-up/method', { method: 'totp' });
    const key = /<code id="key"[^>]*>(.*?)<\/code>/.exec((await mine.get('/set-up/app')).body)?.[1] ?? '';
    const first = await generate({
      secret: key.replace(/<[^>]+>|\s/g, ''),
      epoch: Math.floor(bed.clock.now() / 1_000),
    });
    expect((await mine.post('/set-up/app', { code: first })).headers.location).toBe('/set-up/verified');
    expect((await other.get('/')).headers.location).toBe('/sign-in');
    expect((await mine.get('/set-up/app')).headers.location).toBe('/app-passwords');
  });

  it('ends with the account', async () => {
    const browser = await half();
    await disableAccount(bed.database, bed.guard, alice.id, bed.clock.now());
    expect((await browser.get('/verify')).statusCode).toBe(401);
  });

  it('signs nobody in while the backend is down, and does not call the password wrong', async () => {
    const browser = new Browser(bed);
    const answer = await browser.post('/sign-in', {
      address: 'alice@example.com',
      password: 'correct horse 7',
    });
    expect(answer.statusCode).toBe(503);
    expect(answer.body).toContain('It may well be right.');
    expect(answer.body).not.toContain('correct horse 7');
    expect(browser.cookies.size).toBe(0);
  });

  it('makes the sixth wrong sign-in wait', async () => {
    const browser = new Browser(bed);
    // A strange domain is wrong without a backend.
    const attempt = () => browser.post('/sign-in', { address: 'eve@elsewhere.example', password: 'x' });
    for (let index = 0; index < 5; index += 1) expect((await attempt()).statusCode).toBe(401);
    const answer = await attempt();
    expect(answer.statusCode).toBe(429);
    expect(answer.headers['retry-after']).toBe('30');
    expect(answer.body).toContain('Your account is not locked');
  });
});
