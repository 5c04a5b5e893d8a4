import { findAccountById, lockAccount, markEnrolled } from './accounts.ts';
import type { Database } from './database.ts';
import { ForgedRowError, type GuardedRows, genuine, type RowGuard, refused } from './row-guard.ts';
import type { SecondFactorRow } from './schema.ts';

/**
 * The account's factor, disabled or not; null before the first enrollment is finished. Throws for a row that the gateway
 * did not write so, and where the account has enrolled and the factor is gone: that is not a first enrollment (S-74).
 */
export async function findConfirmedFactor(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
): Promise<SecondFactorRow | null> {
  const first = await confirmedRow(database, accountId);
  if (first !== null) return genuine(guard, 'second_factor', first, accountId);
  const account = await findAccountById(database, guard, accountId);
  if (account === null || account.enrolled_at === null) return null;
  // Once more: an enrollment may have finished between the two.
  const second = await confirmedRow(database, accountId);
  if (second !== null) return genuine(guard, 'second_factor', second, accountId);
  throw refused(guard, new ForgedRowError('second_factor', accountId, 'missing'));
}

/** null when there is none, it is confirmed by now, or it is not younger than `createdAfter`. Throws for a forged row. */
export async function findPendingFactor(
  database: Database,
  guard: RowGuard,
  at: { readonly id: Buffer; readonly accountId: Buffer; readonly createdAfter: number },
): Promise<SecondFactorRow | null> {
  const row = await database
    .selectFrom('second_factor')
    .selectAll()
    .where('id', '=', at.id)
    .where('account_id', '=', at.accountId)
    .where('confirmed_at', 'is', null)
    .where('created_at', '>', at.createdAfter)
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'second_factor', row, at.accountId);
}

/** Puts an unfinished factor in place of the one with that id, and drops the account's dead ones. */
export async function replacePendingFactor(
  database: Database,
  guard: RowGuard,
  factor: {
    readonly id: Buffer;
    readonly accountId: Buffer;
    readonly sealed: string;
    readonly now: number;
    readonly deadBefore: number;
  },
): Promise<void> {
  const fields = {
    id: factor.id,
    account_id: factor.accountId,
    kind: 'totp',
    sealed: factor.sealed,
    confirmed_at: null,
    disabled_at: null,
  } satisfies GuardedRows['second_factor'];
  await database.transaction().execute(async (transaction) => {
    await lockAccount(transaction, factor.accountId);
    await transaction
      .deleteFrom('second_factor')
      .where('account_id', '=', factor.accountId)
      .where('confirmed_at', 'is', null)
      .where((where) => where.or([where('id', '=', factor.id), where('created_at', '<=', factor.deadBefore)]))
      .execute();
    await transaction
      .insertInto('second_factor')
      .values({
        ...fields,
        row_mac: guard.mac('second_factor', fields),
        last_step: -1,
        consecutive_failures: 0,
        created_at: factor.now,
      })
      .execute();
  });
}

/**
 * Makes an unfinished factor the account's own, spends the step that proved it and lets the account remember that it has
 * enrolled, in one transaction. False when it is gone, too old or no longer as it was read, or the account had enrolled.
 */
export async function confirmFactor(
  database: Database,
  guard: RowGuard,
  factor: SecondFactorRow,
  proof: { readonly step: number; readonly now: number; readonly createdAfter: number },
): Promise<boolean> {
  const confirmed = { ...factor, confirmed_at: proof.now };
  const change = {
    confirmed_at: proof.now,
    row_mac: guard.mac('second_factor', confirmed),
    last_step: proof.step,
  };
  return await database.transaction().execute(async (transaction) => {
    await lockAccount(transaction, factor.account_id);
    const account = await findAccountById(transaction, guard, factor.account_id);
    if (account === null || account.enrolled_at !== null) return false;
    const result = await transaction
      .updateTable('second_factor')
      .set(change as object)
      .where('id', '=', factor.id)
      .where('row_mac', '=', factor.row_mac)
      .where('confirmed_at', 'is', null)
      .where('created_at', '>', proof.createdAfter)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('second_factor as other')
              .select('other.id')
              .where('other.account_id', '=', factor.account_id)
              .where('other.confirmed_at', 'is not', null),
          ),
        ),
      )
      .executeTakeFirst();
    if (result.numUpdatedRows !== 1n) return false;
    await markEnrolled(transaction, guard, account, proof.now);
    return true;
  });
}

/** Drops what other sessions of the account had begun to enroll. */
export async function deletePendingFactors(database: Database, accountId: Buffer): Promise<void> {
  await database
    .deleteFrom('second_factor')
    .where('account_id', '=', accountId)
    .where('confirmed_at', 'is', null)
    .execute();
}

/**
 * S-75: spends a time step and ends the run of failures, in one statement. False when that step or a later one is
 * spent already: of twenty posts of one code only one wins.
 */
export async function spendStep(database: Database, id: Buffer, step: number): Promise<boolean> {
  const result = await database
    .updateTable('second_factor')
    .set({ last_step: step, consecutive_failures: 0 })
    .where('id', '=', id)
    .where('last_step', '<', step)
    .where('confirmed_at', 'is not', null)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

async function confirmedRow(database: Database, accountId: Buffer): Promise<SecondFactorRow | null> {
  const row = await database
    .selectFrom('second_factor')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('confirmed_at', 'is not', null)
    .orderBy('confirmed_at')
    .executeTakeFirst();
  return row ?? null;
}
