import { findAccountById, lockAccount } from './accounts.ts';
import { aheadMs } from './clock-ahead.ts';
import type { Database } from './database.ts';
import { ForgedRowError, type GuardedRows, genuine, type RowGuard, refused } from './row-guard.ts';
import type { SecondFactorRow } from './schema.ts';

/** Kinds an account can stand on alone: an e-mail code and recovery codes only stand beside one of them. */
const standing: readonly SecondFactorRow['kind'][] = ['totp', 'passkey'];

export function isStanding(factor: Pick<SecondFactorRow, 'kind'>): boolean {
  return standing.includes(factor.kind);
}

/**
 * The account's factors, disabled ones too, the oldest first; none before the first enrollment is finished. Throws for a
 * row that the gateway did not write so, and where the account has enrolled and what it stands on is gone: that is not a
 * first enrollment (S-74).
 */
export async function listFactors(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
): Promise<readonly SecondFactorRow[]> {
  const first = await confirmedRows(database, guard, accountId);
  if (first.some(isStanding)) return first;
  const account = await findAccountById(database, guard, accountId);
  if (account === null || account.enrolled_at === null) return [];
  // Once more: an enrollment may have finished between the two.
  const second = await confirmedRows(database, guard, accountId);
  if (second.some(isStanding)) return second;
  throw refused(guard, new ForgedRowError('second_factor', accountId, 'missing'));
}

/** Begun in the last `lifeMs`; null when there is none, or it is confirmed by now. Throws for a forged row. */
export async function findPendingFactor(
  database: Database,
  guard: RowGuard,
  at: { readonly id: Buffer; readonly accountId: Buffer; readonly now: number; readonly lifeMs: number },
): Promise<SecondFactorRow | null> {
  const row = await database
    .selectFrom('second_factor')
    .selectAll()
    .where('id', '=', at.id)
    .where('account_id', '=', at.accountId)
    .where('confirmed_at', 'is', null)
    .where('created_at', '>', at.now - at.lifeMs)
    .where('created_at', '<=', at.now + aheadMs)
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'second_factor', row, at.accountId);
}

/** What makes a factor of its kind; what the kind does not have is left out. */
export type FactorFields = Pick<SecondFactorRow, 'id' | 'account_id' | 'kind' | 'created_at'> &
  Partial<
    Omit<GuardedRows['second_factor'], 'id' | 'account_id' | 'kind' | 'disabled_at'> &
      Pick<SecondFactorRow, 'backed_up' | 'sign_count' | 'transports' | 'name'>
  >;

/** Inserts a factor, unfinished unless it says when it was confirmed. Answers the row. */
export async function insertFactor(
  database: Database,
  guard: RowGuard,
  fields: FactorFields,
): Promise<SecondFactorRow> {
  const bare = {
    sealed: '',
    address: null,
    credential_id: null,
    public_key: null,
    rp_id: null,
    user_verified: null,
    backup_eligible: null,
    backed_up: null,
    sign_count: null,
    transports: null,
    name: '',
    confirmed_at: null,
  };
  const guarded = { ...bare, ...fields, disabled_at: null } satisfies GuardedRows['second_factor'];
  const row: SecondFactorRow = {
    ...guarded,
    is_primary: 0,
    last_step: -1,
    consecutive_failures: 0,
    row_mac: guard.mac('second_factor', guarded),
    used_at: null,
    told_at: null,
    saved_at: null,
  };
  await database.insertInto('second_factor').values(row).execute();
  return row;
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
  await database.transaction().execute(async (transaction) => {
    await lockAccount(transaction, factor.accountId);
    await transaction
      .deleteFrom('second_factor')
      .where('account_id', '=', factor.accountId)
      .where('confirmed_at', 'is', null)
      .where((where) => where.or([where('id', '=', factor.id), where('created_at', '<=', factor.deadBefore)]))
      .execute();
    await insertFactor(transaction, guard, {
      id: factor.id,
      account_id: factor.accountId,
      kind: 'totp',
      sealed: factor.sealed,
      created_at: factor.now,
    });
  });
}

