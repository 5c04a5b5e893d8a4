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
    for (const row of await to.selectFrom('identity_link').selectAll().execute()) {
      if (!guard.isOutdated(row.row_mac) || !guard.isGenuine('identity_link', row)) continue;
      const { numUpdatedRows } = await to
        .updateTable('identity_link')
        .set({ row_mac: guard.mac('identity_link', row) })
        .where('id', '=', row.id)
        .where('row_mac', '=', row.row_mac)
        .executeTakeFirst();
      moved += Number(numUpdatedRows);
    }
    for (const row of await to.selectFrom('recovery_code').selectAll().execute()) {
      if (!guard.isOutdated(row.row_mac) || !guard.isGenuine('recovery_code', row)) continue;
      const { numUpdatedRows } = await to
        .updateTable('recovery_code')
        .set({ row_mac: guard.mac('recovery_code', row) })
        .where('id', '=', row.id)
        .where('row_mac', '=', row.row_mac)
        .executeTakeFirst();
      moved += Number(numUpdatedRows);
    }
    for (const row of await to.selectFrom('enrollment_code').selectAll().execute()) {
      if (!guard.isOutdated(row.row_mac) || !guard.isGenuine('enrollment_code', row)) continue;
      const { numUpdatedRows } = await to
        .updateTable('enrollment_code')
        .set({ row_mac: guard.mac('enrollment_code', row) })
        .where('account_id', '=', row.account_id)
        .where('row_mac', '=', row.row_mac)
        .executeTakeFirst();
      moved += Number(numUpdatedRows);
    }
  });
  return moved + (await renewNoticeMacs(database, guard));
}

const noticesAtOnce = 500;

/** Some hundreds at a time: there are as many as people were told of in 30 days. */
async function renewNoticeMacs(database: Database, guard: RowGuard): Promise<number> {
  let moved = 0;
  for (const table of ['notice', 'notice_delivery'] as const) {
    for (let after: Buffer = Buffer.alloc(0); ; ) {
      const rows = await database
        .selectFrom(table)
        .selectAll()
        .where('id', '>', after)
        .orderBy('id')
        .limit(noticesAtOnce)
        .execute();
      await writeEach(database, async (to) => {
        for (const row of rows) {
          if (!guard.isOutdated(row.row_mac) || !guard.isGenuine(table, row as never)) continue;
          const { numUpdatedRows } = await to
            .updateTable(table)
            .set({ row_mac: guard.mac(table, row as never) })
            .where('id', '=', row.id)
            .where('row_mac', '=', row.row_mac)
            .executeTakeFirst();
          moved += Number(numUpdatedRows);
        }
      });
      const last = rows.at(-1);
      if (last === undefined || rows.length < noticesAtOnce) break;
      after = last.id;
    }
  }
  return moved;
}
