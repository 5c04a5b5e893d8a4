import type { Database } from './database.ts';
import { genuine, type RowGuard } from './row-guard.ts';
import type { RecoveryCodeRow } from './schema.ts';

/** Codes of one set that may be the one with a selector; usually none or one. Throws for a row the gateway did not write so. */
export async function findRecoveryCodes(
  database: Database,
  guard: RowGuard,
  of: { readonly factorId: Buffer; readonly accountId: Buffer },
  selectors: readonly { readonly pepperVersion: number; readonly selector: number }[],
): Promise<readonly RecoveryCodeRow[]> {
  if (selectors.length === 0) return [];
  const rows = await database
    .selectFrom('recovery_code')
    .selectAll()
    .where('factor_id', '=', of.factorId)
    .where((where) =>
      where.or(
        selectors.map(({ pepperVersion, selector }) =>
          where.and([where('pepper_version', '=', pepperVersion), where('selector', '=', selector)]),
        ),
      ),
    )
    .execute();
  return rows.map((row) => genuine(guard, 'recovery_code', row, of.accountId));
}

export async function insertRecoveryCodes(
  transaction: Database,
  guard: RowGuard,
  codes: readonly Omit<RecoveryCodeRow, 'row_mac'>[],
): Promise<void> {
  const rows = codes.map((code) => ({ ...code, row_mac: guard.mac('recovery_code', code) }));
  await transaction.insertInto('recovery_code').values(rows).execute();
}

/** Spends a code: of two uses at once, one hears true. */
export async function deleteRecoveryCode(transaction: Database, id: Buffer): Promise<boolean> {
  const { numDeletedRows } = await transaction
    .deleteFrom('recovery_code')
    .where('id', '=', id)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}

export async function countRecoveryCodes(database: Database, factorId: Buffer): Promise<number> {
  const { left } = await database
    .selectFrom('recovery_code')
    .select(({ fn }) => fn.countAll<number>().as('left'))
    .where('factor_id', '=', factorId)
    .executeTakeFirstOrThrow();
  return left;
}

export async function markRecoveryCodesSaved(
  database: Database,
  factorId: Buffer,
  now: number,
): Promise<void> {
  await database.updateTable('second_factor').set({ saved_at: now }).where('id', '=', factorId).execute();
}

/** Voids every set of everybody; answers how many codes went. */
export async function deleteAllRecoveryCodes(database: Database): Promise<number> {
  const { numDeletedRows } = await database.deleteFrom('recovery_code').executeTakeFirst();
  await database.deleteFrom('second_factor').where('kind', '=', 'recovery').execute();
  return Number(numDeletedRows);
}
