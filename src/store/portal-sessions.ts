import { findAccountById, lockAccount } from './accounts.ts';
import { type Database, within } from './database.ts';
import { deleteOpenProfileLinks } from './profile-links.ts';
import { genuine, type RowGuard } from './row-guard.ts';
import type { Account, PortalSessionRow } from './schema.ts';

/**
 * Inserts a session, in place of the one that it comes of; drops dead ones of everybody, and of the account's own of that level
 * all but the newest `most`: a main password alone must not push out who has shown a second factor (S-60). False, and nothing
 * was inserted, where the one that it comes of is gone: whoever ends an account's sessions must not miss the next one.
 */
export async function insertPortalSession(
  database: Database,
  guard: RowGuard,
  session: Omit<PortalSessionRow, 'row_mac'>,
  bounds: { readonly most: number; readonly createdAfter: number },
  cameOf: Buffer | null = null,
): Promise<boolean> {
  await database.deleteFrom('portal_session').where('created_at', '<=', bounds.createdAfter).execute();
  return await database.transaction().execute(async (transaction) => {
    await lockAccount(transaction, session.account_id);
    if (cameOf !== null && !(await deletePortalSession(transaction, cameOf))) return false;
    const row_mac = guard.mac('portal_session', session);
    await transaction
      .insertInto('portal_session')
      .values({ ...session, row_mac })
      .execute();
    await transaction
      .deleteFrom('portal_session')
      .where('account_id', '=', session.account_id)
      .where('level', '=', session.level)
      .where('id_hash', '!=', session.id_hash)
      .where('id_hash', 'not in', (query) =>
        query
          .selectFrom('portal_session')
          .select('id_hash')
          .where('account_id', '=', session.account_id)
          .where('level', '=', session.level)
          .where('id_hash', '!=', session.id_hash)
          .orderBy('created_at', 'desc')
          .limit(bounds.most - 1),
      )
      .execute();
    return true;
  });
}

/**
 * The session with its account as it is now; null when it was ended or never was. Throws for a row that the gateway did
 * not write so: else whoever can write SQL would insert himself a session (S-34).
 */
export async function findPortalSession(
  database: Database,
  guard: RowGuard,
  idHash: Buffer,
): Promise<{ readonly session: PortalSessionRow; readonly account: Account } | null> {
  const row = await database
    .selectFrom('portal_session')
    .selectAll()
    .where('id_hash', '=', idHash)
    .executeTakeFirst();
  if (row === undefined) return null;
  const session = genuine(guard, 'portal_session', row, row.account_id);
  const account = await findAccountById(database, guard, session.account_id);
  return account === null ? null : { session, account };
}

/** Of an account; at most as many as it may have. Throws as {@link findPortalSession}. */
export async function listPortalSessions(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
): Promise<readonly PortalSessionRow[]> {
  const rows = await database
    .selectFrom('portal_session')
    .selectAll()
    .where('account_id', '=', accountId)
    .execute();
  return rows.map((row) => genuine(guard, 'portal_session', row, row.account_id));
}

export async function touchPortalSession(database: Database, idHash: Buffer, now: number): Promise<void> {
  await database.updateTable('portal_session').set({ seen_at: now }).where('id_hash', '=', idHash).execute();
}

/** Answers whether it still was there: of two requests that end one session, one hears true. */
export async function deletePortalSession(database: Database, idHash: Buffer): Promise<boolean> {
  const result = await database.deleteFrom('portal_session').where('id_hash', '=', idHash).executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Whether the session is still there: call it in a transaction that holds the account, whose resets end sessions. */
export async function isPortalSessionThere(
  transaction: Database,
  accountId: Buffer,
  idHash: Buffer,
): Promise<boolean> {
  const row = await transaction
    .selectFrom('portal_session')
    .select('id_hash')
    .where('account_id', '=', accountId)
    .where('id_hash', '=', idHash)
    .executeTakeFirst();
  return row !== undefined;
}

/**
 * Ends every session of the account, or every other one; answers how many. Unused profile links end with them: they were
 * made in one.
 */
export async function deletePortalSessionsOf(
  database: Database,
  accountId: Buffer,
  except: Buffer | null,
): Promise<number> {
  return await within(database, async (transaction) => {
    // Else a session that is just being made of another one is seen neither as that one nor as itself.
    await lockAccount(transaction, accountId);
    await deleteOpenProfileLinks(transaction, accountId);
    let query = transaction.deleteFrom('portal_session').where('account_id', '=', accountId);
    if (except !== null) query = query.where('id_hash', '!=', except);
    const { numDeletedRows } = await query.executeTakeFirst();
    return Number(numDeletedRows);
  });
}

/** Ends every session and every unused profile link of everybody; answers how many sessions there were. */
export async function deleteAllPortalSessions(database: Database): Promise<number> {
  await deleteOpenProfileLinks(database, null);
  const { numDeletedRows } = await database.deleteFrom('portal_session').executeTakeFirst();
  return Number(numDeletedRows);
}
