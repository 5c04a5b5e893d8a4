import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Account } from '../../src/store/schema.ts';
import { hours, minutes, seconds } from '../identity/clock.ts';
import { type Bed, Browser, enroll, openBed, origin } from './bed.ts';
import { issue, OpenSessions, signedIn } from './own-session.ts';

describe('sessions page', () => {
  let bed: Bed;
  let alice: Account;
  let bob: Account;
  let open: OpenSessions;

  beforeEach(async () => {
    open = new OpenSessions();
    bed = await openBed({ liveSessions: open });
    alice = await bed.account('alice@example.com');
    bob = await bed.account('bob@example.com');
  });
  afterEach(async () => {
    await bed.close();
  });

  describe('mail apps', () => {
    it('are listed by app password, with what they run on', async () => {
      const id = await issue(bed, alice, 'Desk');
      open.open(alice, 's1', id);
      open.open(alice, 's2', id, { protocol: 'smtp', security: 'legacy-tls', client: '<b>x</b>' });
      open.open(alice, 's3', Buffer.alloc(16, 9), { state: 'ending' });
      const { body } = await (await signedIn(bed, alice)).get('/sessions');
      expect(body).toContain(`<a href="/app-passwords/${id.toString('hex')}">Desk</a>`);
      expect(body).toContain('Thunderbird 128.4');
      expect(body).toContain('old encryption');
      expect(body).toContain('&lt;b&gt;x&lt;/b&gt;');
      expect(body).toContain('An app password that no longer exists');
      expect(body.match(/action="\/sessions\/mail\/end"/g)).toHaveLength(2);
    });

    it('are ended one by one, or all of an app password', async () => {
      const [desk, phone] = [await issue(bed, alice, 'Desk'), await issue(bed, alice, 'Phone')];
      for (const name of ['s1', 's2', 's3']) open.open(alice, name, desk);
      open.open(alice, 's4', phone);
      const browser = await signedIn(bed, alice);
      bed.clock.advance(10 * minutes);
      const one = await browser.post('/sessions/mail/end', { session: 's2' });
      expect(open.ids()).toEqual(['s1', 's3', 's4']);
      expect((await browser.get(String(one.headers.location))).body).toContain(
        'One connection has been closed.',
      );
      const again = await browser.post('/sessions/mail/end', { session: 's2' });
      expect((await browser.get(String(again.headers.location))).body).toContain('was closed already');
      await browser.post('/sessions/mail/end-all', { credential: desk.toString('hex') });
      expect(open.ids()).toEqual(['s4']);
      expect((await bed.appPasswords.find(desk))?.state).toBe('active');
    });

    it('S-67: of somebody else are neither seen nor ended', async () => {
      const theirs = await issue(bed, bob, 'Scanner of Bob');
      open.open(bob, 'theirs', theirs);
      const browser = await signedIn(bed, alice);
      expect((await browser.get('/sessions')).body).not.toContain('Bob');
      await browser.post('/sessions/mail/end', { session: 'theirs' });
      await browser.post('/sessions/mail/end-all', { credential: theirs.toString('hex') });
      expect(open.ids()).toEqual(['theirs']);
    });

    it('says where not every node could be asked', async () => {
      open.silent = ['two'];
      const browser = await signedIn(bed, alice);
      expect((await browser.get('/sessions')).body).toContain('Not every server could be asked');
    });

    it('says that it cannot tell where nothing tells it', async () => {
      const other = await openBed();
      const browser = await signedIn(other, await other.account('a@example.com'));
      expect((await browser.get('/sessions')).body).toContain('cannot be told right now');
      await other.close();
    });
  });

  describe('these pages', () => {
    it('S-69: are listed with this browser first, and another is ended', async () => {
      const other = await signedIn(bed, alice);
      bed.clock.advance(minutes);
      const browser = await signedIn(bed, alice);
      const { body } = await browser.get('/sessions');
      expect(body.indexOf('This browser')).toBeLessThan(body.indexOf('Another browser'));
      const session =
        /portal\/end"><input[^>]+><input type="hidden" name="session" value="([0-9a-f]{32})"/.exec(body)?.[1];
      expect(session).toBeDefined();
      const answer = await browser.post('/sessions/portal/end', { session: session ?? '' });
      expect(answer.headers.location).toBe('/sessions?ended=browser');
      expect((await other.get('/app-passwords')).statusCode).toBe(401);
      expect((await browser.get('/app-passwords')).statusCode).toBe(200);
    });

    it('S-69: that are over are not listed', async () => {
      await signedIn(bed, alice);
      bed.clock.advance(15 * minutes);
      const browser = await signedIn(bed, alice);
      expect((await browser.get('/sessions')).body).not.toContain('Another browser');
    });

    it('S-59: show nothing that could be signed in with', async () => {
      const other = await signedIn(bed, alice);
      const browser = await signedIn(bed, alice);
      const { body } = await browser.get('/sessions');
      for (const cookie of [...other.cookies.values(), ...browser.cookies.values()]) {
        expect(body).not.toContain(cookie);
      }
      const rows = await bed.database.selectFrom('portal_session').selectAll().execute();
      for (const { id_hash, csrf } of rows) {
        expect(body).not.toContain(id_hash.toString('hex'));
        const thief = new Browser(bed);
        for (const guess of [id_hash.toString('base64url'), id_hash.toString('hex'), csrf]) {
          thief.cookies.set('__Host-sp', guess);
          expect((await thief.get('/app-passwords')).statusCode).not.toBe(200);
        }
      }
    });

    it('S-67: of somebody else cannot be ended', async () => {
      const theirs = await signedIn(bed, bob);
      const { id_hash } = await bed.database
        .selectFrom('portal_session')
        .selectAll()
        .executeTakeFirstOrThrow();
      const browser = await signedIn(bed, alice);
      for (const session of [id_hash.toString('hex', 0, 16), id_hash.toString('hex'), '', '0'.repeat(32)]) {
        expect((await browser.post('/sessions/portal/end', { session })).statusCode).toBe(404);
      }
      expect((await theirs.get('/app-passwords')).statusCode).toBe(200);
    });

    it('S-69: are all ended by signing out everywhere, here too, and of nobody else', async () => {
      const theirs = await signedIn(bed, bob);
      const half = new Browser(bed);
      half.show(await bed.sessions.startFirstFactor(alice));
      const [other, browser] = [await signedIn(bed, alice), await signedIn(bed, alice)];
      const kept = browser.cookies.get('__Host-sp') ?? '';
      const answer = await browser.post('/sessions/portal/end-all');
      expect(answer.headers.location).toBe('/sign-in');
      expect(browser.cookies.size).toBe(0);
      expect(await bed.sessions.find('full', kept)).toBeNull();
      for (const each of [half, other]) expect((await each.get('/verify')).statusCode).toBe(401);
      expect((await theirs.get('/app-passwords')).statusCode).toBe(200);
    });
  });
});

