import { type AddressedRow, addressedAppPasswords } from './app-passwords.ts';
import { type Database, writeEach } from './database.ts';
import { macPrefix } from './key-uses.ts';
import type { RowGuard } from './row-guard.ts';
import type { AppPasswordRow, SecondFactorRow } from './schema.ts';

/** Those whose MAC is under a key older than the active one, after an id, in the order of ids. */
export async function listOutdatedAppPasswords(
  database: Database,
  activeMacId: number,
  after: Buffer,
  limit: number,
): Promise<readonly AddressedRow[]> {
  return await addressedAppPasswords(database)
    .where('app_password.row_mac', '<', macPrefix(activeMacId))
    .where('app_password.id', '>', after)
    .orderBy('app_password.id')
    .limit(limit)
    .execute();
}

/** Puts new MACs on rows that are still as they were read; answers how many. */
export async function replaceRowMacs(
  database: Database,
  rows: readonly { readonly read: Pick<AppPasswordRow, 'id' | 'row_mac'>; readonly row_mac: Buffer }[],
): Promise<number> {
  let replaced = 0;
  await writeEach(database, async (to) => {
    for (const { read, row_mac } of rows) {
      const { numUpdatedRows } = await to
        .updateTable('app_password')
        .set({ row_mac })
        .where('id', '=', read.id)
        .where('row_mac', '=', read.row_mac)
        .executeTakeFirst();
      replaced += Number(numUpdatedRows);
    }
  });
  return replaced;
}

/** Rows with something sealed, after an id, in the order of ids. */
export async function listSealedFactors(
  database: Database,
  after: Buffer,
  limit: number,
): Promise<readonly SecondFactorRow[]> {
  return await database
    .selectFrom('second_factor')
    .selectAll()
    .where('sealed', '!=', '')
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Puts the same under another seal, if the row is still as it was read. */
export async function replaceSealed(
  database: Database,
  guard: RowGuard,
  row: SecondFactorRow,
  sealed: string,
): Promise<boolean> {
  const change = { sealed, row_mac: guard.mac('second_factor', { ...row, sealed }) };
  const { numUpdatedRows } = await database
    .updateTable('second_factor')
    .set(change as object)
    .where('id', '=', row.id)
    .where('row_mac', '=', row.row_mac)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
