import { aheadMs } from './clock-ahead.ts';
import type { Database } from './database.ts';
import { genuine, type RowGuard } from './row-guard.ts';
import type { EnrollmentCodeRow } from './schema.ts';

/** Puts a code in place of the account's last one. Call it in a transaction that holds the account. */
export async function replaceEnrollmentCode(
  transaction: Database,
  guard: RowGuard,
  code: Pick<EnrollmentCodeRow, 'account_id' | 'pepper_version' | 'phc' | 'not_after'>,
  now: number,
): Promise<void> {
  await deleteEnrollmentCode(transaction, code.account_id, null);
  const row_mac = guard.mac('enrollment_code', code);
  await transaction
    .insertInto('enrollment_code')
    .values({ ...code, row_mac, tries: 0, spell_began_at: now, spell_tries: 0 })
    .execute();
}

export interface TryLimits {
  /** How long a code is good: one that would be for longer was made by a clock that was ahead. */
  readonly lifeMs: number;
  /** Of one code, ever. */
  readonly tries: number;
  readonly spellMs: number;
  readonly triesInSpell: number;
}

/**
 * Counts a try before it is looked at, in one statement, so that tries made at once cannot all be looked at. `none`: there is
 * no code, it is too old, or it was tried too often. Throws for a row the gateway did not write so.
 */
export async function countEnrollmentTry(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
  now: number,
  limits: TryLimits,
): Promise<
  | { readonly kind: 'counted'; readonly row: EnrollmentCodeRow }
  | { readonly kind: 'none' }
  | { readonly kind: 'throttled'; readonly until: number }
> {
  const spellStart = now - limits.spellMs;
  const row = await database
    .updateTable('enrollment_code')
    .set(({ eb, ref, val }) => {
      const isOver = eb.or([
        eb('spell_began_at', '<=', spellStart),
        eb('spell_began_at', '>', now + aheadMs),
      ]);
      return {
        tries: eb('tries', '+', 1),
        spell_tries: eb
          .case()
          .when(isOver)
          .then(1)
          .else(eb('spell_tries', '+', 1))
          .end(),
        spell_began_at: eb.case().when(isOver).then(val(now)).else(ref('spell_began_at')).end(),
      };
    })
    .where('account_id', '=', accountId)
    .where('not_after', '>', now)
    .where('not_after', '<=', now + limits.lifeMs + aheadMs)
    .where('tries', '<', limits.tries)
    .where(({ or, eb }) =>
      or([
        eb('spell_began_at', '<=', spellStart),
        eb('spell_began_at', '>', now + aheadMs),
        eb('spell_tries', '<', limits.triesInSpell),
      ]),
    )
    .returningAll()
    .executeTakeFirst();
  if (row !== undefined) {
    return { kind: 'counted', row: genuine(guard, 'enrollment_code', row, accountId) };
  }
  const waiting = await database
    .selectFrom('enrollment_code')
    .select('spell_began_at')
    .where('account_id', '=', accountId)
    .where('not_after', '>', now)
    .where('not_after', '<=', now + limits.lifeMs + aheadMs)
    .where('tries', '<', limits.tries)
    .executeTakeFirst();
  if (waiting === undefined) return { kind: 'none' };
  return { kind: 'throttled', until: waiting.spell_began_at + limits.spellMs };
}

/** The try led to no answer: as if it had not been made. */
export async function takeBackEnrollmentTry(database: Database, accountId: Buffer): Promise<void> {
  await database
    .updateTable('enrollment_code')
    .set(({ eb }) => ({ tries: eb('tries', '-', 1), spell_tries: eb('spell_tries', '-', 1) }))
    .where('account_id', '=', accountId)
    .execute();
}

/** The code with that MAC, or whichever there is; of two uses at once, one hears true. */
export async function deleteEnrollmentCode(
  transaction: Database,
  accountId: Buffer,
  rowMac: Buffer | null,
): Promise<boolean> {
  let query = transaction.deleteFrom('enrollment_code').where('account_id', '=', accountId);
  if (rowMac !== null) query = query.where('row_mac', '=', rowMac);
  const { numDeletedRows } = await query.executeTakeFirst();
  return numDeletedRows === 1n;
}

/** Voids those of everybody; answers how many there were. */
export async function deleteAllEnrollmentCodes(database: Database): Promise<number> {
  const { numDeletedRows } = await database.deleteFrom('enrollment_code').executeTakeFirst();
  return Number(numDeletedRows);
}
