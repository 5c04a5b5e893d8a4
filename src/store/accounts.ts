import { randomBytes } from 'node:crypto';
import type { Database } from './database.ts';
import { appendRevocation } from './revocations.ts';
import type { Account } from './schema.ts';

/** null when nobody has this canonical address. */
export async function findAccount(database: Database, address: string): Promise<Account | null> {
  const row = await database
    .selectFrom('account')
    .selectAll()
    .where('address', '=', address)
    .executeTakeFirst();
  return row ?? null;
}

export async function findAccountById(database: Database, id: Buffer): Promise<Account | null> {
  const row = await database.selectFrom('account').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

export async function listAccounts(database: Database): Promise<readonly Account[]> {
  return await database.selectFrom('account').selectAll().orderBy('address').execute();
}

/** Makes the account, or answers the one that exists: two first sign-ins at once end in one account. */
export async function createAccount(
  database: Database,
  address: string,
  now: number,
): Promise<{ readonly account: Account; readonly created: boolean }> {
  const id = randomBytes(16);
  const result = await database
    .insertInto('account')
    .values({ id, address, state: 'active', mfa: null, created_at: now })
    .onConflict((conflict) => conflict.column('address').doNothing())
    .executeTakeFirst();
  const account = await database
    .selectFrom('account')
    .selectAll()
    .where('address', '=', address)
    .executeTakeFirstOrThrow();
  return { account, created: (result.numInsertedOrUpdatedRows ?? 0n) > 0n };
}

export async function setAccountMfa(database: Database, id: Buffer, mfa: Account['mfa']): Promise<void> {
  await database.updateTable('account').set({ mfa }).where('id', '=', id).execute();
}

export async function enableAccount(database: Database, id: Buffer): Promise<void> {
  await database.updateTable('account').set({ state: 'active' }).where('id', '=', id).execute();
}

/** Disables and enters the feed in one transaction, so that no session of the account outlives it. */
export async function disableAccount(database: Database, id: Buffer, now: number): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    await transaction.updateTable('account').set({ state: 'disabled' }).where('id', '=', id).execute();
    await appendRevocation(transaction, {
      credentialId: null,
      accountId: id,
      at: now,
      reason: 'account disabled',
    });
  });
}

/** Takes every second factor and browser session of the account; answers how many factors there were. */
export async function resetSecondFactors(database: Database, accountId: Buffer): Promise<number> {
  return await database.transaction().execute(async (transaction) => {
    const { numDeletedRows } = await transaction
      .deleteFrom('second_factor')
      .where('account_id', '=', accountId)
      .executeTakeFirst();
    await transaction.deleteFrom('portal_session').where('account_id', '=', accountId).execute();
    return Number(numDeletedRows);
  });
}
