import { type AddressedRow, addressedAppPasswords } from './app-passwords.ts';
import type { Database } from './database.ts';
import type { Account } from './schema.ts';

// Everything of a table, a page at a time: 100,000 rows at once would hold this process and the embedded engine.

/** Accounts after an address, in the order of addresses; their MACs are not checked. */
export async function pageOfAccounts(
  database: Database,
  after: string,
  limit: number,
): Promise<readonly Account[]> {
  return await database
    .selectFrom('account')
    .selectAll()
    .where('address', '>', after)
    .orderBy('address')
    .limit(limit)
    .execute();
}

/** App passwords after one, in the order of addresses and ids; their MACs are not checked. */
export async function pageOfAppPasswords(
  database: Database,
  after: { readonly address: string; readonly id: Buffer },
  limit: number,
): Promise<readonly AddressedRow[]> {
  return await addressedAppPasswords(database)
    .where((where) =>
      where.or([
        where('account.address', '>', after.address),
        where.and([where('account.address', '=', after.address), where('app_password.id', '>', after.id)]),
      ]),
    )
    .orderBy('account.address')
    .orderBy('app_password.id')
    .limit(limit)
    .execute();
}

/** Those that there are; their MACs are not checked. */
export async function accountsAt(
  database: Database,
  addresses: readonly string[],
): Promise<readonly Account[]> {
  if (addresses.length === 0) return [];
  return await database.selectFrom('account').selectAll().where('address', 'in', addresses).execute();
}

/** As {@link accountsAt}. */
export async function appPasswordsOf(
  database: Database,
  ids: readonly Buffer[],
): Promise<readonly AddressedRow[]> {
  if (ids.length === 0) return [];
  return await addressedAppPasswords(database).where('app_password.id', 'in', ids).execute();
}