/** Makes an unfinished factor a real one and spends the step that proved it. False when it is gone, old or not as it was read. */
export async function confirmPendingFactor(
  transaction: Database,
  guard: RowGuard,
  factor: SecondFactorRow,
  proof: {
    readonly step: number;
    readonly now: number;
    readonly lifeMs: number;
    readonly name: string;
  },
): Promise<boolean> {
  const confirmed = { ...factor, confirmed_at: proof.now };
  const change = {
    confirmed_at: proof.now,
    row_mac: guard.mac('second_factor', confirmed),
    last_step: proof.step,
    name: proof.name,
  };
  const { numUpdatedRows } = await transaction
    .updateTable('second_factor')
    .set(change as object)
    .where('id', '=', factor.id)
    .where('row_mac', '=', factor.row_mac)
    .where('confirmed_at', 'is', null)
    .where('created_at', '>', proof.now - proof.lifeMs)
    .where('created_at', '<=', proof.now + aheadMs)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Drops what sessions of the account had begun to enroll. */
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
export async function spendStep(database: Database, id: Buffer, step: number, now: number): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('second_factor')
    .set({ last_step: step, consecutive_failures: 0, used_at: now })
    .where('id', '=', id)
    .where('last_step', '<', step)
    .where('confirmed_at', 'is not', null)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Spends every step an app may have shown up to now, of everybody: after a restore nobody knows which were. */
export async function spendStepsUntil(database: Database, now: number): Promise<void> {
  const step = Math.floor(now / 30_000) + 1;
  await database
    .updateTable('second_factor')
    .set({ last_step: step })
    .where('kind', '=', 'totp')
    .where('last_step', '<', step)
    .where('confirmed_at', 'is not', null)
    .execute();
}

/** Ends the run of failures. False when the factor is gone or disabled meanwhile. */
export async function markFactorUsed(database: Database, id: Buffer, now: number): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('second_factor')
    .set({ consecutive_failures: 0, used_at: now })
    .where('id', '=', id)
    .where('confirmed_at', 'is not', null)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

export async function deleteFactor(transaction: Database, accountId: Buffer, id: Buffer): Promise<boolean> {
  const { numDeletedRows } = await transaction
    .deleteFrom('second_factor')
    .where('account_id', '=', accountId)
    .where('id', '=', id)
    .where('confirmed_at', 'is not', null)
    .executeTakeFirst();
  return numDeletedRows === 1n;
}

export async function renameFactor(database: Database, id: Buffer, name: string): Promise<void> {
  await database.updateTable('second_factor').set({ name }).where('id', '=', id).execute();
}

export async function makeFactorPrimary(transaction: Database, accountId: Buffer, id: Buffer): Promise<void> {
  await transaction
    .updateTable('second_factor')
    .set(({ eb }) => ({ is_primary: eb.case().when('id', '=', id).then(1).else(0).end() }) as object)
    .where('account_id', '=', accountId)
    .execute();
}

/** Takes a disabled factor back into use and forgets its failures. False where it is not as it was read, and nothing is changed. */
export async function enableFactor(
  transaction: Database,
  guard: RowGuard,
  factor: SecondFactorRow,
): Promise<boolean> {
  const row_mac = guard.mac('second_factor', { ...factor, disabled_at: null });
  const { numUpdatedRows } = await transaction
    .updateTable('second_factor')
    .set({ disabled_at: null, consecutive_failures: 0, row_mac } as object)
    .where('id', '=', factor.id)
    .where('row_mac', '=', factor.row_mac)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) return false;
  await transaction.deleteFrom('factor_failure').where('factor_id', '=', factor.id).execute();
  return true;
}

async function confirmedRows(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
): Promise<readonly SecondFactorRow[]> {
  const rows = await database
    .selectFrom('second_factor')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('confirmed_at', 'is not', null)
    .orderBy('confirmed_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => genuine(guard, 'second_factor', row, accountId));
}
