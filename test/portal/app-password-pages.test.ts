import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Account } from '../../src/store/schema.ts';
import { addStaleClients } from '../../src/store/stale-clients.ts';
import { days, hours, minutes } from '../identity/clock.ts';
import { type Bed, type Browser, enroll, openBed, portalConfig } from './bed.ts';
import { issue, markUsed, OpenSessions, signedIn } from './own-session.ts';

describe('pages of app passwords', () => {
  let bed: Bed;
  let alice: Account;
  let open: OpenSessions;
  let code: () => Promise<string>;
  let browser: Browser;

  beforeEach(async () => {
    open = new OpenSessions();
    bed = await openBed({ liveSessions: open });
    alice = await bed.account('alice@example.com');
    ({ code } = await enroll(bed, alice));
    bed.clock.advance(minutes);
    browser = await signedIn(bed, alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const place = (id: Buffer): string => `/app-passwords/${id.toString('hex')}`;
  const textOf = async (url: string): Promise<string> => (await browser.get(url)).body;

  describe('list', () => {
    it('says when, from where and with what each was used, and that a new one works', async () => {
      const old = await issue(bed, alice, 'Desk');
      bed.clock.advance(2 * days);
      const fresh = await issue(bed, alice, 'Laptop');
      await markUsed(bed, old, { at: bed.clock.now() - 3 * hours, client: 'Outlook 16.0' });
      await markUsed(bed, fresh, { at: bed.clock.now() - 5 * minutes, client: 'Thunderbird 128' });
      browser = await signedIn(bed, alice);
      const body = await textOf('/app-passwords');
      expect(body).toContain('Last used 3 hours ago, IMAP, from 192.0.2.14, Outlook 16.0');
      expect(body).toContain('It works: Thunderbird 128 signed in 5 minutes ago.');
      expect(body).not.toContain('It works: Outlook');
    });

    it('warns of a device that still sends what was ended', async () => {
      const id = await issue(bed, alice, 'Old phone');
      await bed.appPasswords.revoke(alice.id, id, 'test', { kind: 'gateway' });
      bed.clock.advance(days);
      const seen = { first_at: bed.clock.now(), protocol: 'imap', address: '192.0.2.1' };
      await addStaleClients(bed.database, [
        { ...seen, credential_id: id, last_at: bed.clock.now() - hours, times: 96, client: 'iPhone Mail' },
      ]);
      browser = await signedIn(bed, alice);
      expect(await textOf('/app-passwords')).toMatch(
        /iPhone Mail \(192\.0\.2\.1\) still sends “Old phone”, which ended on .+96 times, last 1 hour ago/,
      );
      bed.clock.advance(8 * days);
      browser = await signedIn(bed, alice);
      expect(await textOf('/app-passwords')).not.toContain('still sends');
    });

    it.each([
      [34, null, true],
      [35, 'You have 35 of 40 app passwords.', true],
      [40, 'You have reached the limit of 40 app passwords.', false],
    ])('with %i of 40', async (count, text, canCreate) => {
      for (let index = 0; index < count; index += 1) await issue(bed, alice, `Device ${index}`);
      const body = await textOf('/app-passwords');
      if (text === null) expect(body).not.toMatch(/of 40 app passwords/);
      else expect(body).toContain(text);
      expect(body.includes('href="/app-passwords/new"')).toBe(canCreate);
    });

    it('S-83: tells what was done to the account until it is dismissed, to its owner alone', async () => {
      const id = await issue(bed, alice, 'Planted', { actor: { kind: 'person', address: '198.51.100.66' } });
      const body = await textOf('/app-passwords');
      expect(body).toContain('The app password “Planted” was created from 198.51.100.66.');
      const banner = /action="(\/banners\/[0-9a-f]{32}\/dismiss)"/.exec(body)?.[1] ?? 'none';
      const bob = await signedIn(bed, await bed.account('bob@example.com'));
      expect((await bob.get('/app-passwords')).body).not.toContain('Planted');
      expect((await bob.post(banner)).statusCode).toBe(404);
      expect(await textOf('/app-passwords')).toContain('The app password “Planted” was created');
      expect((await browser.post(banner)).headers.location).toBe('/app-passwords');
      expect(await textOf('/app-passwords')).not.toContain('was created from');
      expect((await bed.appPasswords.find(id))?.state).toBe('active');
    });
  });

  describe('create', () => {
    const fields = { app: 'other', device: 'Scanner', smtp: 'on' };

    it('asks for the device first and says whom it is for', async () => {
      const body = await textOf('/app-passwords/new');
      expect(body).toContain('Only the device you are setting up needs this.');
      expect(body).toContain('<datalist id="devices">');
      expect(body).not.toMatch(/<details class="more"[^>]* open/);
    });

    it('keeps the options folded that nobody has touched, also after a mistake elsewhere', async () => {
      const page = await browser.post('/app-passwords/new', { ...fields, device: '' });
      expect(page.statusCode).toBe(422);
      expect(page.body).not.toMatch(/<details class="more"[^>]* open/);
      expect(page.body).toMatch(/value="never" checked/);
    });

    it('offers what something listens for', async () => {
      expect(await textOf('/app-passwords/new')).not.toContain('POP3');
      const listen = [
        { door: 'pop3', port: 995, tls: 'implicit' },
        { door: 'smtp', port: 465, tls: 'implicit', legacy_tls: true },
      ];
      const other = await openBed({ config: portalConfig({ listen }) });
      const { body } = await (await signedIn(other, await other.account('a@example.com'))).get(
        '/app-passwords/new',
      );
      expect(body).toContain('Read mail (POP3)');
      expect(body).toContain('old encryption');
      expect(body).not.toContain('Read mail (IMAP)');
      await other.close();
    });

    it('keeps every option that was chosen', async () => {
      const answer = await browser.post('/app-passwords/new', {
        ...fields,
        end: '30d',
        networks: '192.0.2.7/24\r\n2001:db8::1',
        from: 'Alice@Example.com, @example.com',
        recipient_domains: 'example.com',
        messages_per_hour: '50',
        messages_per_day: ' 400 ',
      });
      expect(answer.statusCode).toBe(303);
      const [row] = await bed.appPasswords.list(alice.id);
      expect(row).toMatchObject({
        label: 'Scanner',
        scopes: ['smtp'],
        networks: ['192.0.2.0/24', '2001:db8::1/128'],
        notAfter: bed.clock.now() + 30 * days,
        fence: {
          from: ['@example.com', 'Alice@example.com'.toLowerCase()],
          recipientDomains: ['example.com'],
          messagesPerHour: 50,
          messagesPerDay: 400,
        },
      });
      await browser.post('/app-passwords/new', { ...fields, device: 'Idle', end: 'unused-90d' });
      const idle = (await bed.appPasswords.list(alice.id)).find(({ label }) => label === 'Idle');
      expect(idle).toMatchObject({ notAfter: null, maxIdleMs: 90 * days });
    });

    it.each<[string, Readonly<Record<string, string>>]>([
      ['“office” is not a network.', { networks: '192.0.2.0/24\noffice' }],
      ['“192.0.2.0/33” is not a network.', { networks: '192.0.2.0/33' }],
      ['“0300.0.2.1” is not a network.', { networks: '0300.0.2.1' }],
      [
        'Enter at most 32 lines.',
        { networks: Array.from({ length: 33 }, (_, n) => `192.0.2.${n}`).join('\n') },
      ],
      ['“not an@address” is not', { from: 'not&#an@address'.replace('&#', ' ') }],
      ['is not a domain', { recipient_domains: 'exa_mple..com' }],
      ['Enter a whole number of 1 or more.', { messages_per_hour: '0' }],
      ['Enter a whole number of 1 or more.', { messages_per_day: 'many' }],
      ['Enter a whole number of 1 or more.', { messages_per_day: '1e3' }],
      ['Enter a whole number of 1 or more.', { messages_per_day: '-5' }],
    ])('says beside the field: %s', async (text, wrong) => {
      const page = await browser.post('/app-passwords/new', { ...fields, ...wrong });
      expect(page.statusCode).toBe(422);
      expect(page.body).toContain(text.startsWith('“not an') ? 'is not an address' : text);
      expect(page.body).toMatch(/<details class="more" open>/);
      expect(page.body).toContain('aria-invalid="true"');
      // Nothing of what was typed is lost.
      expect(page.body).toContain('value="Scanner"');
      for (const typed of Object.values(wrong)) expect(page.body).toContain(typed.split('\n')[0]);
      expect(await bed.appPasswords.list(alice.id)).toEqual([]);
    });

    it('S-68: keeps what was filled in while a fresh factor is shown, for one page and one account', async () => {
      bed.clock.advance(5 * minutes);
      await browser.get('/app-passwords');
      const filled = { ...fields, device: 'Typed for long', networks: '192.0.2.0/24', end: '90d' };
      expect((await browser.post('/app-passwords/new', filled)).headers.location).toBe('/confirm/create');
      const bob = await signedIn(bed, await bed.account('bob@example.com'));
      expect((await bob.get('/app-passwords/new')).body).not.toContain('Typed for long');
      await browser.get('/confirm/create');
      await browser.post('/confirm/create', { code: await code() });
      const page = await textOf('/app-passwords/new');
      expect(page).toContain('value="Typed for long"');
      expect(page).toContain('192.0.2.0/24</textarea>');
      expect(page).toMatch(/value="90d" checked/);
      expect(await textOf('/app-passwords/new')).not.toContain('Typed for long');
      expect(await bed.appPasswords.list(alice.id)).toEqual([]);
    });

    it('S-61: keeps nothing of a form whose token is wrong', async () => {
      bed.clock.advance(5 * minutes);
      await browser.post('/app-passwords/new', { ...fields, device: 'Planted', csrf: 'A'.repeat(43) });
      await browser.get('/confirm/create');
      await browser.post('/confirm/create', { code: await code() });
      expect(await textOf('/app-passwords/new')).not.toContain('Planted');
    });
  });

  describe('one app password', () => {
    it('shows everything there is to know', async () => {
      const id = await issue(bed, alice, 'Scanner', {
        scopes: ['smtp'],
        networks: ['192.0.2.0/24'],
        expiresInMs: 30 * days,
        maxIdleMs: 10 * days,
        createdBy: 'cli:root',
      });
      open.open(alice, 's1', id);
      const body = await textOf(place(id));
      for (const text of ['Send (SMTP)', '192.0.2.0/24', 'by an operator', 'Never used', 'One connection']) {
        expect(body).toContain(text);
      }
      expect(body).toContain('When it was not used for 10 days');
    });

    it('is renamed without a fresh factor, and stays what it is', async () => {
      const id = await issue(bed, alice, 'Old name');
      const before = await bed.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
      bed.clock.advance(6 * minutes);
      const answer = await browser.post(`${place(id)}/rename`, { label: ' New <b>name</b> ' });
      expect(answer.headers.location).toBe(`${place(id)}?done=renamed`);
      expect(await textOf(String(answer.headers.location))).toContain('New &lt;b&gt;name&lt;/b&gt;');
      const after = await bed.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
      expect(after.phc).toBe(before.phc);
      for (const label of ['', ' ', 'x'.repeat(65), 'a\u202eb']) {
        const page = await browser.post(`${place(id)}/rename`, { label });
        expect(page.statusCode).toBe(422);
        expect(page.body).toContain('aria-invalid="true"');
      }
      expect((await bed.appPasswords.find(id))?.label).toBe('New <b>name</b>');
    });

    it('is paused at once, and goes on after a fresh factor only (S-68)', async () => {
      const id = await issue(bed, alice, 'Desk');
      bed.clock.advance(6 * minutes);
      const paused = await browser.post(`${place(id)}/pause`);
      expect(await textOf(String(paused.headers.location))).toContain('“Desk” is paused.');
      expect((await browser.post(`${place(id)}/resume`)).headers.location).toBe(
        `/confirm/resume-${id.toString('hex')}`,
      );
      expect((await bed.appPasswords.find(id))?.state).toBe('paused');
      await browser.get(`/confirm/resume-${id.toString('hex')}`);
      const confirmed = await browser.post(`/confirm/resume-${id.toString('hex')}`, { code: await code() });
      expect(confirmed.headers.location).toBe(`${place(id)}/resume`);
      expect(await textOf(`${place(id)}/resume`)).toContain('Resume “Desk”?');
      const resumed = await browser.post(`${place(id)}/resume`);
      expect(await textOf(String(resumed.headers.location))).toContain('“Desk” works again.');
      expect((await bed.appPasswords.find(id))?.state).toBe('active');
    });

    it('is changed, and what the form does not show stays', async () => {
      const id = await issue(bed, alice, 'Scanner', {
        fence: {
          from: null,
          recipientDomains: ['example.com'],
          messagesPerHour: 5,
          messagesPerDay: null,
          recipientsPerHour: 7,
          recipientsPerDay: null,
          maxBytes: 1_000_000,
        },
        expiresInMs: 30 * days,
      });
      const form = await textOf(`${place(id)}/change`);
      expect(form).toContain('example.com</textarea>');
      expect(form).toContain('signed out for a moment');
      const wrong = await browser.post(`${place(id)}/change`, { end: 'keep', networks: 'here' });
      expect(wrong.statusCode).toBe(422);
      expect(wrong.body).toContain('“here” is not a network.');
      expect(wrong.body).toContain('Choose at least one permission.');
      const answer = await browser.post(`${place(id)}/change`, {
        imap: 'on',
        end: 'keep',
        networks: '192.0.2.0/24',
        recipient_domains: '',
        messages_per_hour: '6',
      });
      expect(answer.headers.location).toBe(`${place(id)}?done=changed`);
      expect(await bed.appPasswords.find(id)).toMatchObject({
        scopes: ['imap'],
        networks: ['192.0.2.0/24'],
        notAfter: bed.clock.now() + 30 * days,
        fence: { recipientDomains: null, messagesPerHour: 6, recipientsPerHour: 7, maxBytes: 1_000_000 },
      });
      const never = await browser.post(`${place(id)}/change`, { imap: 'on', end: 'never' });
      expect(never.statusCode).toBe(303);
      expect((await bed.appPasswords.find(id))?.endsAt).toBeNull();
    });

    it('says what is open before it ends it, and offers a pause instead', async () => {
      const id = await issue(bed, alice, 'Desk');
      open.open(alice, 's1', id);
      open.open(alice, 's2', id);
      const body = await textOf(`${place(id)}/revoke`);
      expect(body).toContain('2 connections are closed');
      expect(body).toContain(`action="${place(id)}/pause"`);
    });

    it('praises nothing that was not done', async () => {
      const id = await issue(bed, alice, 'Desk');
      for (const done of ['paused', 'x', '<b>']) {
        expect(await textOf(`${place(id)}?done=${encodeURIComponent(done)}`)).not.toContain('role="status"');
      }
    });

    it('has no way to change what has ended, and a way to a new one', async () => {
      const id = await issue(bed, alice, 'Desk');
      await browser.post(`${place(id)}/revoke`);
      const body = await textOf(place(id));
      expect(body).not.toContain('/rename');
      expect(body).toContain('href="/app-passwords/new"');
      expect((await browser.get(`${place(id)}/change`)).headers.location).toBe(place(id));
      for (const act of ['pause', 'resume', 'change', 'rename']) {
        const answer = await browser.post(`${place(id)}/${act}`, fieldsOf[act]);
        expect(answer.headers.location).toBe(place(id));
      }
      expect((await bed.appPasswords.find(id))?.state).toBe('revoked');
    });

    it('S-34: says that a row it did not write cannot be changed, and lets it be ended', async () => {
      const id = await issue(bed, alice, 'Desk');
      await bed.database.updateTable('app_password').set({ scopes: 7 }).where('id', '=', id).execute();
      const page = await browser.post(`${place(id)}/rename`, { label: 'Other' });
      expect(page.statusCode).toBe(422);
      expect(page.body).toContain('cannot be changed');
      expect((await browser.post(`${place(id)}/change`, { imap: 'on', end: 'keep' })).statusCode).toBe(409);
      expect((await browser.post(`${place(id)}/revoke`)).statusCode).toBe(303);
    });
  });

  it('S-70: says on a reload of the secret that it works, once it was used', async () => {
    const made = await browser.post('/app-passwords/new', { app: 'outlook', device: 'Desk', imap: 'on' });
    const secretPlace = String(made.headers.location);
    const id = Buffer.from(secretPlace.split('/')[2] ?? '', 'hex');
    await browser.get(secretPlace);
    expect(await textOf(secretPlace)).not.toContain('It works');
    await markUsed(bed, id, { at: bed.clock.now(), client: 'Outlook 16.0' });
    const again = await textOf(secretPlace);
    expect(again).toContain('It works: Outlook 16.0 signed in');
    expect(again).toContain(`href="${place(id)}"`);
    expect(again).not.toContain('id="secret"');
  });
});

const fieldsOf: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  change: { imap: 'on', end: 'keep' },
  rename: { label: 'Other' },
};
