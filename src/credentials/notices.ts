import { randomBytes } from 'node:crypto';
import type { Database } from '../store/database.ts';
import {
  alternateAddresses,
  countNotices,
  dismissNotice,
  insertDelivery,
  insertNotice,
  listNotices,
} from '../store/notices.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import type { Fact, JournalEntry } from './journal-event.ts';
import { type Notice, type NoticeKind, noticeAbout } from './notice-policy.ts';

/** Where a notice goes; the copy goes a day later. */
export const noticeChannels = ['mailbox', 'mailbox-copy', 'alternate', 'webhook'] as const;
export type NoticeChannel = (typeof noticeChannels)[number];

export interface NoticeSettings {
  /** Of one account and topic; what is more is told as one. */
  readonly perHour: number;
  readonly hasWebhook: boolean;
}

/** One line in the portal. */
export interface Banner {
  readonly id: Buffer;
  readonly kind: NoticeKind;
  readonly facts: Readonly<Record<string, Fact>>;
  readonly at: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** How long the portal shows it, and how long an undelivered one is tried. */
export const bannerMs = 30 * dayMs;
const tryingMs = 3 * dayMs;
/** Somebody who guesses goes on guessing. */
const guessedEveryMs = 6 * hourMs;
const bannersShown = 50;

/** What people are told of their account: put down with the change itself, sent later (notice-delivery.ts). */
export class Notices {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #settings: NoticeSettings;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly settings: NoticeSettings;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#settings = parts.settings;
    this.#now = parts.now;
  }

  /** Puts down what the person is to hear of the entry, if anything. In a transaction that holds the account. */
  async post(transaction: Database, entry: JournalEntry): Promise<void> {
    const { account } = entry;
    const notice = noticeAbout(entry);
    if (account === null || notice === null) return;
    const bounded = await this.#bounded(transaction, account.id, notice);
    if (bounded === null) return;
    const now = this.#now();
    const id = randomBytes(16);
    await insertNotice(transaction, this.#guard, {
      id,
      account_id: account.id,
      topic: bounded.topic,
      kind: bounded.kind,
      facts: JSON.stringify(bounded.facts),
      at: now,
    });
    const first = bounded.kind === 'many-changes' ? now + hourMs : now;
    await this.#deliver(transaction, id, 'mailbox', null, first);
    // An intruder who watches the mailbox deletes the first.
    await this.#deliver(transaction, id, 'mailbox-copy', null, first + dayMs);
    for (const address of await this.#alternates(transaction, account.id, bounded.formerAddress)) {
      await this.#deliver(transaction, id, 'alternate', address, first);
    }
    if (this.#settings.hasWebhook) await this.#deliver(transaction, id, 'webhook', null, first);
  }

  /** What the portal shows of the last 30 days and was not dismissed, newest first. */
  async listBanners(accountId: Buffer): Promise<readonly Banner[]> {
    const since = this.#now() - bannerMs;
    const rows = await listNotices(this.#database, this.#guard, { accountId, since, limit: bannersShown });
    return rows.map(({ id, kind, facts, at }) => ({
      id,
      kind: kind as NoticeKind,
      facts: JSON.parse(facts) as Banner['facts'],
      at,
    }));
  }

  /** By id and account; false when there is no such banner any more. */
  async dismiss(accountId: Buffer, id: Buffer): Promise<boolean> {
    return await dismissNotice(this.#database, accountId, id, this.#now());
  }

  /** As many of one topic in an hour as are told one by one; then one for all the others; then none. */
  async #bounded(transaction: Database, accountId: Buffer, notice: Notice): Promise<Notice | null> {
    const now = this.#now();
    const { topic, kind } = notice;
    if (kind === 'factors-guessed') {
      const since = now - guessedEveryMs;
      if ((await countNotices(transaction, { accountId, topic, kind, since })) > 0) return null;
    }
    const since = now - hourMs;
    const recent = await countNotices(transaction, { accountId, topic, since });
    if (recent < this.#settings.perHour) return notice;
    const summary = { accountId, topic, kind: 'many-changes', since };
    if ((await countNotices(transaction, summary)) > 0) return null;
    return { kind: 'many-changes', topic, facts: {}, formerAddress: notice.formerAddress };
  }

  async #alternates(
    transaction: Database,
    accountId: Buffer,
    former: string | null,
  ): Promise<ReadonlySet<string>> {
    const all = new Set(former === null ? [] : [former]);
    try {
      for (const address of await alternateAddresses(transaction, this.#guard, accountId)) all.add(address);
    } catch (error) {
      // The alarm is raised; the other ways still go out.
      if (!(error instanceof ForgedRowError)) throw error;
    }
    return all;
  }

  async #deliver(
    transaction: Database,
    noticeId: Buffer,
    channel: NoticeChannel,
    recipient: string | null,
    dueAt: number,
  ): Promise<void> {
    await insertDelivery(transaction, this.#guard, {
      id: randomBytes(16),
      notice_id: noticeId,
      channel,
      recipient,
      due_at: dueAt,
      give_up_at: dueAt + tryingMs,
    });
  }
}
