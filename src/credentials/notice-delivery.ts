import { setImmediate as breathe } from 'node:timers/promises';
import { errorText } from '../observability/error-text.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { findAccountById } from '../store/accounts.ts';
import type { Database } from '../store/database.ts';
import {
  accountLanguage,
  claimDelivery,
  countDeliveries,
  deleteDelivery,
  dueDeliveries,
  noticeOf,
  postponeDelivery,
  purgeNotices,
} from '../store/notices.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import type { NoticeDeliveryRow, NoticeRow } from '../store/schema.ts';
import type { Fact } from './journal-event.ts';
import type { NoticeWriter, WrittenMail } from './notice-mail.ts';
import type { NoticeKind } from './notice-policy.ts';
import { bannerMs, noticeChannels } from './notices.ts';
import { Rounds } from './rounds.ts';

/** `failed`: tried again. `detail` is for the log. */
export type SendOutcome = { readonly kind: 'sent' } | { readonly kind: 'failed'; readonly detail: string };

/** A mail of the gateway's own, sent through the backend of the account it is about. */
export interface OwnMail extends WrittenMail {
  /** Canonical. */
  readonly account: string;
  readonly to: string;
  /** The same for the same notice, so that a second delivery of it can be told. */
  readonly id: string;
}

/** What leaves by the webhook. */
export interface NoticeMessage {
  readonly id: string;
  readonly kind: NoticeKind;
  readonly account: string;
  readonly at: string;
  readonly facts: Readonly<Record<string, Fact>>;
}

/** Ways out; neither rejects. */
export interface NoticeChannels {
  mail(mail: OwnMail, signal: AbortSignal): Promise<SendOutcome>;
  /** null where there is none. */
  readonly webhook: ((message: NoticeMessage, signal: AbortSignal) => Promise<SendOutcome>) | null;
}

const lookEveryMs = 2_000;
const atOnce = 20;
const mostRounds = 50;
/** An attempt, and when another node may take over one that was never finished: it was killed, or its clock is wrong. */
const attemptMs = 60_000;
const leaseMs = 300_000;
const firstWaitMs = 60_000;
const longestWaitMs = 3_600_000;
const upkeepEveryMs = 60_000;
const purgeEveryMs = 3_600_000;
const purgedAtOnce = 1_000;

