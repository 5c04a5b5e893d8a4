import { aheadMs } from './clock-ahead.ts';
import type { Database } from './database.ts';
import type { OidcTransactionRow } from './schema.ts';

/** Inserts one, and drops those that are over and all but the newest `most`: anybody may begin one. */
export async function insertOidcTransaction(
  database: Database,
  row: OidcTransactionRow,
  bounds: { readonly most: number; readonly createdAfter: number },
): Promise<void> {
  await database
    .deleteFrom('oidc_transaction')
    .where((where) =>
      where.or([
        where('created_at', '<=', bounds.createdAfter),
        // Of a clock that was ahead: over too, and newer than any that is begun now.
        where('created_at', '>', row.created_at + aheadMs),
      ]),
    )
    .execute();
  await database.insertInto('oidc_transaction').values(row).execute();
  await database
    .deleteFrom('oidc_transaction')
    .where('created_at', '<', (query) =>
      query
        .selectFrom('oidc_transaction')
        .select('created_at')
        .orderBy('created_at', 'desc')
        .limit(1)
        .offset(bounds.most - 1),
    )
    .execute();
}

/** Takes it out, in one statement: of two requests that show one cookie, one gets it (S-85). */
export async function takeOidcTransaction(
  database: Database,
  idHash: Buffer,
): Promise<OidcTransactionRow | null> {
  const row = await database
    .deleteFrom('oidc_transaction')
    .where('id_hash', '=', idHash)
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}
