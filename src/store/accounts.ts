import { randomBytes } from 'node:crypto';
import { type Database, within } from './database.ts';
import { appendRevocation } from './revocations.ts';
import { type GuardedRows, genuine, type RowGuard } from './row-guard.ts';
import type { Account } from './schema.ts';

/** null when nobody has this canonical address. Throws for a row that the gateway did not write so. */
export async function findAccount(
  database: Database,
  guard: RowGuard,
  address: string,
): Promise<Account | null> {
  const row = await database
    .selectFrom('account')
    .selectAll()
    .where('address', '=', address)
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'account', row, row.id);
}

/** As {@link findAccount}. */
export async function findAccountById(
  database: Database,
  guard: RowGuard,
  id: Buffer,
): Promise<Account | null> {
  const row = await rowOf(database, id);
  return row === null ? null : genuine(guard, 'account', row, row.id);
}

/** What a row says, whoever wrote it. Without its MAC it is no {@link Account}, and opens nothing. */
export type UncheckedAccount = Omit<Account, 'row_mac'>;

/** For what ends something, which a forged row must not prevent. */
export async function findAccountUnchecked(
  database: Database,
  by: { readonly id: Buffer } | { readonly address: string },
): Promise<UncheckedAccount | null> {
  const query = database
    .selectFrom('account')
    .select([
      'id',
      'address',
      'state',
      'mfa',
      'enrolled_at',
      'created_at',
      'language',
      'hold_until',
      'user_handle',
    ]);
  const row = await ('id' in by
    ? query.where('id', '=', by.id)
    : query.where('address', '=', by.address)
  ).executeTakeFirst();
  return row ?? null;
}

/** Canonical addresses of all accounts, whoever wrote the rows: for names in what an operator is shown. */
export async function listAddresses(database: Database): Promise<readonly string[]> {
  const rows = await database.selectFrom('account').select('address').execute();
  return rows.map(({ address }) => address);
}

/** All of them, for the operator's eyes: a forged one is told apart and not left out. */
export async function listAccounts(
  database: Database,
  guard: RowGuard,
): Promise<readonly { readonly account: UncheckedAccount; readonly isGenuine: boolean }[]> {
  const rows = await database.selectFrom('account').selectAll().orderBy('address').execute();
  return rows.map(({ row_mac, ...account }) => ({
    account,
    isGenuine: guard.isGenuine('account', { ...account, row_mac }),
  }));
}

export async function listAccountIds(database: Database): Promise<readonly Buffer[]> {
  const rows = await database.selectFrom('account').select('id').execute();
  return rows.map(({ id }) => id);
}

/** Makes the account, or answers the one that exists: two first sign-ins at once end in one account. */
export async function createAccount(
  database: Database,
  guard: RowGuard,
  address: string,
  now: number,
): Promise<{ readonly account: Account; readonly created: boolean }> {
  const fields = {
    id: randomBytes(16),
    address,
    state: 'active',
    mfa: null,
    enrolled_at: null,
    hold_until: null,
  } satisfies GuardedRows['account'];
  const result = await database
    .insertInto('account')
    .values({ ...fields, row_mac: guard.mac('account', fields), created_at: now })
    .onConflict((conflict) => conflict.column('address').doNothing())
    .executeTakeFirst();
  const account = await findAccount(database, guard, address);
  if (account === null) throw new Error('an account that was just made is gone');
  return { account, created: (result.numInsertedOrUpdatedRows ?? 0n) > 0n };
}

export async function setAccountMfa(
  database: Database,
  guard: RowGuard,
  id: Buffer,
  mfa: Account['mfa'],
): Promise<void> {
  await changeAccount(database, guard, id, { mfa });
}

export async function enableAccount(database: Database, guard: RowGuard, id: Buffer): Promise<void> {
  await changeAccount(database, guard, id, { state: 'active' });
}

/**
 * Disables, ends the browser's sessions and enters the feed in one transaction, so that no session of the account outlives
 * it. Works on a forged row too, and lends it no MAC.
 */
