import { type Database, writeEach } from './database.ts';
import type { RowGuard } from './row-guard.ts';

/**
 * Puts what is under an old mac key under the active one, so that the old key may go (S-40). A row that is not genuine keeps
 * the MAC it has. Sessions do not outlive a day, and app passwords move at their next login. Answers how many moved.
 */
export async function renewRowMacs(database: Database, guard: RowGuard): Promise<number> {
  let moved = 0;
  await writeEach(database, async (to) => {
    for (const row of await to.selectFrom('account').selectAll().execute()) {
      if (!guard.isOutdated(row.row_mac) || !guard.isGenuine('account', row)) continue;
      const { numUpdatedRows } = await to
        .updateTable('account')
        .set({ row_mac: guard.mac('account', row) })
        .where('id', '=', row.id)
        .where('row_mac', '=', row.row_mac)
        .executeTakeFirst();
      moved += Number(numUpdatedRows);
    }
    for (const row of await to.selectFrom('second_factor').selectAll().execute()) {
      if (!guard.isOutdated(row.row_mac) || !guard.isGenuine('second_factor', row)) continue;
      const { numUpdatedRows } = await to
        .updateTable('second_factor')
        .set({ row_mac: guard.mac('second_factor', row) })
        .where('id', '=', row.id)
        .where('row_mac', '=', row.row_mac)
        .executeTakeFirst();
      moved += Number(numUpdatedRows);
    }
  });
  return moved;
}
