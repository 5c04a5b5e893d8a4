import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadAssets } from '../../src/portal/assets.ts';
import type { Account } from '../../src/store/schema.ts';
import { minutes } from '../identity/clock.ts';
import { tester } from '../support/journal.ts';
import { type Bed, Browser, enroll, openBed, origin, portalConfig } from './bed.ts';
import { mountedRoutes } from './mounted-routes.ts';

type Level = 'anonymous' | 'first-factor' | 'enrolling' | 'full' | 'stepped-up';
const levels: readonly Level[] = ['anonymous', 'first-factor', 'enrolling', 'full', 'stepped-up'];

/** Where each route leads, by level: a status, or the place of a redirect. `:id` is one's own live app password. */
const table: readonly (readonly [route: string, ...outcomes: (number | string)[]])[] = [
  //                                       anonymous    first-factor   enrolling      full                    stepped-up
  ['GET /', '/sign-in', '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /sign-in', 200, '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['POST /sign-in', 422, 422, 422, 422, 422],
  ['GET /oidc/none/start', 404, '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /oidc/none/callback', 404, 404, 404, 404, 404],
  ['GET /oidc/none/confirm/create', '/sign-in', '/', '/', 404, 404],
  ['POST /language', '/sign-in', '/sign-in', '/sign-in', '/sign-in', '/sign-in'],
  ['POST /sign-out', 401, '/sign-in', '/sign-in', '/sign-in', '/sign-in'],
  ['GET /not-required', '/sign-in', '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /set-up', '/sign-in', '/verify', 200, '/app-passwords', '/app-passwords'],
  ['POST /set-up', 401, '/verify', '/set-up/method', '/app-passwords', '/app-passwords'],
  ['POST /set-up/code', 401, '/set-up', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /set-up/method', '/sign-in', '/verify', 200, '/app-passwords', '/app-passwords'],
  ['POST /set-up/method', 401, '/verify', 422, '/app-passwords', '/app-passwords'],
  ['GET /set-up/passkey', '/sign-in', '/verify', 200, '/app-passwords', '/app-passwords'],
  ['POST /set-up/passkey/begin', 401, '/verify', '/set-up/passkey', '/app-passwords', '/app-passwords'],
  ['POST /set-up/passkey', 401, '/verify', 422, '/app-passwords', '/app-passwords'],
  ['GET /set-up/app', '/sign-in', '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['POST /set-up/app', 401, '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /set-up/verified', '/sign-in', '/', '/', 200, 200],
  ['GET /verify', '/sign-in', 200, '/set-up', '/app-passwords', '/app-passwords'],
  ['POST /verify', 401, 401, '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /confirm/create', '/sign-in', '/', '/', 200, 200],
  ['POST /confirm/create', 401, '/', '/', 401, 401],
  ['GET /confirm/revoke-all', '/sign-in', '/', '/', 200, 200],
  ['GET /confirm/elsewhere', '/sign-in', '/', '/', 404, 404],
  ['POST /confirm/elsewhere', 401, '/', '/', 404, 404],
  ['GET /methods', '/sign-in', '/', '/', 200, 200],
  ['GET /methods/add', '/sign-in', '/', '/', '/confirm/add-method', 200],
  ['POST /methods/add', 401, '/', '/', '/confirm/add-method', 422],
  ['GET /methods/add/app', '/sign-in', '/', '/', '/confirm/add-method', '/methods/add'],
  ['POST /methods/add/app', 401, '/', '/', '/confirm/add-method', '/methods/add'],
  ['GET /methods/add/passkey', '/sign-in', '/', '/', '/confirm/add-method', 200],
  ['POST /methods/add/passkey/begin', 401, '/', '/', '/confirm/add-method', '/methods/add/passkey'],
  ['POST /methods/add/passkey', 401, '/', '/', '/confirm/add-method', 422],
  ['GET /methods/add/email', '/sign-in', '/', '/', '/confirm/add-method', 404],
  ['POST /methods/add/email/send', 401, '/', '/', '/confirm/add-method', 422],
  ['POST /methods/add/email', 401, '/', '/', '/confirm/add-method', 404],
  ['GET /help', 200, 200, 200, 200, 200],
  ['GET /help/outlook-2016-windows', 200, 200, 200, 200, 200],
  ['GET /help/outlook-2016-mac', 200, 200, 200, 200, 200],
  ['GET /help/apple-mail-mac', 200, 200, 200, 200, 200],
  ['GET /help/iphone-ipad', 200, 200, 200, 200, 200],
  ['GET /help/thunderbird', 200, 200, 200, 200, 200],
  ['GET /help/android', 200, 200, 200, 200, 200],
  ['GET /help/scanner-printer', 200, 200, 200, 200, 200],
  ['GET /help/script', 200, 200, 200, 200, 200],
  ['GET /help/other', 200, 200, 200, 200, 200],
  ['GET /apple-device', '/sign-in', '/', '/', '/confirm/apple-device', 200],
  ['POST /apple-device', 401, '/', '/', '/confirm/apple-device', 422],
  // `:id` is no link's.
  ['GET /apple-device/:id', '/sign-in', '/', '/', 404, 404],
  ['POST /apple-device/:id/cancel', 401, '/', '/', 404, 404],
  ['GET /p', 200, 200, 200, 200, 200],
  ['POST /p', 422, 422, 422, 422, 422],
  ['POST /p/profile', 410, 410, 410, 410, 410],
  // `:id` is no factor's.
  ['GET /methods/:id', '/sign-in', '/', '/', 404, 404],
  ['POST /methods/:id', 401, '/', '/', 404, 404],
  ['POST /methods/:id/primary', 401, '/', '/', 404, 404],
  ['POST /methods/:id/enable', 401, '/', '/', '/confirm/method-:id', 404],
  ['GET /methods/:id/remove', '/sign-in', '/', '/', '/confirm/remove-method-:id', 404],
  ['POST /methods/:id/remove', 401, '/', '/', '/confirm/remove-method-:id', 404],
  ['GET /recovery-codes', '/sign-in', '/', '/', 200, 200],
  ['POST /recovery-codes', 401, '/', '/', '/confirm/recovery-codes', '/recovery-codes/new'],
  ['GET /recovery-codes/new', '/sign-in', '/', '/', '/recovery-codes?shown=1', '/recovery-codes?shown=1'],
  ['POST /recovery-codes/saved', 401, '/', '/', '/app-passwords', '/app-passwords'],
  ['GET /app-passwords', '/sign-in', '/', '/', 200, 200],
  ['GET /app-passwords/new', '/sign-in', '/', '/', '/confirm/create', 200],
  ['POST /app-passwords/new', 401, '/', '/', '/confirm/create', 422],
  ['GET /app-passwords/:id/secret', '/sign-in', '/', '/', 200, 200],
  ['GET /app-passwords/:id/revoke', '/sign-in', '/', '/', 200, 200],
  [
    'POST /app-passwords/:id/revoke',
    401,
    '/',
    '/',
    '/app-passwords?revoked=:id',
    '/app-passwords?revoked=:id',
  ],
  ['GET /app-passwords/:id', '/sign-in', '/', '/', 200, 200],
  [
    'POST /app-passwords/:id/rename',
    401,
    '/',
    '/',
    '/app-passwords/:id?done=renamed',
    '/app-passwords/:id?done=renamed',
  ],
  [
    'POST /app-passwords/:id/pause',
    401,
    '/',
    '/',
    '/app-passwords/:id?done=paused',
    '/app-passwords/:id?done=paused',
  ],
  ['GET /app-passwords/:id/resume', '/sign-in', '/', '/', '/confirm/resume-:id', '/app-passwords/:id'],
  ['POST /app-passwords/:id/resume', 401, '/', '/', '/confirm/resume-:id', '/app-passwords/:id?done=resumed'],
  ['GET /app-passwords/:id/change', '/sign-in', '/', '/', '/confirm/change-:id', 200],
  ['POST /app-passwords/:id/change', 401, '/', '/', '/confirm/change-:id', '/app-passwords/:id?done=changed'],
  ['POST /banners/:id/dismiss', 401, '/', '/', 404, 404],
  ['POST /banners/dismiss-all', 401, '/', '/', '/app-passwords', '/app-passwords'],
  ['GET /activity', '/sign-in', '/', '/', 200, 200],
  ['GET /sessions', '/sign-in', '/', '/', 200, 200],
  ['POST /sessions/mail/end', 401, '/', '/', '/sessions?ended=0', '/sessions?ended=0'],
  ['POST /sessions/mail/end-all', 401, '/', '/', '/sessions?ended=0', '/sessions?ended=0'],
  ['POST /sessions/portal/end', 401, '/', '/', 404, 404],
  ['POST /sessions/portal/end-all', 401, '/', '/', '/sign-in', '/sign-in'],
  ['GET /app-passwords/revoke-all', '/sign-in', '/', '/', '/confirm/revoke-all', 200],
  ['POST /app-passwords/revoke-all', 401, '/', '/', '/confirm/revoke-all', '/app-passwords?revoked=all'],
];

/** The same for administrators; `:id` is somebody else's account. */
const administration: typeof table = [
  ['GET /administration', '/sign-in', '/', '/', 200, 200],
  ['POST /administration/accounts', 401, '/', '/', '/confirm/administer-accounts', 422],
  ['GET /administration/accounts/:id', '/sign-in', '/', '/', 200, 200],
  ['GET /administration/accounts/:id/activity', '/sign-in', '/', '/', 200, 200],
  ['GET /administration/accounts/:id/disable', '/sign-in', '/', '/', '/confirm/administer-:id', 200],
  [
    'POST /administration/accounts/:id/disable',
    401,
    '/',
    '/',
    '/confirm/administer-:id',
    '/administration/accounts/:id?done=disable',
  ],
  ['GET /administration/trail', '/sign-in', '/', '/', 200, 200],
  ['GET /administration/trail.jsonl', '/sign-in', '/', '/', 200, 200],
];

const fields: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'POST /language': { language: 'lv', to: '/sign-in' },
  'POST /sign-in': { address: '', password: '' },
  'POST /set-up/app': { code: '000000' },
  'POST /set-up/code': { code: '7KQ2-9F3M-XT4D-8HVN' },
  'POST /set-up/passkey': { answer: '{}', name: '' },
  'POST /methods/add/app': { code: '000000' },
  'POST /methods/add/passkey': { answer: '{}', name: '' },
  'POST /methods/add/email': { code: '00000000' },
  'POST /methods/add/email/send': { address: 'alice@example.net' },
  'POST /methods/:id': { name: 'Phone' },
  'POST /verify': { code: '000000' },
  'POST /confirm/create': { code: '000000' },
  'POST /apple-device': { device: '', way: 'here' },
  'POST /p': { code: '' },
  'POST /p/profile': { code: '' },
  'POST /confirm/elsewhere': { code: '000000' },
  'POST /app-passwords/:id/rename': { label: 'Laptop' },
  'POST /app-passwords/:id/change': { imap: 'on', smtp: 'on', end: 'keep' },
  'POST /sessions/mail/end': { session: 'nothing' },
  'POST /sessions/mail/end-all': { credential: 'nothing' },
  'POST /sessions/portal/end': { session: 'nothing' },
  'POST /app-passwords/new': { app: 'outlook', device: '', imap: 'on' },
  'POST /administration/accounts': { address: 'nobody' },
  'POST /administration/accounts/:id/disable': { reason: 'ticket 7' },
};

describe('levels', () => {
  let bed: Bed;
  let alice: Account;

  beforeEach(async () => {
    bed = await openBed({
      config: portalConfig({
        portal: {
          ...{ host: '127.0.0.1', port: 0, public_url: origin },
          ...{ administrators: ['ada@example.com'], administrators_see_addresses: true },
        },
      }),
    });
    alice = await bed.account('alice@example.com');
    await enroll(bed, alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const browserAt = async (level: Level, person = alice): Promise<Browser> => {
    const browser = new Browser(bed);
    if (level === 'anonymous') return browser;
    const account = level === 'enrolling' ? await bed.account('new@example.com') : person;
    const first = await bed.sessions.startFirstFactor(account);
    browser.show(first);
    if (level === 'first-factor' || level === 'enrolling') return browser;
    const full = await bed.sessions.stepUp(first.session);
    if (full === null) throw new Error('the session was gone');
    browser.cookies.clear();
    browser.show(full);
    if (level === 'full') bed.clock.advance(5 * minutes);
    return browser;
  };
  const createFor = async (account: Account, label = 'Outlook'): Promise<string> => {
    const created = await bed.appPasswords.create({
      account,
      label,
      scopes: ['imap'],
      networks: [],
      expiresInMs: null,
      createdBy: 'test',
      actor: tester,
    });
    if (created.kind !== 'created') throw new Error(created.kind);
    return created.id.toString('hex');
  };
  const visit = async (browser: Browser, route: string, id: string) => {
    const [method, path = ''] = route.split(' ');
    const url = path.replace(':id', id);
    return method === 'GET' ? await browser.get(url) : await browser.post(url, fields[route]);
  };

  it('has a row for every route', async () => {
    // The API has a table of its own (api/levels.test.ts), and what mail programs look up has tests of its own.
    const pages = mountedRoutes(bed).filter(
      (route) => !/ \/api\/|autodiscover|autoconfig|config-v1\.1\.xml|\*/.test(route),
    );
    const assets = Object.keys(loadAssets()).length;
    const rows = [...table, ...administration].filter(
      ([route]) => !/elsewhere|confirm\/revoke-all/.test(route),
    );
    expect(pages.length - assets).toBe(rows.length);
  });

  describe.each(table)('%s', (route, ...outcomes) => {
    it.each(levels.map((level, index) => [level, outcomes[index]] as const))(
      'to %s answers %p',
      async (level, outcome) => {
        const browser = await browserAt(level);
        const id = await createFor(alice);
        const response = await visit(browser, route, id);
        if (typeof outcome === 'number') {
          expect(response.statusCode).toBe(outcome);
        } else {
          expect(response.statusCode).toBe(303);
          expect(response.headers.location).toBe(outcome?.replace(':id', id));
        }
      },
    );
  });

  describe.each(administration)('%s', (route, ...outcomes) => {
    it.each(levels.map((level, index) => [level, outcomes[index]] as const))(
      'to an administrator on level %s answers %p',
      async (level, outcome) => {
        const ada = await bed.account('ada@example.com');
        await enroll(bed, ada);
        const id = alice.id.toString('hex');
        const response = await visit(await browserAt(level, ada), route, id);
        const { location } = response.headers;
        const seen = response.statusCode === 303 ? String(location).replace(id, ':id') : response.statusCode;
        expect(seen).toBe(outcome);
      },
    );

    it.each(['full', 'stepped-up'] as const)('is not there for anybody else on level %s', async (level) => {
      const { id } = await bed.account('bob@example.com');
      const response = await visit(await browserAt(level), route, id.toString('hex'));
      expect(response.statusCode).toBe(404);
      expect(response.body).not.toContain('bob@example.com');
    });
  });

  it.each(table.map(([route]) => route).filter((route) => route.includes(':id')))(
    'knows no app password of somebody else, nor one that never was: %s',
    async (route) => {
      const theirs = await createFor(await bed.account('bob@example.com'), "Bob's scanner");
      const browser = await browserAt('stepped-up');
      for (const id of [theirs, '0'.repeat(32), 'nonsense', theirs.toUpperCase(), `${theirs}0`]) {
        const response = await visit(browser, route, id);
        expect(response.statusCode).toBe(404);
        expect(response.body).not.toContain('scanner');
      }
      const row = await bed.appPasswords.find(Buffer.from(theirs, 'hex'));
      expect(row?.state).toBe('active');
    },
  );

  it('changes nothing by any GET', async () => {
    const id = await createFor(alice);
    const browser = await browserAt('stepped-up');
    const dump = async () => ({
      passwords: await bed.database.selectFrom('app_password').selectAll().execute(),
      factors: await bed.database.selectFrom('second_factor').selectAll().execute(),
      sessions: await bed.database.selectFrom('portal_session').selectAll().execute(),
    });
    const before = await dump();
    for (const [route] of table) if (route.startsWith('GET')) await visit(browser, route, id);
    expect(await dump()).toEqual(before);
  });

  it('tells who comes back too late that the session has ended', async () => {
    const browser = await browserAt('stepped-up');
    bed.clock.advance(15 * minutes);
    const page = await browser.get('/app-passwords');
    expect(page.statusCode).toBe(401);
    expect(page.body).toContain('Your session has ended');
    expect(browser.cookies.size).toBe(0);
    expect((await browser.get('/app-passwords')).headers.location).toBe('/sign-in');
  });

  it('offers nothing to an account without MFA', async () => {
    const account = await bed.account('carol@off.example');
    const browser = new Browser(bed);
    browser.show(await bed.sessions.startFirstFactor(account));
    expect((await browser.get('/')).headers.location).toBe('/not-required');
    const page = await browser.get('/not-required');
    expect(page.statusCode).toBe(200);
    expect(page.body).toContain('Multi-factor authentication is not required for your account');
    expect((await browser.post('/set-up')).headers.location).toBe('/not-required');
    expect(
      await bed.database
        .selectFrom('second_factor')
        .selectAll()
        .where('account_id', '=', account.id)
        .execute(),
    ).toEqual([]);
  });

  it('offers set-up to an account with optional MFA, in other words', async () => {
    const browser = new Browser(bed);
    browser.show(await bed.sessions.startFirstFactor(await bed.account('dora@free.example')));
    expect((await browser.get('/')).headers.location).toBe('/set-up');
    expect((await browser.get('/set-up')).body).toContain('optional for your account');
  });
});
