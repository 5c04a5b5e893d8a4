import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { auditKey, beginning, nextHead } from '../../src/credentials/audit-chain.ts';
import { verifyAudit } from '../../src/credentials/audit-verify.ts';
import { formatRecoveryCode } from '../../src/identity/second-factor/recovery-code.ts';
import { printable } from '../../src/observability/logger.ts';
import { recordWrongGuess } from '../../src/store/factor-guesses.ts';
import { addLoginEvents } from '../../src/store/login-events.ts';
import type { Account } from '../../src/store/schema.ts';
import { addStaleClients } from '../../src/store/stale-clients.ts';
import { keyRing } from '../credentials/keys.ts';
import { minutes } from '../identity/clock.ts';
import { ApiClient } from './api-client.ts';
import { type Bed, Browser, enroll, openBed, origin, portalConfig } from './bed.ts';
import { issue, markUsed, OpenSessions, signedIn } from './own-session.ts';

const portal = { host: '127.0.0.1', port: 0, public_url: origin };
const reason = 'ticket 7 <b>';

describe('administration', () => {
  let bed: Bed;
  let ada: Account;
  let alice: Account;
  let code: () => Promise<string>;
  let live: OpenSessions;
  const beds: Bed[] = [];

  const openWith = async (settings: object = {}, domain: object = { enrollment: 'open' }) => {
    live = new OpenSessions();
    bed = await openBed({
      config: portalConfig({
        portal: { ...portal, administrators: ['ada@example.com'], ...settings },
        domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, ...domain } },
        throttle: { portal: { requests_per_minute: 10_000 } },
      }),
      liveSessions: live,
    });
    beds.push(bed);
    ada = await bed.account('ada@example.com');
    alice = await bed.account('alice@example.com');
  };
  beforeEach(async () => {
    await openWith();
    ({ code } = await enroll(bed, ada));
    bed.clock.advance(minutes);
  });
  afterEach(async () => {
    for (const each of beds.splice(0)) await each.close();
  });

  const administrator = async () => await signedIn(bed, ada);
  const of = ({ id }: Account = alice) => `/administration/accounts/${id.toString('hex')}`;
  const entries = async (action?: string) => {
    const all = await bed.database
      .selectFrom('audit_entry')
      .selectAll()
      .orderBy('at')
      .orderBy('seq')
      .execute();
    return all
      .filter((each) => action === undefined || each.action === action)
      .map(({ entry, account_id }) => ({ ...JSON.parse(entry), account_id }));
  };
  const fresh = async (account = alice) =>
    await bed.database
      .selectFrom('account')
      .selectAll()
      .where('id', '=', account.id)
      .executeTakeFirstOrThrow();
  const half = async (account: Account): Promise<Browser> => {
    const browser = new Browser(bed);
    browser.show(await bed.sessions.startFirstFactor(await fresh(account)));
    return browser;
  };

  describe('S-95: who may', () => {
    it('is named by the configuration, and shown the way', async () => {
      const browser = await administrator();
      expect((await browser.get('/app-passwords')).body).toContain('href="/administration"');
      expect((await browser.get('/administration')).statusCode).toBe(200);
      const other = await signedIn(bed, alice);
      expect((await other.get('/app-passwords')).body).not.toContain('/administration');
      expect((await other.get('/administration')).statusCode).toBe(404);
    });

    it('or by the identity provider, for as long as this session', async () => {
      const browser = new Browser(bed);
      browser.show(await bed.sessions.startFull(alice, bed.clock.now(), 'administrator'));
      expect((await browser.get('/administration')).statusCode).toBe(200);
      expect((await browser.get(of(ada))).statusCode).toBe(200);
      const next = new Browser(bed);
      next.show(await bed.sessions.startFull(alice, bed.clock.now(), null));
      expect((await next.get('/administration')).statusCode).toBe(404);
    });

    it('keeps the role over a step-up, which is asked of an administrator alone', async () => {
      await enroll(bed, alice);
      bed.clock.advance(minutes);
      const browser = new Browser(bed);
      browser.show(await bed.sessions.startFull(alice, bed.clock.now() - 5 * minutes, 'administrator'));
      const asked = await browser.get(`${of(ada)}/disable`);
      expect(asked.headers.location).toBe(`/confirm/administer-${ada.id.toString('hex')}`);
      const plain = new Browser(bed);
      plain.show(await bed.sessions.startFull(alice, bed.clock.now() - 5 * minutes, null));
      for (const path of ['', '/disable', '/nonsense', '/activity']) {
        expect((await plain.get(`${of(ada)}${path}`)).statusCode).toBe(404);
      }
      expect((await plain.post(`${of(ada)}/disable`, { reason })).statusCode).toBe(404);
      expect((await plain.post('/administration/accounts', { address: 'x@example.com' })).statusCode).toBe(
        404,
      );
    });

    it('is nobody whose name was taken from the configuration, at once', async () => {
      const browser = await administrator();
      bed.config.portal.administrators.splice(0);
      expect((await browser.get('/administration')).statusCode).toBe(404);
    });
  });

  describe('S-94: what is done', () => {
    const acts: readonly (readonly [
      name: string,
      fields: Readonly<Record<string, string>>,
      action: string,
      said: string,
    ])[] = [
      ['disable', {}, 'account.disabled', 'The account is turned off.'],
      ['enable', {}, 'account.enabled', 'The account is turned on.'],
      ['mfa', { choice: 'optional' }, 'account.mfa-set', 'The MFA policy is changed.'],
      ['reset-factors', { choice: 'keep' }, 'factors.reset', 'The verification methods are reset.'],
      [
        'password-changed',
        { choice: 'revoke' },
        'account.password-changed',
        'The browser sessions are ended.',
      ],
      ['revoke-all', {}, 'app-passwords.revoked', 'All app passwords are revoked.'],
      ['end-sessions', {}, 'sessions.ended', 'The connections are ended.'],
      ['pause', { credential: ':id' }, 'app-password.paused', 'The app password is paused.'],
      ['resume', { credential: ':id' }, 'app-password.resumed', 'The app password works again.'],
      ['revoke', { credential: ':id' }, 'app-password.revoked', 'The app password is revoked.'],
    ];
    const prepare = async (name: string, given: Readonly<Record<string, string>>) => {
      await enroll(bed, alice);
      const id = await issue(bed, alice, 'Laptop');
      live.open(alice, 'a1', id);
      if (name === 'resume') {
        const actor = { kind: 'person', address: null } as const;
        await bed.appPasswords.update(alice.id, id, { state: 'paused' }, 'test', actor);
      }
      const fields = Object.entries(given).map(([key, value]) => [
        key,
        value.replace(':id', id.toString('hex')),
      ]);
      return { id, fields: Object.fromEntries(fields) as Readonly<Record<string, string>> };
    };

    it.each(acts)(
      '%s stands in the audit trail with its reason and who did it',
      async (name, given, action, said) => {
        const { fields } = await prepare(name, given);
        const browser = await administrator();
        const query = fields.credential === undefined ? '' : `?credential=${fields.credential}`;
        const page = await browser.get(`${of()}/${name}${query}`);
        expect(page.statusCode).toBe(200);
        expect(page.body).toContain(`action="${of()}/${name}"`);
        const done = await browser.post(`${of()}/${name}`, { ...fields, reason });
        expect(done.headers.location).toBe(`${of()}?done=${name}`);
        expect((await browser.get(String(done.headers.location))).body).toContain(said);
        const found = await entries(action);
        expect(found.at(-1)).toMatchObject({
          actor: {
            ...{ kind: 'administrator', id: ada.id.toString('hex'), account: 'ada@example.com' },
            address: '203.0.113.7',
          },
          account: { address: 'alice@example.com' },
          reason,
        });
      },
    );

    it.each(acts)('%s needs a reason, and what has to be said besides', async (name, given) => {
      const { fields } = await prepare(name, given);
      const browser = await administrator();
      const before = await entries();
      for (const empty of ['', ' \t\r\n', '\u0000\u200b']) {
        const page = await browser.post(`${of()}/${name}`, { ...fields, reason: empty });
        expect(page.statusCode).toBe(422);
        expect(page.body).toContain('Enter a reason.');
      }
      const long = await browser.post(`${of()}/${name}`, { ...fields, reason: 'x'.repeat(201) });
      expect(long.body).toContain('Use at most 200 characters.');
      if (fields.choice !== undefined) {
        for (const choice of [{}, { choice: 'nonsense' }]) {
          expect((await browser.post(`${of()}/${name}`, { reason, ...choice })).statusCode).toBe(422);
        }
      }
      if (fields.credential !== undefined) {
        for (const credential of ['', 'nonsense', '0'.repeat(32)]) {
          expect((await browser.post(`${of()}/${name}`, { reason, credential })).statusCode).toBe(404);
        }
      }
      expect(await entries()).toEqual(before);
    });

    it.each([...acts.map(([name]) => name), 'enrollment-code'])('%s needs a fresh factor', async (name) => {
      const { fields } = await prepare(name, { credential: ':id', choice: 'keep' });
      const browser = await administrator();
      bed.clock.advance(5 * minutes);
      const before = await entries();
      const place = `/confirm/administer-${alice.id.toString('hex')}`;
      expect((await browser.get(`${of()}/${name}`)).headers.location).toBe(place);
      expect((await browser.post(`${of()}/${name}`, { ...fields, reason })).headers.location).toBe(place);
      expect(await entries()).toEqual(before);
      await browser.get(place);
      expect((await browser.post(place, { code: await code() })).headers.location).toBe(of());
    });

    it.each([...acts.map(([name]) => name), 'enrollment-code'])(
      '%s is nothing to do to oneself',
      async (name) => {
        const browser = await administrator();
        const credential = (await issue(bed, ada, 'Own')).toString('hex');
        const own = await browser.get(of(ada));
        expect(own.body).toContain('This is your own account');
        expect(own.body).not.toContain(`${of(ada)}/${name}`);
        const before = await entries();
        expect((await browser.get(`${of(ada)}/${name}?credential=${credential}`)).statusCode).toBe(404);
        for (const choice of ['keep', 'optional']) {
          const done = await browser.post(`${of(ada)}/${name}`, { reason, choice, credential });
          expect(done.statusCode).toBe(404);
        }
        expect(await entries()).toEqual(before);
      },
    );

    it('S-67: touches no app password of a third person', async () => {
      const theirs = (await issue(bed, await bed.account('bob@example.com'), 'Third')).toString('hex');
      const browser = await administrator();
      for (const name of ['pause', 'resume', 'revoke']) {
        const page = await browser.get(`${of()}/${name}?credential=${theirs}`);
        expect(page.statusCode).toBe(404);
        expect(page.body).not.toContain('Third');
        expect((await browser.post(`${of()}/${name}`, { reason, credential: theirs })).statusCode).toBe(404);
      }
      expect((await bed.appPasswords.find(Buffer.from(theirs, 'hex')))?.state).toBe('active');
    });

    it('does what it says: disabled, policy, reset, sessions, app passwords', async () => {
      const { id } = await prepare('', {});
      const browser = await administrator();
      const person = await signedIn(bed, alice);
      const does = async (name: string, fields = {}) =>
        browser.post(`${of()}/${name}`, { reason, ...fields });
      const credential = id.toString('hex');
      await does('end-sessions');
      expect(live.ids()).toEqual([]);
      expect((await person.get('/app-passwords')).statusCode).toBe(401);
      await does('pause', { credential });
      expect((await bed.appPasswords.find(id))?.state).toBe('paused');
      await does('resume', { credential });
      expect((await bed.appPasswords.find(id))?.state).toBe('active');
      await does('mfa', { choice: 'optional' });
      expect((await fresh()).mfa).toBe('optional');
      await does('mfa', { choice: 'domain' });
      expect((await fresh()).mfa).toBeNull();
      await does('reset-factors', { choice: 'keep' });
      expect(await bed.factors.stateOf(await fresh())).toBe('none');
      expect((await bed.appPasswords.find(id))?.state).toBe('active');
      await does('reset-factors', { choice: 'revoke' });
      expect((await bed.appPasswords.find(id))?.state).toBe('revoked');
      await does('disable');
      expect((await fresh()).state).toBe('disabled');
      expect((await (await half(alice)).get('/')).headers.location).toBe('/sign-in');
      const page = await browser.get(of());
      expect(page.body).toContain('Turned off');
      expect(page.body).toContain(`${of()}/enable`);
      expect(page.body).not.toContain(`${of()}/disable"`);
      await does('enable');
      expect((await fresh()).state).toBe('active');
    });

    it('S-83: tells the person of what concerns her', async () => {
      const { id } = await prepare('', {});
      const browser = await administrator();
      await browser.post(`${of()}/revoke`, { reason, credential: id.toString('hex') });
      await browser.post(`${of()}/reset-factors`, { reason, choice: 'keep' });
      const told = await bed.database
        .selectFrom('notice')
        .select('kind')
        .where('account_id', '=', alice.id)
        .execute();
      expect(told.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(['app-password-revoked', 'factors-reset']),
      );
    });

    it('says of a session directory that is not there that it could not be done', async () => {
      const alone = await openBed({ config: bed.config });
      beds.push(alone);
      const [own, other] = [await alone.account('ada@example.com'), await alone.account('alice@example.com')];
      const browser = await signedIn(alone, own);
      const refused = await browser.post(`${of(other)}/end-sessions`, { reason });
      expect(refused.statusCode).toBe(409);
      expect(refused.body).toContain('That could not be done.');
      expect((await browser.get(of(other))).body).toContain('The connections cannot be told at the moment.');
    });

    it('is one act where two press at once, and no error', async () => {
      const { id } = await prepare('', {});
      const [one, two] = [await administrator(), await administrator()];
      const press = (browser: Browser) =>
        browser.post(`${of()}/revoke`, { reason, credential: id.toString('hex') });
      const answers = await Promise.all([press(one), press(two)]);
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([303, 303]);
      expect(await entries('app-password.revoked')).toHaveLength(1);
    });
  });

  describe('S-82: an enrollment code', () => {
    beforeEach(async () => {
      await openWith({}, { enrollment: 'code' });
    });

    it('is shown once, is in the audit trail as made, and lets the person in', async () => {
      const browser = await administrator();
      const page = await browser.post(`${of()}/enrollment-code`, { reason });
      expect(page.statusCode).toBe(200);
      expect(page.headers['cache-control']).toBe('no-store');
      const shown = /<code id="secret">(.*?)<\/code>/.exec(page.body)?.[1]?.replace(/<[^>]+>/g, '') ?? '';
      expect(shown).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
      for (const path of [of(), `${of()}/enrollment-code`, '/administration/trail']) {
        expect((await browser.get(path)).body).not.toContain(shown);
      }
      expect(bed.log.join('')).not.toContain(shown);
      const [entry] = await entries('enrollment-code.created');
      expect(entry).toMatchObject({ actor: { kind: 'administrator', account: 'ada@example.com' }, reason });
      expect(JSON.stringify(await entries())).not.toContain(shown);

      const person = await half(alice);
      expect((await person.get('/set-up')).body).toContain('action="/set-up/code"');
      expect((await person.post('/set-up/code', { code: shown })).headers.location).toBe('/set-up');
      const client = await ApiClient.open(bed, person);
      await client.enroll();
      expect((await client.get('/session')).body.level).toBe('stepped-up');
      const again = await browser.post(`${of()}/enrollment-code`, { reason });
      expect(again.statusCode).toBe(409);
      expect(again.body).toContain('has a verification method already');
    });

    it('of the API is the same, and takes the place of the one before', async () => {
      const client = await ApiClient.of(bed, ada);
      const path = `/administration/accounts/${alice.id.toString('hex')}/enrollment-code`;
      const first = await client.do(path, { reason });
      const second = await client.do(path, { reason });
      expect(second.until).toBe(new Date(bed.clock.now() + 7 * 24 * 3_600_000).toISOString());
      const person = await half(alice);
      expect((await person.post('/set-up/code', { code: first.code })).statusCode).toBe(401);
      expect((await person.post('/set-up/code', { code: second.code })).headers.location).toBe('/set-up');
    });

    it('can be made for somebody who was never here', async () => {
      const browser = await administrator();
      const made = await browser.post('/administration/accounts', { address: ' New@Example.com ' });
      const place = String(made.headers.location);
      expect((await browser.get(place)).body).toContain('new@example.com');
      expect(await entries('account.created')).toMatchObject([
        { actor: { kind: 'administrator' }, account: { address: 'new@example.com' } },
      ]);
      const again = await browser.post('/administration/accounts', { address: 'new@example.com' });
      expect(again.headers.location).toBe(place);
      expect(await entries('account.created')).toHaveLength(1);
      for (const address of ['', 'new', 'new@elsewhere.example', '"><script>@example.com']) {
        const page = await browser.post('/administration/accounts', { address });
        expect(page.statusCode).toBe(422);
        expect(page.body).toContain('Enter a full address of a domain');
        expect(page.body).not.toContain('"><script>');
      }
    });
  });

  describe('S-34: an account that SQL was made to hold', () => {
    it('can be turned off, and nothing else', async () => {
      const credential = (await issue(bed, alice, 'Laptop')).toString('hex');
      await bed.database
        .updateTable('account')
        .set({ mfa: 'off' } as never)
        .where('id', '=', alice.id)
        .execute();
      const browser = await administrator();
      expect((await browser.get('/administration')).body).toContain('Changed by hand');
      const page = await browser.get(of());
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('It can be turned off, and nothing else.');
      const offered = [...page.body.matchAll(new RegExp(`href="${of()}/([a-z-]+)`, 'g'))].map(
        ([, name]) => name,
      );
      expect(offered).toEqual(['disable']);
      const before = await entries();
      for (const [name, choice] of [
        ['enable', ''],
        ['mfa', 'required'],
        ['reset-factors', 'keep'],
        ['password-changed', 'keep'],
        ['revoke-all', ''],
        ['end-sessions', ''],
        ['enrollment-code', ''],
        ['pause', ''],
        ['revoke', ''],
      ] as const) {
        const refused = await browser.post(`${of()}/${name}`, { reason, choice, credential });
        expect([name, refused.statusCode]).toEqual([name, 409]);
      }
      expect(await entries()).toEqual(before);
      expect((await browser.post(`${of()}/disable`, { reason })).headers.location).toBe(
        `${of()}?done=disable`,
      );
      expect((await fresh()).state).toBe('disabled');
      expect(await entries('account.disabled')).toMatchObject([{ reason }]);
    });
  });

  describe('S-94: a look', () => {
    it('is entered before anything is shown, once in a quarter of an hour', async () => {
      const browser = await administrator();
      const client = await ApiClient.open(bed, browser);
      await browser.get(of());
      await browser.get(`${of()}/activity`);
      await browser.get(`/administration/trail?account=${alice.id.toString('hex')}`);
      await client.get(`/administration/accounts/${alice.id.toString('hex')}`);
      expect(await entries('account.viewed')).toMatchObject([
        {
          actor: { kind: 'administrator', account: 'ada@example.com' },
          account: { address: 'alice@example.com' },
        },
      ]);
      bed.clock.advance(5 * minutes);
      await browser.post(`/confirm/administer-${alice.id.toString('hex')}`, { code: await code() });
      await browser.get(of());
      expect(await entries('account.viewed')).toHaveLength(1);
      bed.clock.advance(10 * minutes + 1);
      await browser.get(of());
      expect(await entries('account.viewed')).toHaveLength(2);
    });

    it('is entered for each who looks, each account, and not for the own', async () => {
      const bob = await bed.account('bob@example.com');
      const [one, other] = [await administrator(), new Browser(bed)];
      other.show(await bed.sessions.startFull(bob, bed.clock.now(), 'administrator'));
      await one.get(of());
      await other.get(of());
      await one.get(of(bob));
      await one.get(of(ada));
      const seen = (await entries('account.viewed')).map(({ actor, account }) => [
        actor.account,
        account.address,
      ]);
      expect(seen).toEqual([
        ['ada@example.com', 'alice@example.com'],
        ['bob@example.com', 'alice@example.com'],
        ['ada@example.com', 'bob@example.com'],
      ]);
    });

    it('shows nothing where it cannot be entered', async () => {
      const browser = await administrator();
      await bed.database.schema.dropTable('audit_entry').execute();
      const page = await browser.get(of());
      expect(page.statusCode).toBeGreaterThanOrEqual(500);
      expect(page.body).not.toContain('alice@example.com');
    });

    it('makes no secret of the person readable', async () => {
      await enroll(bed, alice);
      const made = await bed.appPasswords.create({
        ...{ account: alice, label: 'Laptop', scopes: ['imap'], networks: [], expiresInMs: null },
        ...{ createdBy: 'portal', actor: { kind: 'person', address: null } },
      });
      if (made.kind !== 'created') throw new Error(made.kind);
      const { session } = await bed.sessions.startFirstFactor(alice);
      const started = await bed.sessions.stepUp(session);
      if (started === null) throw new Error('the session was gone');
      const peer = { address: '203.0.113.7', network: '203.0.113.7/32' };
      const codes = (await bed.factors.recoveryCodes.renew(started.session, peer)) ?? [];
      const rows = await bed.database.selectFrom('app_password').selectAll().execute();
      const factors = await bed.database.selectFrom('second_factor').selectAll().execute();
      const secrets = [
        made.secret.text(),
        ...codes.map(formatRecoveryCode),
        ...rows.map(({ phc }) => phc),
        ...factors.flatMap(({ sealed }) => (sealed === '' ? [] : [sealed])),
        ...rows.map(({ row_mac }) => row_mac.toString('hex')),
      ];
      const client = await ApiClient.of(bed, ada);
      const id = alice.id.toString('hex');
      const seen = [
        (await client.get(`/administration/accounts/${id}`)).text,
        (await client.get(`/administration/trail?account=${id}`)).text,
        (await client.browser.get(of())).body,
        (await client.browser.get(`/administration/trail?account=${id}`)).body,
      ];
      for (const secret of secrets) for (const text of seen) expect(text).not.toContain(secret);
    });
  });

  describe('S-65: what strangers wrote', () => {
    const said = '"><img src=x onerror=alert(1)>\u001b]0;x\u0007';
    /** As the doors write it down. */
    const evil = printable(said);

    it('is text on every page', async () => {
      const id = await issue(bed, alice, '<script>alert(2)</script>');
      await markUsed(bed, id, { at: bed.clock.now(), client: evil });
      live.open(alice, 'a1', id, { client: evil });
      await addLoginEvents(bed.database, [
        {
          ...{ id: Buffer.alloc(16, 1), account_id: alice.id, name: null, first_at: 1, last_at: 1, times: 1 },
          ...{ protocol: 'imap', reason: 'expired', detail: null, address: '192.0.2.9', client: evil },
          ...{ mechanism: 'PLAIN', credential_id: id },
        },
      ]);
      const browser = await administrator();
      const journal = await browser.post(`${of()}/disable`, { reason: said });
      expect(journal.statusCode).toBe(303);
      await bed.database
        .updateTable('app_password')
        .set({ state: 'revoked', revoked_at: 1 })
        .where('id', '=', id)
        .execute();
      await addStaleClients(bed.database, [
        {
          ...{ credential_id: id, first_at: bed.clock.now(), last_at: bed.clock.now(), times: 3 },
          ...{ protocol: 'imap', address: '192.0.2.9', client: evil },
        },
      ]);
      const pages = [
        of(),
        `${of()}/activity`,
        '/administration/trail',
        `/administration/trail?account=${alice.id.toString('hex')}`,
        `/administration?find=${encodeURIComponent(evil)}`,
        `/administration?find=x&after=${encodeURIComponent(evil)}`,
        `${of()}?done=${encodeURIComponent(evil)}`,
        `${of()}/revoke?credential=${id.toString('hex')}`,
      ];
      for (const path of pages) {
        const { body, statusCode } = await browser.get(path);
        expect(statusCode).toBe(200);
        expect(body).not.toContain('<img src=x');
        expect(body).not.toContain('<script>alert');
        expect(body).not.toContain('\u001b');
      }
      const { body } = await browser.get(of());
      expect(body).toContain('&lt;img src=x onerror=alert(1)&gt;');
      // The person's own pages are not an administrator's.
      expect(body).not.toContain('href="/app-passwords/');
    });
  });

  describe('S-95: where people are', () => {
    const address = '198.51.100.77';
    const prepare = async () => {
      const id = await issue(bed, alice, 'Laptop');
      await bed.database
        .updateTable('app_password')
        .set({ last_used_at: bed.clock.now(), last_used_address: address, last_used_protocol: 'imap' })
        .where('id', '=', id)
        .execute();
      live.open(alice, 'a1', id, { peerAddress: address, network: `${address}/32` });
      const gone = await issue(bed, alice, 'Old phone');
      const actor = { kind: 'person', address } as const;
      await bed.appPasswords.revoke(alice.id, gone, 'test', actor);
      await addStaleClients(bed.database, [
        {
          ...{ credential_id: gone, first_at: bed.clock.now(), last_at: bed.clock.now(), times: 3 },
          ...{ protocol: 'imap', address, client: null },
        },
      ]);
      await addLoginEvents(bed.database, [
        {
          ...{ id: Buffer.alloc(16, 1), account_id: alice.id, name: null, first_at: 1, last_at: 1, times: 1 },
          ...{ protocol: 'imap', reason: 'wrong-network', detail: null, address, client: null },
          ...{ mechanism: 'PLAIN', credential_id: id },
        },
      ]);
      const browser = await administrator();
      const client = await ApiClient.open(bed, browser);
      const id32 = alice.id.toString('hex');
      return {
        browser,
        pages: [
          (await browser.get(of())).body,
          (await browser.get(`${of()}/activity`)).body,
          (await browser.get(`/administration/trail?account=${id32}`)).body,
        ],
        answers: [
          (await client.get(`/administration/accounts/${id32}`)).text,
          (await client.get(`/administration/accounts/${id32}/activity`)).text,
          (await client.get(`/administration/trail?account=${id32}`)).text,
        ],
      };
    };

    it('is a network to an administrator, with the reason beside it', async () => {
      const { browser, pages, answers } = await prepare();
      for (const text of [...pages, ...answers]) {
        expect(text).not.toContain(address);
        expect(text).toContain('198.51.100.0/24');
      }
      expect(pages[1]).toMatch(/network/);
      expect(pages[2]).not.toContain('trail.jsonl');
      expect((await browser.get('/administration/trail.jsonl')).statusCode).toBe(404);
    });

    it('is the address where the operator says so', async () => {
      await openWith({ administrators_see_addresses: true });
      const { browser, pages, answers } = await prepare();
      for (const text of [...pages, ...answers]) expect(text).toContain(address);
      expect((await browser.get('/administration/trail.jsonl')).statusCode).toBe(200);
    });

    it('is the own business: people see their own addresses, and no log but their own', async () => {
      await prepare();
      const browser = await signedIn(bed, alice);
      expect((await browser.get('/activity')).body).toContain(address);
      const other = await signedIn(bed, await bed.account('bob@example.com'));
      expect((await other.get('/activity')).body).not.toContain(address);
    });
  });

  describe('finding accounts', () => {
    const found = (body: string) =>
      [...body.matchAll(/<h2 class="entry-name"><a href="[^"]+">([^<]+)<\/a>/g)].map(
        ([, address]) => address,
      );

    it('takes what is typed as it is, in any case', async () => {
      for (const name of ['100%off', 'under_score', 'underXscore', 'back\\slash', "o'brien"]) {
        await bed.database
          .insertInto('account')
          .values({
            ...{
              id: Buffer.from(name.padEnd(16).slice(0, 16)),
              address: `${name.toLowerCase()}@example.com`,
            },
            ...{ state: 'active', row_mac: Buffer.alloc(36), created_at: 1 },
          } as never)
          .execute();
      }
      const browser = await administrator();
      const search = async (text: string) =>
        found((await browser.get(`/administration?find=${encodeURIComponent(text)}`)).body);
      expect(await search('%')).toEqual(['100%off@example.com']);
      expect(await search('_')).toEqual(['under_score@example.com']);
      expect(await search('\\')).toEqual(['back\\slash@example.com']);
      expect(await search("'")).toEqual(['o&#39;brien@example.com']);
      expect(await search(' ALICE@ ')).toEqual(['alice@example.com']);
      expect(await search('nobody')).toEqual([]);
      expect((await browser.get('/administration?find=nobody')).body).toContain(
        'No account has this in its address.',
      );
      expect(await search('x'.repeat(5_000))).toEqual([]);
    });

    it('goes on where a page ended, to the last', async () => {
      for (let at = 0; at < 120; at += 1) await bed.account(`p${String(at).padStart(3, '0')}@example.com`);
      const browser = await administrator();
      const seen: (string | undefined)[] = [];
      let next: string | undefined = '/administration?find=p';
      let pages = 0;
      while (next !== undefined && pages < 10) {
        const { body }: { body: string } = await browser.get(next);
        seen.push(...found(body));
        next = /class="places"><a class="button" href="([^"]+)"/.exec(body)?.[1]?.replaceAll('&amp;', '&');
        pages += 1;
      }
      expect(pages).toBe(3);
      const people = seen.filter((each) => each?.startsWith('p') === true);
      expect(people).toHaveLength(120);
      expect(new Set(people).size).toBe(120);
      expect(people).toEqual(people.toSorted());
    });

    it('shows how each stands', async () => {
      const { id } = alice;
      await enroll(bed, alice);
      await markUsed(bed, await issue(bed, alice, 'Laptop'), { at: bed.clock.now(), client: null });
      const { body } = await (await administrator()).get('/administration?find=alice');
      expect(body).toContain(`href="/administration/accounts/${id.toString('hex')}"`);
      for (const text of ['App passwords: 1', 'Verification method set up', 'Last used'])
        expect(body).toContain(text);
    });

    it('shows a method that too many wrong codes turned off', async () => {
      await enroll(bed, alice);
      const factor = await bed.database
        .selectFrom('second_factor')
        .selectAll()
        .where('account_id', '=', alice.id)
        .executeTakeFirstOrThrow();
      expect((await (await administrator()).get(of())).body).toContain('<dd>Authenticator app</dd>');
      const atOnce = { consecutive: 1, long: { windowMs: 1, guesses: 1 } };
      await recordWrongGuess(bed.database, bed.guard, factor, bed.clock.now(), atOnce);
      const { body } = await (await administrator()).get(of());
      expect(body).toContain('Authenticator app (turned off after too many wrong codes)');
    });

    it.each(['nonsense', '0'.repeat(32), 'a'.repeat(33), '..%2f..'])('knows no account %s', async (id) => {
      const browser = await administrator();
      for (const path of ['', '/activity', '/disable']) {
        expect((await browser.get(`/administration/accounts/${id}${path}`)).statusCode).toBe(404);
      }
      expect((await browser.get(`/administration/trail?account=${id}`)).statusCode).toBe(404);
    });

    it('knows no act that is none', async () => {
      const browser = await administrator();
      for (const name of ['constructor', 'toString', '__proto__', 'delete']) {
        expect((await browser.get(`${of()}/${name}`)).statusCode).toBe(404);
        expect((await browser.post(`${of()}/${name}`, { reason })).statusCode).toBe(404);
      }
    });
  });

  describe('S-92: the audit trail', () => {
    it('is read page by page, of everybody or of one, and says who, what and why', async () => {
      const browser = await administrator();
      for (let at = 0; at < 60; at += 1) {
        bed.clock.advance(1);
        await browser.post(`${of()}/mfa`, {
          reason: `change ${at}`,
          choice: at % 2 === 0 ? 'optional' : 'off',
        });
      }
      const reasons: (string | undefined)[] = [];
      let next: string | undefined = `/administration/trail?account=${alice.id.toString('hex')}`;
      let pages = 0;
      while (next !== undefined && pages < 5) {
        const { body }: { body: string } = await browser.get(next);
        expect(body).toContain('Audit trail of alice@example.com');
        reasons.push(...[...body.matchAll(/Reason: (change \d+)/g)].map(([, text]) => text));
        next = /class="places"><a class="button" href="([^"]+)"/.exec(body)?.[1]?.replaceAll('&amp;', '&');
        pages += 1;
      }
      expect(pages).toBe(2);
      expect(reasons).toEqual(Array.from({ length: 60 }, (_, at) => `change ${59 - at}`));
      const all = await browser.get('/administration/trail');
      expect(all.body).toContain('Audit trail of everything');
      expect(all.body).toContain('by administrator ada@example.com');
      expect(all.body).toContain('MFA policy changed');
      // The API reads the same.
      const client = await ApiClient.open(bed, browser);
      const first = (await client.get('/administration/trail')).body;
      const second = (await client.get(`/administration/trail?before=${encodeURIComponent(first.next)}`))
        .body;
      const texts = [...first.entries, ...second.entries]
        .map(({ entry }) => entry.reason)
        .filter((text) => text !== null);
      expect(texts).toEqual(reasons);
    });

    it('shows an entry that is none as what it is', async () => {
      const browser = await administrator();
      await browser.post(`${of()}/mfa`, { reason, choice: 'off' });
      await bed.database
        .updateTable('audit_entry')
        .set({ entry: 'nonsense <b>' } as never)
        .execute();
      const page = await browser.get('/administration/trail');
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('MFA policy changed');
      const client = await ApiClient.open(bed, browser);
      expect((await client.get('/administration/trail')).body.entries[0].entry).toBeNull();
    });

    it('as a file holds what the verifier holds against the database', async () => {
      await openWith({ administrators_see_addresses: true });
      const browser = await administrator();
      await browser.post(`${of()}/mfa`, { reason, choice: 'off' });
      await browser.post(`${of()}/disable`, { reason: 'ticket 8' });
      const file = await browser.get('/administration/trail.jsonl');
      expect(file.headers['content-disposition']).toBe('attachment; filename="audit-trail.jsonl"');
      expect(file.headers['content-type']).toMatch(/^application\/jsonl/);
      const lines = file.body.trimEnd().split('\n');
      // From the file alone: each line without its head is what the next head was made of.
      const key = auditKey(keyRing(), 1);
      if (key === null) throw new Error('no key');
      let head: Buffer = beginning;
      for (const line of lines) {
        const [, entry = '', hash] = /^(.*),"head":"([0-9a-f]{64})"\}$/.exec(line) ?? [];
        head = nextHead(key, head, Buffer.from(`${entry}}`));
        expect(head.toString('hex')).toBe(hash);
      }
      const heads = lines.map((line) => {
        const { chain, seq, head: hash } = JSON.parse(line);
        return { chain, seq, head: Buffer.from(hash, 'hex') };
      });
      expect((await verifyAudit(bed.database, keyRing(), heads)).faults).toEqual([]);
      expect(lines.map((line) => JSON.parse(line).reason)).toEqual(
        expect.arrayContaining([reason, 'ticket 8']),
      );

      // Who cut the end off is found by the file.
      const last = heads.at(-1);
      if (last === undefined) throw new Error('an empty file');
      await bed.database.deleteFrom('audit_entry').where('seq', '=', last.seq).execute();
      const report = await verifyAudit(bed.database, keyRing(), heads);
      expect(report.faults.map(({ kind }) => kind)).toContain('cut-off');
    });

    it('as a file can be of one account', async () => {
      await openWith({ administrators_see_addresses: true });
      const browser = await administrator();
      await browser.post(`${of()}/mfa`, { reason, choice: 'off' });
      await browser.get(of(await bed.account('bob@example.com')));
      const file = await browser.get(`/administration/trail.jsonl?account=${alice.id.toString('hex')}`);
      const accounts = file.body
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).account.address);
      expect(new Set(accounts)).toEqual(new Set(['alice@example.com']));
      expect((await browser.get('/administration/trail.jsonl?account=nonsense')).statusCode).toBe(404);
    });
  });

  it('S-69: is not left to a session that has gone', async () => {
    const browser = await administrator();
    bed.clock.advance(15 * minutes);
    expect((await browser.get(of())).statusCode).toBe(401);
    expect(await entries('account.viewed')).toEqual([]);
  });

  it('shows neither an app password nor its likeness', async () => {
    const likeness = generateAppPassword().text();
    await issue(bed, alice, 'Laptop');
    expect((await (await administrator()).get(of())).body).not.toContain(likeness);
  });
});
