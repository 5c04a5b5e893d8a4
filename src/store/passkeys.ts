import type { Database } from './database.ts';

/** Takes over what an authenticator said of itself, a counter only upward. False when the passkey is gone or disabled. */
export async function markPasskeyUsed(
  database: Database,
  id: Buffer,
  seen: { readonly signCount: number; readonly isBackedUp: boolean; readonly now: number },
): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('second_factor')
    .set(({ eb, ref, val }) => ({
      sign_count: eb
        .case()
        .when('sign_count', '<', seen.signCount)
        .then(val(seen.signCount))
        .else(ref('sign_count'))
        .end(),
      backed_up: seen.isBackedUp ? 1 : 0,
      consecutive_failures: 0,
      used_at: seen.now,
    }))
    .where('id', '=', id)
    .where('confirmed_at', 'is not', null)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}

/** Whether some account, this one included, has the credential. */
export async function isCredentialKnown(database: Database, credentialId: Buffer): Promise<boolean> {
  const row = await database
    .selectFrom('second_factor')
    .select('id')
    .where('credential_id', '=', credentialId)
    .executeTakeFirst();
  return row !== undefined;
}

/** How many people have passkeys that were made for another host. */
export async function countForeignPasskeys(database: Database, rpId: string): Promise<number> {
  const { people } = await database
    .selectFrom('second_factor')
    .select(({ fn }) => fn.count<number>('account_id').distinct().as('people'))
    .where('kind', '=', 'passkey')
    .where('rp_id', '!=', rpId)
    .executeTakeFirstOrThrow();
  return people;
}