/** Sends what the store has put down, behind everything else, each once but for a crash; several nodes share the work. */
export class NoticeDelivery {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #writer: NoticeWriter;
  readonly #channels: NoticeChannels;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #stopping = new AbortController();
  readonly #rounds = new Rounds(lookEveryMs, async () => this.#look());
  #countedAt: number | null = null;
  #purgedAt: number | null = null;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly writer: NoticeWriter;
    readonly channels: NoticeChannels;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#writer = parts.writer;
    this.#channels = parts.channels;
    this.#logger = parts.logger;
    this.#metrics = parts.metrics;
    this.#now = parts.now;
  }

  start(): void {
    this.#rounds.start();
  }

  /** Gives up what is under way; it is sent after the next start, or by another node. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#rounds.stop();
  }

  /** Tries what is due, a thousand at most. Rejects when the store fails. */
  async deliverDue(): Promise<void> {
    for (let round = 0; round < mostRounds; round += 1) {
      const due = await dueDeliveries(this.#database, this.#now(), atOnce);
      const done = await Promise.allSettled(due.map(async (row) => this.#deliver(row)));
      for (const each of done) if (each.status === 'rejected') throw each.reason;
      if (due.length < atOnce || this.#stopping.signal.aborted) return;
    }
  }

  async #look(): Promise<void> {
    const now = this.#now();
    try {
      await this.deliverDue();
      if (this.#countedAt === null || now - this.#countedAt >= upkeepEveryMs) {
        this.#countedAt = now;
        this.#metrics.noticesWaiting.set(await countDeliveries(this.#database, now));
      }
      if (this.#purgedAt === null || now - this.#purgedAt >= purgeEveryMs) {
        this.#purgedAt = now;
        while ((await this.#purge(now)) === purgedAtOnce && !this.#stopping.signal.aborted) await breathe();
      }
    } catch (error) {
      this.#logger.warn({ detail: errorText(error) }, 'notices not looked for');
    }
  }

  async #purge(now: number): Promise<number> {
    return await purgeNotices(this.#database, now - bannerMs, purgedAtOnce);
  }

  async #deliver(row: NoticeDeliveryRow): Promise<void> {
    const now = this.#now();
    if (!(await claimDelivery(this.#database, row, now + leaseMs))) return;
    const claimed = { ...row, attempts: row.attempts + 1 };
    const channel = channelOf(row);
    const outcome = await this.#attempt(claimed);
    if (outcome === null || outcome.kind === 'sent') {
      await deleteDelivery(this.#database, row.id);
      if (outcome !== null) this.#metrics.notices.inc({ channel, outcome: 'sent' });
      return;
    }
    // Left to the lease: whether it went out is not known.
    if (this.#stopping.signal.aborted) return;
    const { detail } = outcome;
    const fields = { event: 'notice', channel, attempts: claimed.attempts, detail };
    if (now >= row.give_up_at) {
      await deleteDelivery(this.#database, row.id);
      this.#metrics.notices.inc({ channel, outcome: 'dropped' });
      this.#logger.error(fields, 'a notice was not delivered and is given up');
      return;
    }
    await postponeDelivery(this.#database, claimed, this.#now() + waitAfter(claimed.attempts));
    this.#metrics.notices.inc({ channel, outcome: 'failed' });
    this.#logger.warn(fields, 'a notice was not delivered and is tried again');
  }

  /** null: nobody is to hear of it any more. */
  async #attempt(row: NoticeDeliveryRow): Promise<SendOutcome | null> {
    try {
      const notice = await noticeOf(this.#database, this.#guard, row);
      if (notice === null) return null;
      const account = await findAccountById(this.#database, this.#guard, notice.account_id);
      if (account === null) return null;
      const language = await accountLanguage(this.#database, account.id);
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(attemptMs)]);
      return row.channel === 'webhook'
        ? await this.#post(notice, account.address, signal)
        : await this.#mail(row, notice, account.address, language, signal);
    } catch (error) {
      // The alarm is raised. What it says and to whom is somebody else's wish; an account may be put right.
      if (error instanceof ForgedRowError && error.table !== 'account') return null;
      return { kind: 'failed', detail: errorText(error) };
    }
  }

  async #mail(
    row: NoticeDeliveryRow,
    notice: NoticeRow,
    account: string,
    language: string | null,
    signal: AbortSignal,
  ): Promise<SendOutcome> {
    const { kind, at } = notice;
    const isSecondCopy = row.channel === 'mailbox-copy';
    const facts = JSON.parse(notice.facts) as Readonly<Record<string, Fact>>;
    const mail = this.#writer.notice(account, language, {
      kind: kind as NoticeKind,
      facts,
      at,
      isSecondCopy,
    });
    const to = row.recipient ?? account;
    return await this.#channels.mail({ ...mail, account, to, id: row.id.toString('hex') }, signal);
  }

  async #post(
    { id, kind, at, facts }: NoticeRow,
    account: string,
    signal: AbortSignal,
  ): Promise<SendOutcome | null> {
    const { webhook } = this.#channels;
    // It was configured when this was put down.
    if (webhook === null) return null;
    const message: NoticeMessage = {
      id: id.toString('hex'),
      kind: kind as NoticeKind,
      account,
      at: new Date(at).toISOString(),
      facts: JSON.parse(facts) as NoticeMessage['facts'],
    };
    return await webhook(message, signal);
  }
}

/** What SQL holds is anybody's text, and a label of a metric must not be. */
function channelOf({ channel }: NoticeDeliveryRow): string {
  return noticeChannels.find((known) => known === channel) ?? 'unknown';
}

/** Twice as long each time, up to an hour. */
function waitAfter(attempts: number): number {
  return Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(attempts - 1, 10));
}
