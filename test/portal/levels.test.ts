import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Account } from '../../src/store/schema.ts';
import { minutes } from '../identity/clock.ts';
import { type Bed, Browser, enroll, openBed } from './bed.ts';

type Level = 'anonymous' | 'first-factor' | 'enrolling' | 'full' | 'stepped-up';
const levels: readonly Level[] = ['anonymous', 'first-factor', 'enrolling', 'full', 'stepped-up'];

/** Where each route leads, by level: a status, or the place of a redirect. `:id` is one's own live app password. */
const table: readonly (readonly [route: string, ...outcomes: (number | string)[]])[] = [
  //                                       anonymous    first-factor   enrolling      full                    stepped-up
  ['GET /', '/sign-in', '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /sign-in', 200, '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['POST /sign-in', 422, 422, 422, 422, 422],
  ['POST /sign-out', 401, '/sign-in', '/sign-in', '/sign-in', '/sign-in'],
  ['GET /not-required', '/sign-in', '/verify', '/set-up', '/app-passwords', '/app-passwords'],
  ['GET /set-up', '/sign-in', '/verify', 200, '/app-passwords', '/app-passwords'],
  ['POST /set-up', 401, '/verify', '/set-up/app', '/app-passwords', '/app-passwords'],
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
  ['GET /app-passwords/revoke-all', '/sign-in', '/', '/', '/confirm/revoke-all', 200],
  ['POST /app-passwords/revoke-all', 401, '/', '/', '/confirm/revoke-all', '/app-passwords?revoked=all'],
];

const fields: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'POST /sign-in': { address: '', password: '' },
  'POST /set-up/app': { code: '000000' },
  'POST /verify': { code: '000000' },
  'POST /confirm/create': { code: '000000' },
  'POST /confirm/elsewhere': { code: '000000' },
  'POST /app-passwords/new': { app: 'outlook', device: '', imap: 'on' },
};

describe('levels', () => {
  let bed: Bed;
  let alice: Account;

  beforeEach(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    await enroll(bed, alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const browserAt = async (level: Level): Promise<Browser> => {
    const browser = new Browser(bed);
    if (level === 'anonymous') return browser;
    const account = level === 'enrolling' ? await bed.account('new@example.com') : alice;
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
    const mounted =
      bed.app.printRoutes({ commonPrefix: false, includeHooks: false }).match(/\((GET|POST)[^)]*\)/g) ?? [];
    const count = mounted.reduce((sum, methods) => sum + methods.split(',').length, 0);
    const assets = 3;
    const rows = table.filter(([route]) => !/elsewhere|confirm\/revoke-all/.test(route));
    expect(count - assets).toBe(rows.length);
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
