import type { Database } from './database.ts';
import { type GuardedRows, genuine, type RowGuard } from './row-guard.ts';
import type { NoticeDeliveryRow, NoticeRow } from './schema.ts';

export async function insertNotice(
  database: Database,
  guard: RowGuard,
  notice: GuardedRows['notice'],
): Promise<void> {
  await database
    .insertInto('notice')
    .values({ ...notice, row_mac: guard.mac('notice', notice), dismissed_at: null })
    .execute();
}

export async function insertDelivery(
  database: Database,
  guard: RowGuard,
  delivery: GuardedRows['notice_delivery'] & Pick<NoticeDeliveryRow, 'due_at' | 'give_up_at'>,
): Promise<void> {
  await database
    .insertInto('notice_delivery')
    .values({ ...delivery, row_mac: guard.mac('notice_delivery', delivery), attempts: 0 })
    .execute();
}

/** Of an account since a moment: of a topic, and of a kind where one is named. */
export async function countNotices(
  database: Database,
  of: { readonly accountId: Buffer; readonly topic: string; readonly kind?: string; readonly since: number },
): Promise<number> {
  const query = database
    .selectFrom('notice')
    .select((select) => select.fn.countAll<number | bigint | string>().as('count'))
    .where('account_id', '=', of.accountId)
    .where('topic', '=', of.topic)
    .where('at', '>', of.since);
  const { count } = await (of.kind === undefined
    ? query
    : query.where('kind', '=', of.kind)
  ).executeTakeFirstOrThrow();
  return Number(count);
}

/** Those not dismissed, newest first, at most `limit`. A row that the gateway did not write so is left out. */
export async function listNotices(
  database: Database,
  guard: RowGuard,
  of: { readonly accountId: Buffer; readonly since: number; readonly limit: number },
): Promise<readonly NoticeRow[]> {
  const rows = await database
    .selectFrom('notice')
    .selectAll()
    .where('account_id', '=', of.accountId)
    .where('at', '>', of.since)
    .where('dismissed_at', 'is', null)
    .orderBy('at', 'desc')
    .orderBy('id')
    .limit(of.limit)
    .execute();
  return rows.filter((row) => guard.isGenuine('notice', row));
}

/** By id and account (S-67). False when there is no such, or it was dismissed before. */
export async function dismissNotice(
  database: Database,
  accountId: Buffer,
  id: Buffer,
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('notice')
    .set({ dismissed_at: now })
    .where('id', '=', id)
    .where('account_id', '=', accountId)
    .where('dismissed_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** What is due, the longest first, whoever wrote the rows. */
export async function dueDeliveries(
  database: Database,
  now: number,
  limit: number,
): Promise<readonly NoticeDeliveryRow[]> {
  return await database
    .selectFrom('notice_delivery')
    .selectAll()
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Takes a delivery until `until`, as it was read; false when another node was first. */
export async function claimDelivery(
  database: Database,
  read: Pick<NoticeDeliveryRow, 'id' | 'due_at' | 'attempts'>,
  until: number,
): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('notice_delivery')
    .set({ due_at: until, attempts: read.attempts + 1 })
    .where('id', '=', read.id)
    .where('due_at', '=', read.due_at)
    .where('attempts', '=', read.attempts)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** What a claimed delivery is about; null when it is gone. Throws for a row that the gateway did not write so. */
export async function noticeOf(
  database: Database,
  guard: RowGuard,
  delivery: NoticeDeliveryRow,
): Promise<NoticeRow | null> {
  const row = await database
    .selectFrom('notice')
    .selectAll()
    .where('id', '=', delivery.notice_id)
    .executeTakeFirst();
  if (row === undefined) return null;
  genuine(guard, 'notice_delivery', delivery, row.account_id);
  return genuine(guard, 'notice', row, row.account_id);
}

/** Gives a claimed delivery back for another attempt. `attempts` is the claim's: an overtaken one changes nothing. */
export async function postponeDelivery(
  database: Database,
  claimed: Pick<NoticeDeliveryRow, 'id' | 'attempts'>,
  dueAt: number,
): Promise<void> {
  await database
    .updateTable('notice_delivery')
    .set({ due_at: dueAt })
    .where('id', '=', claimed.id)
    .where('attempts', '=', claimed.attempts)
    .execute();
}

/** It went out, or nobody tries any more. */
export async function deleteDelivery(database: Database, id: Buffer): Promise<void> {
  await database.deleteFrom('notice_delivery').where('id', '=', id).execute();
}

export async function countDeliveries(database: Database, dueBefore: number): Promise<number> {
  const { count } = await database
    .selectFrom('notice_delivery')
    .select((select) => select.fn.countAll<number | bigint | string>().as('count'))
    .where('due_at', '<=', dueBefore)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** Deletes notices of before `before`, at most `limit`; answers how many. */
export async function purgeNotices(database: Database, before: number, limit: number): Promise<number> {
  const { numDeletedRows } = await database
    .deleteFrom('notice')
    .where('id', 'in', (old) =>
      old.selectFrom('notice').select('id').where('at', '<', before).orderBy('at').limit(limit),
    )
    .executeTakeFirst();
  return Number(numDeletedRows);
}

/** The account's confirmed alternate addresses. Throws for a row that the gateway did not write so. */
export async function alternateAddresses(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
): Promise<readonly string[]> {
  const rows = await database
    .selectFrom('second_factor')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('kind', '=', 'email')
    .where('confirmed_at', 'is not', null)
    .execute();
  return rows.flatMap((row) => genuine(guard, 'second_factor', row, accountId).address ?? []);
}

/** null where the person never chose one, or there is no such account. */
export async function accountLanguage(database: Database, accountId: Buffer): Promise<string | null> {
  const row = await database
    .selectFrom('account')
    .select('language')
    .where('id', '=', accountId)
    .executeTakeFirst();
  return row?.language ?? null;
}

/** Remembers what the person chose; the caller has checked that there is such a language. */
export async function setAccountLanguage(
  database: Database,
  accountId: Buffer,
  language: string,
): Promise<void> {
  await database
    .updateTable('account')
    .set({ language })
    .where('id', '=', accountId)
    .where((where) => where.or([where('language', 'is', null), where('language', '!=', language)]))
    .execute();
}
