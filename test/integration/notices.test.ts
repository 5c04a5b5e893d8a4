import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JournalEvent } from '../../src/credentials/journal.ts';
import { loadKeyFile } from '../../src/credentials/key-file.ts';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { Notices } from '../../src/credentials/notices.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { setAccountLanguage } from '../../src/store/notices.ts';
import { alice, bob, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { journalOf } from '../support/journal.ts';
import { gatewayImap, openBackendMailbox } from '../support/mailbox.ts';
import { until } from '../support/until.ts';

let bed: TestGateway;
beforeAll(async () => {
  bed = await startTestGateway({ notices: {} });
});
afterAll(async () => bed?.stop());

/** Everything in the backend's INBOX, once there are so many. */
async function delivered(address: string, count: number) {
  const imap = await openBackendMailbox(bed, address);
  try {
    await until(async () => {
      await imap.noop();
      return imap.mailbox !== false && imap.mailbox.exists >= count;
    });
    const sources: string[] = [];
    for await (const { source } of imap.fetch('1:*', { source: true })) sources.push(String(source));
    return sources;
  } finally {
    await imap.logout();
  }
}

/** The parts of a gateway that put notices down, on its database. */
async function journalOn(database: TestGateway['gateway']['parts']['database']) {
  const keys = await loadKeyFile(`${bed.folder}/keys.json`);
  const guard = new KeyedRowGuard({ keys, metrics: createMetrics(), logger: null });
  const settings = { perHour: 100, hasWebhook: false };
  const notices = new Notices({ database, guard, settings, now: Date.now });
  return { notices, journal: journalOf(keys, Date.now, notices) };
}

const subjects = (sources: readonly string[]) =>
  sources.map((source) => /^Subject: (.*)$/m.exec(source)?.[1]);

describe('S-83: notices through a real Postfix and Dovecot', () => {
  it('creating and first using an app password; who deletes the mails by IMAP leaves the banners', async () => {
    const { secret, accountId } = await bed.issue(alice);
    const program = gatewayImap(bed, alice, secret);
    await program.connect();
    const sources = await delivered(alice, 2);
    expect(
      subjects(sources)
        .map((subject) => subject?.trim())
        .toSorted(),
    ).toEqual(['First use of the app password test', 'New app password: test']);
    const [first = ''] = sources;
    expect(first).toMatch(/^From: Account security <alice@example\.com>\r$/m);
    expect(first).toMatch(/^To: alice@example\.com\r$/m);
    expect(first).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(first).toMatch(/^Message-ID: <[0-9a-f]{32}@mail\.example\.com>\r$/m);
    expect(first).toMatch(/^Date: /m);
    expect(first).toMatch(/^Content-Type: text\/plain; charset=utf-8\r$/m);
    expect(sources.join('')).not.toContain(secret);

    await program.mailboxOpen('INBOX');
    await program.messageDelete('1:*');
    await program.logout();
    expect(await delivered(alice, 0)).toEqual([]);
    const { notices } = await journalOn(bed.gateway.parts.database);
    const banners = await notices.listBanners(accountId);
    expect(banners.map(({ kind }) => kind).toSorted()).toEqual([
      'app-password-created',
      'app-password-first-used',
    ]);
  });

  it('each of them, in Latvian, as it is written', async () => {
    const { database, guard } = bed.gateway.parts;
    const { account } = await createAccount(database, guard, bob, Date.now());
    await setAccountLanguage(database, account.id, 'lv');
    const { journal } = await journalOn(database);
    const id = Buffer.alloc(16, 9);
    const events: readonly JournalEvent[] = [
      { action: 'app-password.created', id, label: 'Ķēķa iPad', scopes: ['imap'], notAfter: null },
      { action: 'app-password.revoked', id, label: '.Ķēķa iPad' },
      { action: 'app-passwords.revoked', count: 2 },
      { action: 'factor.added', method: 'totp', name: null },
      { action: 'factor.removed', method: 'passkey', name: 'Klēpjdators' },
      { action: 'factor.disabled', method: 'totp', name: null },
      { action: 'factors.reset', count: 1 },
      { action: 'recovery-codes.created' },
      { action: 'recovery-code.used', left: 3 },
      { action: 'alternate-address.changed', old: null, new: 'bob@elsewhere.example' },
      { action: 'factors.guessed' },
    ];
    for (const event of events) {
      await journal.record(database, { account, actor: { kind: 'person', address: '192.0.2.7' }, event });
    }
    // The alternate address is not served by this Postfix; nothing is sent there, because it is not confirmed.
    await delivered(bob, events.length);
    const imap = await openBackendMailbox(bed, bob);
    const read: [string, string][] = [];
    for await (const { envelope, uid } of imap.fetch('1:*', { envelope: true, uid: true })) {
      read.push([envelope?.subject ?? '', String(uid)]);
    }
    const { content = [] } = await imap.download('1', '1');
    const first: Buffer[] = [];
    for await (const chunk of content) first.push(chunk as Buffer);
    await imap.logout();
    expect(read.map(([subject]) => subject).toSorted()).toEqual(
      [
        'Jauna lietotnes parole: Ķēķa iPad',
        'Lietotnes parole anulēta: .Ķēķa iPad',
        'Anulētās lietotņu paroles: 2',
        'Pievienota verifikācijas metode: Autentifikatora lietotne',
        'Noņemta verifikācijas metode: Piekļuves atslēga vai drošības atslēga (Klēpjdators)',
        'Izslēgta verifikācijas metode: Autentifikatora lietotne',
        'Atiestatītas verifikācijas metodes',
        'Jauni atkopšanas kodi',
        'Izmantots atkopšanas kods',
        'Mainīta alternatīvā e-pasta adrese',
        'Iespējams, kāds zina jūsu paroli',
      ].toSorted(),
    );
    expect(Buffer.concat(first).toString('utf8')).toContain('kont');
    expect(Buffer.concat(first).toString('utf8')).toContain('bob@example.com');
  });

  it('with the backend away the change is made at once, and the mail is sent when the backend is back', async () => {
    const before = (await delivered(alice, 0)).length;
    await bed.site.stop();
    const { id } = await bed.issue(alice);
    const { database } = bed.gateway.parts;
    const attempts = async () =>
      await database
        .selectFrom('notice_delivery')
        .select('attempts')
        .where('channel', '=', 'mailbox')
        .execute();
    await until(async () => (await attempts()).some((row) => row.attempts === 1));
    await bed.site.resume();
    // Not to wait a minute for the second attempt.
    await until(async () => {
      await database
        .updateTable('notice_delivery')
        .set({ due_at: 0 })
        .where('channel', '=', 'mailbox')
        .execute();
      return (await attempts()).length === 0;
    }, 60_000);
    expect((await delivered(alice, before + 1)).length).toBeGreaterThan(before);
    expect((await bed.gateway.parts.appPasswords.find(id))?.state).toBe('active');
  }, 120_000);
});
