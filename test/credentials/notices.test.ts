import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { JournalEvent } from '../../src/credentials/journal.ts';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { NoticeDelivery, type NoticeMessage, type OwnMail } from '../../src/credentials/notice-delivery.ts';
import { NoticeWriter } from '../../src/credentials/notice-mail.ts';
import { noticeAbout } from '../../src/credentials/notice-policy.ts';
import { en } from '../../src/credentials/notice-texts/en.ts';
import { lv } from '../../src/credentials/notice-texts/lv.ts';
import { Notices } from '../../src/credentials/notices.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { insertNotice, setAccountLanguage } from '../../src/store/notices.ts';
import type { Account } from '../../src/store/schema.ts';
import { insertFactor } from '../../src/store/second-factors.ts';
import { engines, scratchDatabase } from '../store/scratch-database.ts';
import { journalOf, tester } from '../support/journal.ts';
import { until } from '../support/until.ts';
import { Clock, openBed } from './bed.ts';
import { keyRing } from './keys.ts';

const hour = 3_600_000;
const day = 24 * hour;
const id = Buffer.alloc(16, 3);
const writer = new NoticeWriter({
  hostname: 'mail.example.com',
  portalUrl: 'https://mail.example.com:8443',
  defaultLanguage: 'en',
  timeZone: 'Europe/Riga',
});
const created: JournalEvent = {
  action: 'app-password.created',
  id,
  label: 'Outlook at work',
  scopes: ['imap', 'smtp'],
  notAfter: null,
};
/** One of each kind that S-83 names. */
const events: readonly JournalEvent[] = [
  created,
  {
    action: 'app-password.first-used',
    id,
    label: 'Outlook at work',
    protocol: 'imap',
    address: '203.0.113.7',
    client: 'Thunderbird 140',
  },
  { action: 'app-password.revoked', id, label: 'Outlook at work' },
  { action: 'app-passwords.revoked', count: 3 },
  { action: 'factor.added', method: 'passkey', name: 'Laptop' },
  { action: 'factor.removed', method: 'totp', name: null },
  { action: 'factor.disabled', method: 'totp', name: null },
  { action: 'factor.reset', method: 'totp', name: null },
  { action: 'factors.reset', count: 2 },
  { action: 'recovery-codes.created' },
  { action: 'recovery-code.used', left: 9 },
  { action: 'alternate-address.changed', old: 'anna@old.example.net', new: 'anna@new.example.net' },
  { action: 'factors.guessed' },
  { action: 'passkey.counter-fell', name: 'Key on the desk', outcome: 'refused' },
];

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe('S-83: what people are mailed', () => {
  const written = (event: JournalEvent, language: string | null, isSecondCopy = false) => {
    const account = { id, address: 'anna@example.com' };
    const notice = noticeAbout({ account, actor: { kind: 'person', address: '203.0.113.7' }, event });
    if (notice === null) throw new Error(`nobody is told of ${event.action}`);
    return writer.notice(account.address, language, {
      ...notice,
      at: Date.UTC(2026, 10, 22, 13, 7),
      isSecondCopy,
    });
  };

  it('an app password that was created, in English', () => {
    expect(written(created, 'en')).toEqual({
      language: 'en',
      sender: 'Account security',
      subject: 'New app password: Outlook at work',
      text: `An app password was created for anna@example.com on 22 November 2026 at 15:07 EET from 203.0.113.7. Allowed: read mail (IMAP) and send mail (SMTP).

If it was not you, revoke it now: https://mail.example.com:8443/app-passwords

This message was sent by mail.example.com by itself. Nobody from support will ask for a password.
`,
    });
  });

  it('its first use, in Latvian, as a second copy', () => {
    const { subject, text } = written(events[1] ?? created, 'lv', true);
    expect(subject).toBe('Lietotnes parole izmantota pirmo reizi: Outlook at work');
    expect(text).toMatch(
      /^Šī ir otrā kopija, kas nosūtīta dienu pēc pirmās\.\n\n2026\. gada 22\. novembris.* 15:07.* pirmo reizi tika izmantota konta anna@example\.com lietotnes parole „Outlook at work” \(no 203\.0\.113\.7, IMAP\)\. Lietotnes nosaukums: Thunderbird 140\.\n/,
    );
  });

  it.each(events)('$action: in both languages, every word in its place', (event) => {
    const texts = ['en', 'lv'].map((language) => written(event, language));
    for (const { subject, text } of texts) {
      expect(subject).not.toMatch(/undefined|\[object|\{|\}/);
      expect(text).not.toMatch(/undefined|\[object|\{|\}| {2}/);
      expect(text).toContain('anna@example.com');
    }
    expect(texts[0]?.text).not.toBe(texts[1]?.text);
  });

  it('no kind is without a text, and no language has one that the other lacks', () => {
    const told = new Set(
      events
        .map((event) => noticeAbout({ account: null, actor: tester, event })?.kind)
        .concat('many-changes'),
    );
    expect(new Set(Object.keys(en.kinds))).toEqual(told);
    expect(new Set(Object.keys(lv.kinds))).toEqual(told);
  });

  it('tells who did it: an operator is no address', () => {
    const notice = noticeAbout({ account: { id, address: 'a@example.com' }, actor: tester, event: created });
    if (notice === null) throw new Error('not told');
    const { text } = writer.notice('a@example.com', null, { ...notice, at: 0, isSecondCopy: false });
    expect(text).toContain('by an administrator. Allowed');
  });

  it('shows half of an alternate address only: the mail goes to both', () => {
    const { text } = written(events[11] ?? created, 'en');
    expect(text).toContain('Before: a…@old.example.net. Now: a…@new.example.net.');
  });

  it('S-65: a label that turns the text around is shown as what it is', () => {
    const { subject, text } = written({ ...created, label: 'a\u202eb\r\nBcc: x@example.net' }, 'en');
    expect(subject).toBe('New app password: a\\x202eb\\x0d\\x0aBcc: x@example.net');
    expect(text).not.toContain('\u202e');
  });

  it('a one-time code', () => {
    expect(writer.code('lv', '12345678', Date.UTC(2026, 10, 22, 13, 17))).toMatchObject({
      subject: 'Jūsu verifikācijas kods: 12345678',
      text: expect.stringContaining('derīgs līdz plkst. 15:17.'),
    });
  });
});

describe.each(engines)('notices on %s', (engine) => {
  async function open(settings = { perHour: 20, hasWebhook: true }) {
    const scratch = await scratchDatabase(engine);
    closers.push(() => scratch.close());
    const database = scratch.open();
    await migrate(database);
    const clock = new Clock();
    const { now } = clock;
    const keys = keyRing();
    const metrics = createMetrics();
    const lines: Record<string, unknown>[] = [];
    const logger = createLogger('info', { write: (line: string) => void lines.push(JSON.parse(line)) });
    const guard = new KeyedRowGuard({ keys, metrics, logger });
    const { account } = await createAccount(database, guard, 'anna@example.com', now());
    const notices = new Notices({ database, guard, settings, now });
    const journal = journalOf(keys, now, notices);
    const record = async (event: JournalEvent, of: Account = account, on: Database = database) =>
      await journal.record(on, { account: of, actor: { kind: 'person', address: '203.0.113.7' }, event });
    const mails: OwnMail[] = [];
    const messages: NoticeMessage[] = [];
    const ways = { isDown: false };
    /** A node. */
    const node = (on: Database = database) =>
      new NoticeDelivery({
        ...{ database: on, guard, writer, logger, metrics, now },
        channels: {
          mail: async (mail) => {
            if (ways.isDown) return { kind: 'failed', detail: 'it is down' };
            mails.push(mail);
            return { kind: 'sent' };
          },
          webhook: async (message) => {
            messages.push(message);
            return { kind: 'sent' };
          },
        },
      });
    const waiting = async () =>
      await database.selectFrom('notice_delivery').selectAll().orderBy('due_at').execute();
    const own = { scratch, database, clock, guard, metrics, lines, account, notices, journal };
    return { ...own, record, mails, messages, ways, node, waiting };
  }

  it('are deleted after 30 days, however many there were', async () => {
    const bed = await open();
    const { database, account, guard, clock } = bed;
    const notice = { account_id: account.id, topic: 'factors', kind: 'factors-guessed', facts: '{}', at: 1 };
    await database.transaction().execute(async (transaction) => {
      for (let index = 0; index < 2_100; index += 1) {
        const of = Buffer.alloc(16);
        of.writeUInt32BE(index);
        await insertNotice(transaction, guard, { ...notice, id: of });
      }
      await insertNotice(transaction, guard, { ...notice, id: Buffer.alloc(16, 0xff), at: clock.now() });
    });
    const node = bed.node();
    node.start();
    await until(async () => (await database.selectFrom('notice').select('id').execute()).length <= 1);
    await node.stop();
    expect(await database.selectFrom('notice').select('at').execute()).toEqual([{ at: clock.now() }]);
  });

  it('S-83: go to the mailbox, to the webhook, and to the mailbox again after 24 hours', async () => {
    const bed = await open();
    const node = bed.node();
    await bed.record(created);
    await node.deliverDue();
    expect(bed.mails.map(({ to, subject }) => [to, subject])).toEqual([
      ['anna@example.com', 'New app password: Outlook at work'],
    ]);
    expect(bed.messages).toMatchObject([
      { kind: 'app-password-created', account: 'anna@example.com', facts: { label: 'Outlook at work' } },
    ]);
    bed.clock.advance(day - 1);
    await node.deliverDue();
    expect(bed.mails).toHaveLength(1);
    bed.clock.advance(1);
    await node.deliverDue();
    expect(bed.mails[1]?.text).toMatch(
      /^This is a second copy, sent a day after the first\.\n\nAn app password/,
    );
    expect(await bed.waiting()).toEqual([]);
  });

  it('S-83: go to a confirmed alternate address too, and to the one before it', async () => {
    const bed = await open();
    const factor = { account_id: bed.account.id, kind: 'email' as const, created_at: 1 };
    await insertFactor(bed.database, bed.guard, {
      ...{ ...factor, id: Buffer.alloc(16, 1), address: 'anna@new.example.net', confirmed_at: 1 },
    });
    await bed.record({
      action: 'alternate-address.changed',
      old: 'anna@old.example.net',
      new: 'anna@new.example.net',
    });
    await bed.node().deliverDue();
    expect(bed.mails.map(({ to }) => to).toSorted()).toEqual([
      'anna@example.com',
      'anna@new.example.net',
      'anna@old.example.net',
    ]);
    expect(new Set(bed.mails.map(({ account }) => account))).toEqual(new Set(['anna@example.com']));
  });

  it('are in the language that the person chose', async () => {
    const bed = await open();
    await bed.record(created);
    await setAccountLanguage(bed.database, bed.account.id, 'lv');
    await bed.node().deliverDue();
    expect(bed.mails).toMatchObject([{ language: 'lv', subject: 'Jauna lietotnes parole: Outlook at work' }]);
  });

  it('a change that is rolled back tells nobody', async () => {
    const bed = await open();
    const change = bed.database.transaction().execute(async (transaction) => {
      await bed.record(created, bed.account, transaction);
      throw new Error('undone');
    });
    await expect(change).rejects.toThrow('undone');
    expect(await bed.waiting()).toEqual([]);
    expect(await bed.notices.listBanners(bed.account.id)).toEqual([]);
  });

  it('what cannot be sent is tried again, less and less often, and given up after 3 days', async () => {
    const bed = await open({ perHour: 20, hasWebhook: false });
    const node = bed.node();
    bed.ways.isDown = true;
    await bed.record(created);
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt += 1) {
      await node.deliverDue();
      const [next] = await bed.waiting();
      const wait = (next?.due_at ?? 0) - bed.clock.now();
      waits.push(wait / 60_000);
      bed.clock.advance(wait - 1);
      await node.deliverDue();
      expect((await bed.waiting())[0]?.attempts).toBe(attempt + 1);
      bed.clock.advance(1);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    bed.ways.isDown = false;
    await node.deliverDue();
    expect(bed.mails).toHaveLength(1);
    bed.ways.isDown = true;
    bed.clock.advance(4 * day + hour);
    await node.deliverDue();
    expect(await bed.waiting()).toEqual([]);
    expect(bed.lines.at(-1)).toMatchObject({ level: 50, channel: 'mailbox-copy', detail: 'it is down' });
    const { values } = await bed.metrics.notices.get();
    expect(values).toEqual(
      expect.arrayContaining([
        { labels: { channel: 'mailbox', outcome: 'sent' }, value: 1 },
        { labels: { channel: 'mailbox', outcome: 'failed' }, value: 9 },
        { labels: { channel: 'mailbox-copy', outcome: 'dropped' }, value: 1 },
      ]),
    );
  });

  it('several nodes send each once', async () => {
    const bed = await open();
    for (let count = 0; count < 10; count += 1) await bed.record({ ...created, label: `Phone ${count}` });
    const nodes = [bed.node(), bed.node(bed.scratch.open()), bed.node(bed.scratch.open())];
    await Promise.all(nodes.map(async (node) => node.deliverDue()));
    expect(bed.mails.map(({ subject }) => subject).toSorted()).toEqual(
      Array.from({ length: 10 }, (_, count) => `New app password: Phone ${count}`),
    );
    expect(bed.messages).toHaveLength(10);
  });

  it('one that a node took before it was killed is sent by another, five minutes later', async () => {
    const bed = await open({ perHour: 20, hasWebhook: false });
    await bed.record(created);
    const program = fileURLToPath(new URL('./notice-dying-process.ts', import.meta.url));
    const words = [program, bed.scratch.at, String(bed.clock.now())];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'inherit'] });
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    const node = bed.node();
    await node.deliverDue();
    expect(bed.mails).toEqual([]);
    bed.clock.advance(5 * 60_000);
    await node.deliverDue();
    expect(bed.mails).toHaveLength(1);
  });

  it('of one account and hour as many as are told one by one, then one for the rest; a flood of one kind hides no other', async () => {
    const bed = await open({ perHour: 3, hasWebhook: false });
    const node = bed.node();
    for (let count = 0; count < 10; count += 1) await bed.record({ ...created, label: `Phone ${count}` });
    await bed.record({ action: 'factor.removed', method: 'totp', name: null });
    await node.deliverDue();
    expect(bed.mails.map(({ subject }) => subject).toSorted()).toEqual([
      'New app password: Phone 0',
      'New app password: Phone 1',
      'New app password: Phone 2',
      'Verification method removed: Authenticator app',
    ]);
    bed.clock.advance(hour);
    await node.deliverDue();
    expect(bed.mails[4]?.subject).toBe('More changes to your account');
    await bed.record({ ...created, label: 'Next hour' });
    await node.deliverDue();
    expect(bed.mails[5]?.subject).toBe('New app password: Next hour');
  });

  it('guesses of one evening are told once', async () => {
    const bed = await open({ perHour: 20, hasWebhook: false });
    for (let count = 0; count < 5; count += 1) await bed.record({ action: 'factors.guessed' });
    await bed.node().deliverDue();
    expect(bed.mails).toHaveLength(1);
  });

  it('S-34: nobody is mailed what SQL was made to hold, nor where', async () => {
    const bed = await open({ perHour: 20, hasWebhook: false });
    await bed.record(created);
    await bed.database
      .updateTable('notice_delivery')
      .set({ recipient: 'victim@example.net' } as never)
      .where('channel', '=', 'mailbox')
      .execute();
    await bed.node().deliverDue();
    await bed.record({ ...created, label: 'Two' });
    await bed.database
      .updateTable('notice')
      .set({ facts: '{"label":"Buy"}' } as never)
      .execute();
    await bed.node().deliverDue();
    expect(bed.mails).toEqual([]);
    expect(await bed.notices.listBanners(bed.account.id)).toEqual([]);
    const { values } = await bed.metrics.integrityAlarms.get();
    expect(values.map(({ labels }) => labels.table)).toEqual(['notice_delivery', 'notice']);
  });

  describe('S-83: the banner', () => {
    it('stays 30 days, until the person dismisses it, who cannot dismiss another’s', async () => {
      const bed = await open();
      const { account: bob } = await createAccount(bed.database, bed.guard, 'bob@example.com', 1);
      await bed.record(created);
      bed.clock.advance(1);
      await bed.record({ action: 'recovery-code.used', left: 4 });
      const banners = await bed.notices.listBanners(bed.account.id);
      expect(banners.map(({ kind }) => kind)).toEqual(['recovery-code-used', 'app-password-created']);
      expect(banners[0]?.facts).toMatchObject({ left: 4, by: 'person', from: '203.0.113.7' });
      expect(await bed.notices.listBanners(bob.id)).toEqual([]);
      const first = banners[0]?.id ?? id;
      expect(await bed.notices.dismiss(bob.id, first)).toBe(false);
      expect(await bed.notices.dismiss(bed.account.id, first)).toBe(true);
      expect(await bed.notices.dismiss(bed.account.id, first)).toBe(false);
      expect(await bed.notices.listBanners(bed.account.id)).toHaveLength(1);
      bed.clock.advance(30 * day);
      expect(await bed.notices.listBanners(bed.account.id)).toEqual([]);
    });
  });

  it('S-83: the first use of an app password is told once, however many nodes see it at once', async () => {
    const bed = await openBed({ engine });
    closers.push(() => bed.close());
    const other = await openBed({ engine, file: bed.file, clock: bed.clock });
    closers.push(() => other.close());
    const anna = await bed.account('anna@example.com');
    const { password, id: credential } = await bed.issue(anna, { label: 'Kitchen iPad' });
    const from = { address: '198.51.100.9', client: 'iPad Mail' };
    await Promise.all([bed, other].map(async (each) => each.login('anna@example.com', password, from)));
    await Promise.all([bed, other].map(async (each) => each.verifier.stop()));
    const rows = await bed.database.selectFrom('notice').selectAll().execute();
    expect(rows.map(({ kind }) => kind).toSorted()).toEqual([
      'app-password-created',
      'app-password-first-used',
    ]);
    const used = rows.find(({ kind }) => kind === 'app-password-first-used');
    expect(JSON.parse(used?.facts ?? '')).toEqual({
      ...{ id: credential.toString('hex'), label: 'Kitchen iPad', protocol: 'imap', address: '198.51.100.9' },
      ...{ client: 'iPad Mail', by: 'person', from: '198.51.100.9' },
    });
    const row = await bed.appPasswords.find(credential);
    expect(row).toMatchObject({ lastUsedAddress: '198.51.100.9', lastUsedClient: 'iPad Mail' });
    await bed.login('anna@example.com', password, from);
    await bed.verifier.stop();
    expect(await bed.database.selectFrom('notice').selectAll().execute()).toHaveLength(2);
  });
});