export async function disableAccount(
  database: Database,
  guard: RowGuard,
  id: Buffer,
  now: number,
): Promise<void> {
  await within(database, async (transaction) => {
    await lockAccount(transaction, id);
    const row = await rowOf(transaction, id);
    if (row === null) return;
    const isGenuine = guard.isGenuine('account', row);
    await write(transaction, row, { state: 'disabled' }, isGenuine ? guard : null);
    // Else they would go on when the account is enabled again.
    for (const table of ['portal_session', 'profile_link'] as const) {
      await transaction.deleteFrom(table).where('account_id', '=', id).execute();
    }
    await appendRevocation(transaction, {
      credentialId: null,
      accountId: id,
      at: now,
      reason: 'account disabled',
    });
  });
}

/**
 * Takes every second factor, code and browser session of the account, so that it enrolls anew; answers how many factors
 * there were. Call it in a transaction.
 */
export async function resetSecondFactors(
  transaction: Database,
  guard: RowGuard,
  accountId: Buffer,
): Promise<number> {
  await changeAccountLocked(transaction, guard, accountId, { enrolled_at: null, hold_until: null });
  const factors = await transaction
    .deleteFrom('second_factor')
    .where('account_id', '=', accountId)
    .returning(['kind', 'confirmed_at'])
    .execute();
  for (const table of [
    'webauthn_challenge',
    'email_code',
    'enrollment_code',
    'portal_session',
    'profile_link',
  ] as const) {
    await transaction.deleteFrom(table).where('account_id', '=', accountId).execute();
  }
  return factors.filter(({ kind, confirmed_at }) => confirmed_at !== null && kind !== 'recovery').length;
}

/** Lets a locked account create no app password before `until`; null for no such hold. Call it in a transaction. */
export async function setHold(
  transaction: Database,
  guard: RowGuard,
  account: Account,
  until: number | null,
): Promise<void> {
  await write(transaction, account, { hold_until: until }, guard);
}

/** The account's WebAuthn user handle; `fresh` becomes it where there is none. */
export async function userHandleOf(database: Database, accountId: Buffer, fresh: Buffer): Promise<Buffer> {
  await database
    .updateTable('account')
    .set({ user_handle: fresh })
    .where('id', '=', accountId)
    .where('user_handle', 'is', null)
    .execute();
  const row = await database
    .selectFrom('account')
    .select('user_handle')
    .where('id', '=', accountId)
    .executeTakeFirst();
  return row?.user_handle ?? fresh;
}

/** Lets a locked account remember that it has enrolled; call it in the transaction that confirms the factor. */
export async function markEnrolled(
  transaction: Database,
  guard: RowGuard,
  account: Account,
  now: number,
): Promise<void> {
  await write(transaction, account, { enrolled_at: now }, guard);
}

/** Holds the account's row to the end of the transaction: what is read after it stays true (S-23). Call it first. */
export async function lockAccount(transaction: Database, accountId: Buffer): Promise<void> {
  await transaction
    .updateTable('account')
    .set((set) => ({ row_mac: set.ref('row_mac') }))
    .where('id', '=', accountId)
    .execute();
}

/** As {@link lockAccount}, of all there are. */
export async function lockEveryAccount(transaction: Database): Promise<void> {
  await transaction
    .updateTable('account')
    .set((set) => ({ row_mac: set.ref('row_mac') }))
    .execute();
}

async function rowOf(database: Database, id: Buffer): Promise<Account | null> {
  const row = await database.selectFrom('account').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

type Change = Partial<Pick<Account, 'state' | 'mfa' | 'enrolled_at' | 'hold_until'>>;

async function changeAccount(database: Database, guard: RowGuard, id: Buffer, change: Change): Promise<void> {
  await within(database, async (transaction) => changeAccountLocked(transaction, guard, id, change));
}

async function changeAccountLocked(
  transaction: Database,
  guard: RowGuard,
  id: Buffer,
  change: Change,
): Promise<void> {
  await lockAccount(transaction, id);
  const row = await findAccountById(transaction, guard, id);
  if (row !== null) await write(transaction, row, change, guard);
}

/** The only update of what authorizes in an account. Without a guard the row keeps the MAC it has. */
async function write(
  transaction: Database,
  row: Account,
  change: Change,
  guard: RowGuard | null,
): Promise<void> {
  const row_mac = guard === null ? row.row_mac : guard.mac('account', { ...row, ...change });
  await transaction
    .updateTable('account')
    .set({ ...change, row_mac } as object)
    .where('id', '=', row.id)
    .execute();
}