describe('session limits in the pages', () => {
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

  it('S-69: ends after fifteen minutes without a request, and the next page says so', async () => {
    const browser = await signedIn(bed, alice);
    bed.clock.advance(15 * minutes - seconds);
    expect((await browser.get('/app-passwords')).statusCode).toBe(200);
    bed.clock.advance(15 * minutes);
    const page = await browser.get('/app-passwords');
    expect(page.statusCode).toBe(401);
    expect(page.body).toContain('Your session has ended');
    expect(browser.cookies.size).toBe(0);
  });

  it('S-69: ends after eight hours, however busy', async () => {
    const browser = await signedIn(bed, alice);
    for (let spent = 0; spent < 8 * hours - 10 * minutes; spent += 10 * minutes) {
      bed.clock.advance(10 * minutes);
      expect((await browser.get('/activity')).statusCode).toBe(200);
    }
    bed.clock.advance(10 * minutes);
    expect((await browser.get('/activity')).statusCode).toBe(401);
  });

  it('S-69: lets the eleventh browser push out the first', async () => {
    const browsers: Browser[] = [];
    for (let count = 0; count < 11; count += 1) {
      browsers.push(await signedIn(bed, alice));
      bed.clock.advance(seconds);
    }
    expect((await browsers[0]?.get('/sessions'))?.statusCode).toBe(401);
    expect((await browsers[1]?.get('/sessions'))?.statusCode).toBe(200);
  });

  it('says when the session ends: later after each request, and not beyond eight hours (WCAG 2.2.1)', async () => {
    const left = (body: string) => Number(/data-session-left="(\d+)"/.exec(body)?.[1]);
    const browser = await signedIn(bed, alice);
    const { body } = await browser.get('/app-passwords');
    expect(left(body)).toBe(15 * 60);
    expect(body).toMatch(/You are signed out at \d\d:\d\d unless you go on\./);
    for (let spent = 0; spent < 8 * hours - 10 * minutes; spent += 10 * minutes) {
      bed.clock.advance(10 * minutes);
      await browser.get('/app-passwords');
    }
    const last = (await browser.get('/app-passwords')).body;
    expect(left(last)).toBe(10 * 60);
    expect(last).toContain('then sign in again');
    expect(last).toContain('data-session-final');
    expect((await new Browser(bed).get('/sign-in')).body).not.toContain('data-session-left');
  });

  it('S-59: gives a new id at every change of level, and takes none from the browser', async () => {
    const browser = new Browser(bed);
    const fixed = 'F'.repeat(43);
    browser.cookies.set('__Host-sp', fixed);
    browser.cookies.set('__Host-sp-pre', fixed);
    browser.show(await bed.sessions.startFirstFactor(alice));
    const half = browser.cookies.get('__Host-sp-pre');
    await browser.get('/verify');
    await browser.post('/verify', { code: await code() });
    const full = browser.cookies.get('__Host-sp');
    expect(full).not.toBe(fixed);
    expect(full).not.toBe(half);
    bed.clock.advance(minutes);
    await browser.get('/confirm/create');
    await browser.post('/confirm/create', { code: await code() });
    expect(browser.cookies.get('__Host-sp')).not.toBe(full);
    for (const [name, value] of [
      ['__Host-sp', full],
      ['__Host-sp-pre', half],
      ['__Host-sp', fixed],
    ] as const) {
      const old = new Browser(bed);
      old.cookies.set(name, value ?? '');
      expect((await old.get('/app-passwords')).statusCode).toBe(401);
    }
  });

  it('S-70: no page with anything of the account may be stored', async () => {
    const browser = await signedIn(bed, alice);
    const id = (await issue(bed, alice, 'Desk')).toString('hex');
    for (const path of [
      '/app-passwords',
      `/app-passwords/${id}`,
      '/app-passwords/new',
      '/activity',
      '/sessions',
    ]) {
      expect((await browser.get(path)).headers['cache-control']).toBe('no-store');
    }
    const left = await browser.post('/sign-out');
    expect(left.headers['clear-site-data']).toBe('"cache", "storage"');
  });

  it.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/%2fevil.example',
    'javascript:alert(1)',
    '/app-passwords/../../evil',
    '/app-passwords\r\nSet-Cookie: a=b',
    '/sign-in?x=//evil.example',
    '/sign-out',
  ])('S-62: the language switch leads to no place but a page: %p', async (to) => {
    const answer = await new Browser(bed).post('/language', { language: 'lv', to });
    expect(answer.statusCode).toBe(303);
    expect(answer.headers.location).toBe('/');
  });

  it('S-62: every link and every place of a form stays here', async () => {
    const browser = await signedIn(bed, alice);
    const id = (await issue(bed, alice, 'Desk')).toString('hex');
    const spoofed = { 'x-forwarded-host': 'evil.example', 'x-original-url': '//evil.example', origin };
    for (const path of ['/app-passwords', `/app-passwords/${id}`, '/activity', '/sessions', '/sign-in']) {
      const { body } = await browser.get(path, spoofed);
      expect(body).not.toContain('evil.example');
      for (const [, target] of body.matchAll(/(?:href|action|src)="([^"]*)"/g))
        expect(target).toMatch(/^[/#](?!\/)/);
    }
  });
});
