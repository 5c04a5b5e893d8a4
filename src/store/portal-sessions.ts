import type { Database } from './database.ts';
import type { Account, PortalSessionRow } from './schema.ts';

/** Inserts a session, drops dead ones of everybody, and of the account's own all but the newest `most`. */
export async function insertPortalSession(
  database: Database,
  session: PortalSessionRow,
  bounds: { readonly most: number; readonly createdAfter: number },
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    await transaction.deleteFrom('portal_session').where('created_at', '<=', bounds.createdAfter).execute();
    await transaction.insertInto('portal_session').values(session).execute();
    await transaction
      .deleteFrom('portal_session')
      .where('account_id', '=', session.account_id)
      .where('id_hash', '!=', session.id_hash)
      .where('id_hash', 'not in', (query) =>
        query
          .selectFrom('portal_session')
          .select('id_hash')
          .where('account_id', '=', session.account_id)
          .where('id_hash', '!=', session.id_hash)
          .orderBy('created_at', 'desc')
          .limit(bounds.most - 1),
      )
      .execute();
  });
}

/** The session with its account as it is now; null when it was ended or never was. */
export async function findPortalSession(
  database: Database,
  idHash: Buffer,
): Promise<{ readonly session: PortalSessionRow; readonly account: Account } | null> {
  const session = await database
    .selectFrom('portal_session')
    .selectAll()
    .where('id_hash', '=', idHash)
    .executeTakeFirst();
  if (session === undefined) return null;
  const account = await database
    .selectFrom('account')
    .selectAll()
    .where('id', '=', session.account_id)
    .executeTakeFirst();
  return account === undefined ? null : { session, account };
}

export async function touchPortalSession(database: Database, idHash: Buffer, now: number): Promise<void> {
  await database.updateTable('portal_session').set({ seen_at: now }).where('id_hash', '=', idHash).execute();
}

/** Answers whether it still was there: of two requests that end one session, one hears true. */
export async function deletePortalSession(database: Database, idHash: Buffer): Promise<boolean> {
  const result = await database.deleteFrom('portal_session').where('id_hash', '=', idHash).executeTakeFirst();
  return result.numDeletedRows === 1n;
}

/** Ends every session of the account, or every other one. */
export async function deletePortalSessionsOf(
  database: Database,
  accountId: Buffer,
  except: Buffer | null,
): Promise<void> {
  let query = database.deleteFrom('portal_session').where('account_id', '=', accountId);
  if (except !== null) query = query.where('id_hash', '!=', except);
  await query.execute();
}
