import { lockAccount } from './accounts.ts';
import { aheadMs } from './clock-ahead.ts';
import type { Database } from './database.ts';
import { genuine, type RowGuard } from './row-guard.ts';
import type { ProfileLinkRow } from './schema.ts';

/** What a link is good for. */
export type NewProfileLink = Pick<
  ProfileLinkRow,
  'id' | 'token_hash' | 'account_id' | 'device' | 'created_at' | 'not_after'
>;

/** Puts a link in place of the account's other ones, and drops everybody's that were made before `keptAfter`. */
export async function replaceProfileLink(
  database: Database,
  guard: RowGuard,
  link: NewProfileLink,
  keptAfter: number,
): Promise<void> {
  const row_mac = guard.mac('profile_link', link);
  await database.deleteFrom('profile_link').where('created_at', '<=', keptAfter).execute();
  await database.transaction().execute(async (transaction) => {
    await lockAccount(transaction, link.account_id);
    await transaction.deleteFrom('profile_link').where('account_id', '=', link.account_id).execute();
    await transaction
      .insertInto('profile_link')
      .values({
        ...link,
        row_mac,
        used_at: null,
        used_address: null,
        used_by: null,
        credential_id: null,
      })
      .execute();
  });
}

/** The link of a token, where it may still be used. Throws for a row that the gateway did not write so. */
export async function findOpenProfileLink(
  database: Database,
  guard: RowGuard,
  tokenHash: Buffer,
  now: number,
): Promise<ProfileLinkRow | null> {
  const row = await database
    .selectFrom('profile_link')
    .selectAll()
    .where('token_hash', '=', tokenHash)
    .where('used_at', 'is', null)
    .where('not_after', '>', now)
    .where('created_at', '<=', now + aheadMs)
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'profile_link', row, row.account_id);
}

/**
 * Uses the link up, in one statement: of uses made at once, one gets it (S-71). null for one that is used, over or unknown.
 * Throws for a row that the gateway did not write so.
 */
export async function useProfileLink(
  database: Database,
  guard: RowGuard,
  tokenHash: Buffer,
  use: { readonly at: number; readonly address: string; readonly by: string | null },
): Promise<ProfileLinkRow | null> {
  const row = await database
    .updateTable('profile_link')
    .set({ used_at: use.at, used_address: use.address, used_by: use.by })
    .where('token_hash', '=', tokenHash)
    .where('used_at', 'is', null)
    .where('not_after', '>', use.at)
    .where('created_at', '<=', use.at + aheadMs)
    .returningAll()
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'profile_link', row, row.account_id);
}

/** Notes which app password came of it. */
export async function setProfileLinkCredential(
  database: Database,
  id: Buffer,
  credentialId: Buffer,
): Promise<void> {
  await database
    .updateTable('profile_link')
    .set({ credential_id: credentialId })
    .where('id', '=', id)
    .execute();
}

/** By id and account, as every object of a person (S-67). */
export async function findProfileLink(
  database: Database,
  guard: RowGuard,
  accountId: Buffer,
  id: Buffer,
): Promise<ProfileLinkRow | null> {
  const row = await database
    .selectFrom('profile_link')
    .selectAll()
    .where('id', '=', id)
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'profile_link', row, row.account_id);
}

/** Voids the link, where it was not used yet. */
export async function deleteOpenProfileLink(
  database: Database,
  accountId: Buffer,
  id: Buffer,
): Promise<void> {
  await database
    .deleteFrom('profile_link')
    .where('id', '=', id)
    .where('account_id', '=', accountId)
    .where('used_at', 'is', null)
    .execute();
}

/** Voids what was not used yet, and what is just being used; null for those of everybody. */
export async function deleteOpenProfileLinks(database: Database, accountId: Buffer | null): Promise<void> {
  let query = database.deleteFrom('profile_link').where('credential_id', 'is', null);
  if (accountId !== null) query = query.where('account_id', '=', accountId);
  await query.execute();
}
