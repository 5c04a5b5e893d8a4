import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { addLoginEvents } from '../../../src/store/login-events.ts';
import type { Account, NewLoginEventRow } from '../../../src/store/schema.ts';
import { hours, minutes } from '../../identity/clock.ts';
import { SoftwareAuthenticator } from '../../identity/software-authenticator.ts';
import { ApiClient } from '../api-client.ts';
import { type Bed, Browser, enroll, openBed, origin, portalConfig } from '../bed.ts';
import { issue, OpenSessions } from '../own-session.ts';

const domain = { backend: 'office', sign_in: { method: 'imap' } };

describe('the own account by the API', () => {
  let bed: Bed;
  let alice: Account;
  let code: () => Promise<string>;
  let client: ApiClient;
  const live = new OpenSessions();
  const beds: Bed[] = [];

  const openWith = async (settings: object) => {
    const opened = await openBed({
      config: portalConfig({
        domains: { 'example.com': { ...domain, ...settings } },
        second_factors: { email_code: true },
      }),
      liveSessions: live,
    });
    beds.push(opened);
    return opened;
  };
  beforeEach(async () => {
    bed = await openWith({ enrollment: 'open' });
    alice = await bed.account('alice@example.com');
    ({ code } = await enroll(bed, alice));
    bed.clock.advance(minutes);
    client = await ApiClient.of(bed, alice);
  });
  afterEach(async () => {
    for (const each of beds.splice(0)) await each.close();
  });

  const typeOf = ({ body }: { readonly body: { readonly type?: string } }) =>
    body.type?.replace('urn:sallyport:problem:', '');
  const half = async (account = alice): Promise<ApiClient> => {
    const browser = new Browser(bed);
    browser.show(await bed.sessions.startFirstFactor(account));
    return await ApiClient.open(bed, browser);
  };

  describe('app passwords', () => {
    it('S-70: shows the secret in the answer that makes it, and never again', async () => {
      const made = await client.post('/app-passwords', { label: 'Scanner', scopes: ['smtp'] });
      expect(made.status).toBe(201);
      const { secret, ...rest } = made.body;
      expect(secret).toMatch(/^[a-z]{4}( [a-z]{4}){3}$/);
      expect((await client.get(`/app-passwords/${rest.id}`)).body).toEqual(rest);
      expect((await client.get('/app-passwords')).body).toEqual({
        appPasswords: [rest],
        most: 40,
        stale: [],
      });
      expect(rest).toMatchObject({ state: 'active', scopes: ['smtp'], networks: [], createdBy: 'portal' });
      // The page that would show it has nothing to show.
      const page = await client.browser.get(`/app-passwords/${rest.id}/secret`);
      expect(page.body).toContain('has already been shown');
      expect(bed.log.join('')).not.toContain(secret);
      const entries = await bed.database.selectFrom('audit_entry').selectAll().execute();
      expect(JSON.stringify(entries)).not.toContain(secret);
    });

    it('takes everything that a fence and an end can be, and gives it back', async () => {
      const made = await client.do('/app-passwords', {
        label: 'Reports',
        scopes: ['imap', 'smtp'],
        networks: ['192.0.2.77', '2001:db8::/32'],
        fence: { from: ['@example.com'], messagesPerHour: 20, maxBytes: 1_000_000 },
        end: { kind: 'unused-for', seconds: 7_776_000 },
      });
      expect(made).toMatchObject({
        networks: ['192.0.2.77/32', '2001:db8::/32'],
        fence: {
          ...{ from: ['@example.com'], recipientDomains: null, messagesPerHour: 20, messagesPerDay: null },
          maxBytes: 1_000_000,
        },
        maxIdleSeconds: 7_776_000,
        expiresAt: null,
      });
      const changed = await client.do(`/app-passwords/${made.id}`, {
        networks: [],
        fence: { messagesPerHour: null, recipientDomains: ['example.net'] },
        end: { kind: 'after', seconds: 86_400 },
      });
      expect(changed).toMatchObject({
        ...{ label: 'Reports', scopes: ['imap', 'smtp'], networks: [], maxIdleSeconds: null },
        fence: { from: ['@example.com'], recipientDomains: ['example.net'], messagesPerHour: null },
        expiresAt: new Date(bed.clock.now() + 24 * hours).toISOString(),
      });
      const same = await client.do(`/app-passwords/${made.id}`, {});
      expect(same).toEqual(changed);
    });

    it.each<[object, object]>([
      [{ label: ' ' }, { pointer: '#/label', code: 'missing' }],
      [{ label: 'x'.repeat(65) }, { pointer: '#/label', code: 'too-long', most: 64 }],
      [{ label: 'a\u202eb' }, { pointer: '#/label', code: 'bad-characters' }],
      [{ scopes: ['legacy-tls'] }, { pointer: '#/scopes', code: 'missing' }],
      [{ networks: ['192.0.2.0/33'] }, { pointer: '#/networks', code: 'bad-entry' }],
      [
        { networks: Array.from({ length: 33 }, (_, at) => `192.0.2.${at}`) },
        { pointer: '#/networks', code: 'too-many', most: 32 },
      ],
      [{ fence: { from: ['no address'] } }, { pointer: '#/fence/from', code: 'bad-entry' }],
      [{ fence: { maxBytes: 0 } }, { pointer: '#/fence/maxBytes', code: 'bad-number' }],
    ])('refuses %j as the page does', async (wish, error) => {
      const response = await client.post('/app-passwords', { label: 'x', scopes: ['imap'], ...wish });
      expect(response.status).toBe(422);
      expect(response.body.errors).toEqual([error]);
      expect(await bed.appPasswords.list(alice.id)).toEqual([]);
    });

    it('renames, pauses, resumes and revokes; what is revoked stays so', async () => {
      const id = (await issue(bed, alice, 'Laptop')).toString('hex');
      const place = `/app-passwords/${id}`;
      expect((await client.do(`${place}/rename`, { label: 'Desk' })).label).toBe('Desk');
      expect((await client.do(`${place}/pause`)).state).toBe('paused');
      expect((await client.do(`${place}/resume`)).state).toBe('active');
      expect((await client.do(`${place}/revoke`)).state).toBe('revoked');
      expect((await client.do(`${place}/revoke`)).state).toBe('revoked');
      for (const what of ['rename', 'pause', 'resume']) {
        expect(typeOf(await client.post(`${place}/${what}`, what === 'rename' ? { label: 'x' } : {}))).toBe(
          'revoked',
        );
      }
      expect(typeOf(await client.post(place, { scopes: ['smtp'] }))).toBe('revoked');
    });

    it('keeps to the limits of the page, and says which', async () => {
      for (let at = 0; at < 10; at += 1)
        await client.do('/app-passwords', { label: `${at}`, scopes: ['imap'] });
      const eleventh = await client.post('/app-passwords', { label: 'x', scopes: ['imap'] });
      expect(eleventh.body).toMatchObject({ status: 409, most: 10, because: 'hour' });
      expect(await client.do('/app-passwords/revoke-all')).toEqual({ revoked: 10 });
    });

    it('S-68: needs a fresh factor for what the pages need one for', async () => {
      const id = (await issue(bed, alice, 'Laptop')).toString('hex');
      bed.clock.advance(5 * minutes);
      const stale = await client.post('/app-passwords', { label: 'x', scopes: ['imap'] });
      expect(stale.body).toMatchObject({ status: 401, needs: 'stepped-up' });
      const before = new Map(client.browser.cookies);
      const state = await client.do('/second-factor/totp', { code: await code() });
      expect(state.level).toBe('stepped-up');
      expect(client.browser.cookies.get('__Host-sp')).not.toBe(before.get('__Host-sp'));
      expect((await client.do(`/app-passwords/${id}`, { scopes: ['smtp'] })).scopes).toEqual(['smtp']);
      // The id known from before is over, and the cookie is taken.
      const old = await ApiClient.open(bed);
      for (const [name, value] of before) old.browser.cookies.set(name, value);
      expect(typeOf(await old.get('/app-passwords'))).toBe('session-ended');
      expect(old.browser.cookies.size).toBe(0);
    });
  });

  describe('second factor', () => {
    it('S-75: lets one of ten posts of one code in', async () => {
      const now = await code();
      const clients = await Promise.all(Array.from({ length: 10 }, async () => half()));
      const answers = await Promise.all(
        clients.map((each) => each.post('/second-factor/totp', { code: now })),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    it('S-76: counts guesses together with those of the page', async () => {
      const wrong = (await code()) === '000000' ? '111111' : '000000';
      for (let at = 0; at < 5; at += 1) {
        const each = await half();
        if (at % 2 === 0)
          expect(typeOf(await each.post('/second-factor/totp', { code: wrong }))).toBe('wrong-code');
        else expect((await each.browser.post('/verify', { code: wrong })).statusCode).toBe(401);
      }
      const response = await (await half()).post('/second-factor/totp', { code: await code() });
      expect(typeOf(response)).toBe('throttled');
      expect(Number(response.headers['retry-after'])).toBeGreaterThan(800);
    });

    it('S-80: opens by a recovery code the enrollment of a new method, and nothing else', async () => {
      const { codes } = await client.do('/recovery-codes');
      expect(codes).toHaveLength(10);
      expect((await client.get('/methods')).body.recoveryCodes).toEqual({ left: 10, isSaved: false });
      await client.do('/recovery-codes/saved');
      expect((await client.get('/methods')).body.recoveryCodes).toEqual({ left: 10, isSaved: true });
      const lost = await half();
      expect(await lost.do('/second-factor/recovery', { code: codes[0] })).toMatchObject({
        ...{ level: 'first-factor', next: 'enrollment' },
      });
      expect(typeOf(await lost.get('/app-passwords'))).toBe('second-factor-needed');
      expect(typeOf(await lost.post('/second-factor/totp', { code: await code() }))).toBe('elsewhere-now');
      const state = (await lost.get('/enrollment')).body;
      expect(state).toMatchObject({ gate: 'open', isReplacement: true });
      await lost.enroll();
      const held = await lost.post('/app-passwords', { label: 'x', scopes: ['imap'] });
      expect(held.body).toMatchObject({ status: 403, until: state.heldUntil });
      const again = await half();
      expect(typeOf(await again.post('/second-factor/recovery', { code: codes[0] }))).toBe('wrong-code');
    });

    it('takes a passkey, once for each question', async () => {
      const key = new SoftwareAuthenticator(origin);
      const asked = await client.do('/methods/passkey/begin');
      const made = key.create(asked.options);
      await client.do('/methods/passkey', { answer: made, name: 'blue key' });
      expect(typeOf(await client.post('/methods/passkey', { answer: made, name: '' }))).toBe('question-gone');
      const { body } = await client.get('/methods');
      expect(body.methods).toMatchObject([
        { kind: 'totp' },
        { kind: 'passkey', name: 'blue key', usedAt: null },
      ]);

      const other = await half();
      const { options } = await other.do('/second-factor/passkey/begin');
      const answer = key.get(options, { counter: 1 });
      const elsewhere = await half();
      expect(typeOf(await elsewhere.post('/second-factor/passkey', { answer }))).toBe('question-gone');
      const evil = key.get(options, { origin: 'https://evil.example' });
      expect(typeOf(await other.post('/second-factor/passkey', { answer: evil }))).toBe('passkey-refused');
      const second = await other.do('/second-factor/passkey/begin');
      const state = await other.do('/second-factor/passkey', {
        answer: key.get(second.options, { counter: 2 }),
      });
      expect(state.level).toBe('stepped-up');
    });

    it('S-81: takes a code to an alternate address beside another method', async () => {
      for (const address of ['nonsense', 'alice@example.com', 'bob@example.com']) {
        const refused = await client.post('/methods/email/send', { address });
        expect(refused.body.errors).toEqual([{ pointer: '#/address', code: 'bad-value' }]);
      }
      const sent = await client.do('/methods/email/send', { address: 'alice@example.net' });
      expect(sent).toEqual({
        to: 'a…@example.net',
        until: new Date(bed.clock.now() + 10 * minutes).toISOString(),
      });
      expect(typeOf(await client.post('/methods/email', { code: '123' }))).toBe('invalid');
      await client.do('/methods/email', { code: bed.letterbox.lastCode });
      const other = await half();
      expect((await other.get('/second-factor')).body.methods).toEqual(['totp', 'email']);
      await other.do('/second-factor/email/send');
      const stranger = await half();
      const stolen = await stranger.post('/second-factor/email', { code: bed.letterbox.lastCode });
      expect(typeOf(stolen)).toBe('code-expired');
      expect((await other.do('/second-factor/email', { code: bed.letterbox.lastCode })).level).toBe(
        'stepped-up',
      );
      bed.letterbox.isDown = true;
      expect(typeOf(await (await half()).post('/second-factor/email/send'))).toBe('unavailable');
    });
  });

  describe('methods', () => {
    it('S-77: shows a key once, and no more when it is confirmed', async () => {
      const { key, uri } = await client.do('/methods/totp/begin');
      expect(key).toMatch(/^[A-Z2-7]{32}$/);
      expect(uri).toContain(key);
      for (const path of ['/methods', '/methods/offered', '/session']) {
        expect((await client.get(path)).text).not.toContain(key);
      }
      expect(typeOf(await client.post('/methods/totp', { code: '123', name: '' }))).toBe('invalid');
      expect((await client.post('/methods/totp', { code: '123456', name: 'a\u0000' })).body.errors).toEqual([
        { pointer: '#/name', code: 'bad-characters', most: 60 },
      ]);
      bed.clock.advance(10 * minutes);
      const late = await ApiClient.of(bed, alice);
      expect(typeOf(await late.post('/methods/totp', { code: '123456' }))).toBe('question-gone');
    });

    it('are arranged and removed, but for the last', async () => {
      const { options } = await client.do('/methods/passkey/begin');
      const answer = new SoftwareAuthenticator(origin).create(options);
      await client.do('/methods/passkey', { answer, name: 'key' });
      const { methods } = (await client.get('/methods')).body;
      const [app, key] = methods.map(({ id }: { id: string }) => id);
      await client.do(`/methods/${key}/rename`, { name: ' red key ' });
      await client.do(`/methods/${key}/primary`);
      expect((await client.get('/methods')).body.methods).toMatchObject([
        { id: key, name: 'red key', isPrimary: true },
        { id: app, isPrimary: false },
      ]);
      expect((await client.post(`/methods/${key}/rename`, { name: 'x'.repeat(61) })).status).toBe(422);
      await client.do(`/methods/${app}/remove`);
      expect(typeOf(await client.post(`/methods/${app}/remove`))).toBe('not-found');
      expect(typeOf(await client.post(`/methods/${key}/remove`))).toBe('last-method');
    });
  });

  describe('S-74: the first enrollment', () => {
    it('needs the code where the operator asks for one', async () => {
      bed = await openWith({ enrollment: 'code' });
      alice = await bed.account('alice@example.com');
      const made = await bed.factors.enrollmentCodes.create(alice.id, { kind: 'operator', user: 'root' });
      const first = await half();
      expect((await first.get('/enrollment')).body).toMatchObject({ gate: 'code', methods: [] });
      for (const path of ['/enrollment/totp/begin', '/enrollment/passkey/begin']) {
        expect(typeOf(await first.post(path))).toBe('enrollment-code-needed');
      }
      expect(typeOf(await first.post('/enrollment/totp', { code: '000000' }))).toBe('enrollment-code-needed');
      expect(typeOf(await first.post('/enrollment/code', { code: '7KQ2-9F3M-XT4D-8HVN' }))).toBe(
        'wrong-code',
      );
      expect(typeOf(await first.post('/enrollment/code', { code: 'short' }))).toBe('invalid');
      const state = await first.do('/enrollment/code', { code: made?.secret.text() });
      expect(state).toMatchObject({ level: 'first-factor', next: 'enrollment' });
      await first.enroll();
      expect((await first.get('/session')).body.level).toBe('stepped-up');
    });

    it('is closed elsewhere than in the networks, and says so', async () => {
      bed = await openWith({ enrollment: 'network', enrollment_networks: ['10.0.0.0/8'] });
      alice = await bed.account('alice@example.com');
      const outside = await half();
      expect((await outside.get('/enrollment')).body).toMatchObject({ gate: 'closed', because: 'network' });
      expect((await outside.post('/enrollment/totp/begin')).body).toMatchObject({
        status: 403,
        because: 'network',
      });
      outside.browser.remoteAddress = '10.1.2.3';
      await outside.enroll();
    });
  });

  describe('what happened', () => {
    it('S-95: tells sign-ins and refusals of the own account, page by page', async () => {
      const bob = await bed.account('bob@example.com');
      const event = (account: Account, at: number): NewLoginEventRow => ({
        ...{ id: Buffer.alloc(16, at + (account === bob ? 128 : 0)), account_id: account.id, name: null },
        ...{ first_at: at, last_at: at, times: 1, protocol: 'imap', detail: null },
        ...{ reason: at % 2 === 0 ? null : 'expired', address: '192.0.2.9', client: '<b>' },
        ...{ mechanism: 'PLAIN', credential_id: null },
      });
      await addLoginEvents(bed.database, [
        ...Array.from({ length: 60 }, (_, at) => event(alice, at)),
        ...Array.from({ length: 60 }, (_, at) => event(bob, at)),
      ]);
      const first = (await client.get('/activity')).body;
      expect(first.events).toHaveLength(50);
      expect(first.events[0]).toEqual({
        ...{ firstAt: new Date(59).toISOString(), lastAt: new Date(59).toISOString(), times: 1 },
        ...{ protocol: 'imap', reason: 'expired', address: '192.0.2.9', client: '<b>', credential: null },
      });
      const second = (await client.get(`/activity?after=${first.next}`)).body;
      expect(second.events).toHaveLength(10);
      expect(second.next).toBeNull();
      expect((await client.get('/activity?after=nonsense')).body).toEqual(first);
    });

    it('S-67: tells and ends connections of the own account alone', async () => {
      const bob = await bed.account('bob@example.com');
      const [mine, theirs] = [await issue(bed, alice, 'Laptop'), await issue(bed, bob, 'Phone')];
      live.open(alice, 'a1', mine);
      live.open(alice, 'a2', mine);
      live.open(bob, 'b1', theirs);
      const { sessions, isPartial } = (await client.get('/mail-sessions')).body;
      expect(sessions.map(({ id }: { id: string }) => id)).toEqual(['a1', 'a2']);
      expect(isPartial).toBe(false);
      expect(await client.do('/mail-sessions/end', { session: 'b1' })).toEqual({ ended: 0 });
      expect(await client.do('/mail-sessions/end', { session: 'a1' })).toEqual({ ended: 1 });
      const place = `/app-passwords/${mine.toString('hex')}/end-sessions`;
      expect(await client.do(place)).toEqual({ ended: 1 });
      expect(typeOf(await client.post(`/app-passwords/${theirs.toString('hex')}/end-sessions`))).toBe(
        'not-found',
      );
      expect(live.ids()).toEqual(['b1']);
    });

    it('tells and ends the sessions of browsers', async () => {
      const other = await ApiClient.of(bed, alice);
      const { sessions } = (await client.get('/portal-sessions')).body;
      expect(sessions.slice(0, 2)).toMatchObject([
        { level: 'full', isThisOne: true },
        { level: 'full', isThisOne: false },
      ]);
      await client.do(`/portal-sessions/${sessions[1].id}/end`);
      expect(typeOf(await other.get('/app-passwords'))).toBe('session-ended');
      const third = await ApiClient.of(bed, alice);
      const left = await client.post('/session/end-all');
      expect(left.headers['clear-site-data']).toBe('"cache", "storage"');
      expect(client.browser.cookies.size).toBe(0);
      expect(typeOf(await third.get('/app-passwords'))).toBe('session-ended');
    });

    it('S-83: tells what was done to the account until it is dismissed', async () => {
      await client.do('/app-passwords', { label: 'Laptop', scopes: ['imap'] });
      const { notices } = (await client.get('/notices')).body;
      expect(notices.map(({ kind }: { kind: string }) => kind).toSorted()).toEqual([
        'app-password-created',
        'factor-added',
      ]);
      await client.do(`/notices/${notices[0].id}/dismiss`);
      expect((await client.get('/notices')).body.notices).toEqual([notices[1]]);
      await client.do('/notices/dismiss-all');
      expect((await client.get('/notices')).body.notices).toEqual([]);
    });

    it('S-83: tells neither an alternate address in full nor where an administrator sits', async () => {
      await bed.journal.record(bed.database, {
        account: alice,
        actor: {
          kind: 'administrator',
          accountId: Buffer.alloc(16),
          account: 'admin@example.com',
          address: '198.51.100.9',
        },
        event: { action: 'alternate-address.changed', old: 'alice.private@old.example', new: null },
      });
      const { notices } = (await client.get('/notices')).body;
      const [{ facts }] = notices.filter(
        ({ kind }: { kind: string }) => kind === 'alternate-address-changed',
      );
      expect(facts).toEqual({ by: 'administrator', from: null, old: 'a…@old.example', new: null });
    });
  });

  it('S-71: makes a link for another device, which works once and is not shown again', async () => {
    for (const [device, error] of [
      [' ', 'missing'],
      ['x'.repeat(51), 'bad-characters'],
      ['a\u0007', 'bad-characters'],
    ]) {
      expect((await client.post('/profile-links', { device })).body.errors[0].code).toBe(error);
    }
    const made = await client.do('/profile-links', { device: 'iPad' });
    expect(made.link).toMatch(/^https:\/\/mail\.example\.com:8443\/p#[A-Za-z0-9_-]{43}$/);
    const place = `/profile-links/${made.id}`;
    expect((await client.get(place)).body).toMatchObject({ device: 'iPad', state: 'open', credential: null });
    expect((await client.get(place)).text).not.toContain(made.link.split('#')[1]);
    const device = new Browser(bed);
    const token = made.link.split('#')[1];
    expect((await device.post('/p/profile', { code: token })).headers['content-type']).toContain('aspen');
    const used = (await client.get(place)).body;
    expect(used).toMatchObject({ state: 'used', usedAddress: '203.0.113.7' });
    expect((await client.get(`/app-passwords/${used.credential}`)).body.label).toBe('iPad');

    const second = await client.do('/profile-links', { device: 'iPhone' });
    await client.do(`/profile-links/${second.id}/cancel`);
    const cancelled = await device.post('/p/profile', { code: second.link.split('#')[1] });
    expect(cancelled.statusCode).toBe(410);
  });
});
