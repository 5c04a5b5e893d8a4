import type { Database } from './database.ts';
import type { SecondFactorRow } from './schema.ts';

/** The account's factor, disabled or not; null before the first enrollment is finished. */
export async function findConfirmedFactor(
  database: Database,
  accountId: Buffer,
): Promise<SecondFactorRow | null> {
  const row = await database
    .selectFrom('second_factor')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('confirmed_at', 'is not', null)
    .orderBy('confirmed_at')
    .executeTakeFirst();
  return row ?? null;
}

/** null when there is none, it is confirmed by now, or it is not younger than `createdAfter`. */
export async function findPendingFactor(
  database: Database,
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
  return row ?? null;
}

/** Puts an unfinished factor in place of the one with that id, and drops the account's dead ones. */
export async function replacePendingFactor(
  database: Database,
  factor: {
    readonly id: Buffer;
    readonly accountId: Buffer;
    readonly sealed: string;
    readonly now: number;
    readonly deadBefore: number;
  },
): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    await transaction
      .deleteFrom('second_factor')
      .where('account_id', '=', factor.accountId)
      .where('confirmed_at', 'is', null)
      .where((where) => where.or([where('id', '=', factor.id), where('created_at', '<=', factor.deadBefore)]))
      .execute();
    await transaction
      .insertInto('second_factor')
      .values({
        id: factor.id,
        account_id: factor.accountId,
        kind: 'totp',
        sealed: factor.sealed,
        confirmed_at: null,
        last_step: -1,
        consecutive_failures: 0,
        disabled_at: null,
        created_at: factor.now,
      })
      .execute();
  });
}

/**
 * Makes an unfinished factor the account's own and spends the step that proved it, in one statement.
 * False when it is gone, too old, or another one was confirmed first.
 */
export async function confirmFactor(
  database: Database,
  factor: {
    readonly id: Buffer;
    readonly accountId: Buffer;
    readonly step: number;
    readonly now: number;
    readonly createdAfter: number;
  },
): Promise<boolean> {
  const result = await database
    .updateTable('second_factor')
    .set({ confirmed_at: factor.now, last_step: factor.step })
    .where('id', '=', factor.id)
    .where('account_id', '=', factor.accountId)
    .where('confirmed_at', 'is', null)
    .where('created_at', '>', factor.createdAfter)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('second_factor as other')
            .select('other.id')
            .where('other.account_id', '=', factor.accountId)
            .where('other.confirmed_at', 'is not', null),
        ),
      ),
    )
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
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
