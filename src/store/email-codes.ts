import { lockAccount } from './accounts.ts';
import { aheadMs } from './clock-ahead.ts';
import type { Database } from './database.ts';
import type { EmailCodeRow } from './schema.ts';

/** How many codes an account may be sent within a time; a new session or address resets nothing (S-76). */
export interface SendLimit {
  readonly windowMs: number;
  readonly codes: number;
}

/**
 * Keeps a code that is about to be sent, and ends the session's last one. When the account was sent too many lately: when the
 * next one may be.
 */
export async function insertEmailCode(
  database: Database,
  code: Omit<EmailCodeRow, 'tries' | 'ended_at'>,
  limit: SendLimit,
): Promise<{ readonly kind: 'kept' } | { readonly kind: 'throttled'; readonly until: number }> {
  const { account_id, created_at: now } = code;
  // Past the window they count nowhere, and are dead by then.
  await database
    .deleteFrom('email_code')
    .where('created_at', '<=', now - limit.windowMs)
    .execute();
  return await database.transaction().execute(async (transaction) => {
    await lockAccount(transaction, account_id);
    // By a clock that was ahead: dead, because their MAC has another time, and counted as sent just now.
    await transaction
      .updateTable('email_code')
      .set({ created_at: now })
      .where('account_id', '=', account_id)
      .where('created_at', '>', now + aheadMs)
      .execute();
    const recent = await transaction
      .selectFrom('email_code')
      .select('created_at')
      .where('account_id', '=', account_id)
      .orderBy('created_at', 'desc')
      .execute();
    const oldest = recent[limit.codes - 1];
    if (oldest !== undefined) return { kind: 'throttled', until: oldest.created_at + limit.windowMs };
    await transaction
      .updateTable('email_code')
      .set({ ended_at: now })
      .where('account_id', '=', account_id)
      .where('session_hash', '=', code.session_hash)
      .where('ended_at', 'is', null)
      .execute();
    await transaction
      .insertInto('email_code')
      .values({ ...code, tries: 0, ended_at: null })
      .execute();
    return { kind: 'kept' };
  });
}

type CodePlace = Pick<EmailCodeRow, 'account_id' | 'session_hash'>;

/** The session's open code, made in the last `lifeMs`; null for none. */
export async function findEmailCode(
  database: Database,
  place: CodePlace,
  now: number,
  lifeMs: number,
): Promise<EmailCodeRow | null> {
  const row = await database
    .selectFrom('email_code')
    .selectAll()
    .where('account_id', '=', place.account_id)
    .where('session_hash', '=', place.session_hash)
    .where('ended_at', 'is', null)
    .where('created_at', '>', now - lifeMs)
    .where('created_at', '<=', now + aheadMs)
    .executeTakeFirst();
  return row ?? null;
}

/** Counts a try before it is looked at, in one statement. null: it was tried too often, used or replaced. */
export async function countEmailTry(
  database: Database,
  id: Buffer,
  most: number,
): Promise<EmailCodeRow | null> {
  const row = await database
    .updateTable('email_code')
    .set(({ eb }) => ({ tries: eb('tries', '+', 1) }))
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .where('tries', '<', most)
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

/** It was not sent after all: it counts nowhere. */
export async function deleteEmailCode(database: Database, id: Buffer): Promise<void> {
  await database.deleteFrom('email_code').where('id', '=', id).execute();
}

/** Spends it: of two uses at once, one hears true. */
export async function endEmailCode(database: Database, id: Buffer, now: number): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('email_code')
    .set({ ended_at: now })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}
