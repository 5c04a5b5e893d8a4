import { randomBytes } from 'node:crypto';
import { findAccountById, lockAccount } from './accounts.ts';
import type { Database } from './database.ts';
import { deletePortalSessionsOf } from './portal-sessions.ts';
import { type GuardedRows, genuine, type RowGuard } from './row-guard.ts';
import type { Account, IdentityLinkRow } from './schema.ts';

/** A person as her identity provider knows her: never by her address, which changes hands (S-87). */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
}

/** The account of this identity; null when none is linked. Throws for a row that the gateway did not write so. */
export async function findLinkedAccount(
  database: Database,
  guard: RowGuard,
  { issuer, subject }: Identity,
): Promise<Account | null> {
  const row = await database
    .selectFrom('identity_link')
    .selectAll()
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .executeTakeFirst();
  if (row === undefined) return null;
  const link = genuine(guard, 'identity_link', row, row.account_id);
  return await findAccountById(database, guard, link.account_id);
}

/**
 * In the caller's transaction: links an identity that has no account to an account that has nobody of this issuer. false where either is taken: an
 * address that was given to somebody else must not open the mailbox of whoever had it.
 */
export async function linkIdentity(
  transaction: Database,
  guard: RowGuard,
  accountId: Buffer,
  { issuer, subject }: Identity,
  made: { readonly at: number; readonly by: IdentityLinkRow['created_by'] },
): Promise<boolean> {
  const fields = {
    id: randomBytes(16),
    account_id: accountId,
    issuer,
    subject,
  } satisfies GuardedRows['identity_link'];
  await lockAccount(transaction, accountId);
  const { numInsertedOrUpdatedRows } = await transaction
    .insertInto('identity_link')
    .values({
      ...fields,
      row_mac: guard.mac('identity_link', fields),
      created_at: made.at,
      created_by: made.by,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return (numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Of one account, the oldest first; whoever wrote the rows. */
export async function listIdentityLinks(
  database: Database,
  accountId: Buffer,
): Promise<readonly IdentityLinkRow[]> {
  return await database
    .selectFrom('identity_link')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('created_at')
    .execute();
}

/**
 * In the caller's transaction; the account's portal sessions and unused profile links end with it. Answers whether there was
 * such a link, whoever wrote it.
 */
export async function unlinkIdentity(
  transaction: Database,
  accountId: Buffer,
  issuer: string,
): Promise<boolean> {
  await lockAccount(transaction, accountId);
  const { numDeletedRows } = await transaction
    .deleteFrom('identity_link')
    .where('account_id', '=', accountId)
    .where('issuer', '=', issuer)
    .executeTakeFirst();
  if (numDeletedRows === 0n) return false;
  await deletePortalSessionsOf(transaction, accountId, null);
  return true;
}
