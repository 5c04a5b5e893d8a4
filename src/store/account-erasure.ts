import { sql } from 'kysely';
import { lockAccount } from './accounts.ts';
import { type Database, isShared } from './database.ts';
import { appendRevocation } from './revocations.ts';
import type { Account } from './schema.ts';

/** What was deleted, in rows. */
export interface Erased {
  readonly appPasswords: number;
  readonly secondFactors: number;
  readonly recoveryCodes: number;
  readonly portalSessions: number;
  readonly identityLinks: number;
  readonly profileLinks: number;
  readonly notices: number;
  /** Those of the bare name too, from when it was no account's. */
  readonly loginEvents: number;
}

type OwnTable =
  | 'app_password'
  | 'second_factor'
  | 'portal_session'
  | 'identity_link'
  | 'profile_link'
  | 'notice'
  | 'login_event'
  | 'oidc_transaction'
  | 'webauthn_challenge'
  | 'email_code'
  | 'enrollment_code';

/**
 * Deletes the account and everything of it but what the audit trail says, and enters the feed, so that no session and no
 * cached record outlives it (S-36). null where the account is gone already. Works on forged rows too. Call it in a
 * transaction.
 */
export async function eraseAccount(
  transaction: Database,
  { id, address }: Pick<Account, 'id' | 'address'>,
  at: number,
): Promise<Erased | null> {
  await lockAccount(transaction, id);
  const there = await transaction.selectFrom('account').select('id').where('id', '=', id).executeTakeFirst();
  if (there === undefined) return null;
  const erase = async (table: OwnTable) => {
    const query = transaction.deleteFrom(table).where('account_id', '=', id);
    return Number((await query.executeTakeFirst()).numDeletedRows);
  };
  await erase('oidc_transaction');
  await erase('webauthn_challenge');
  await erase('email_code');
  await erase('enrollment_code');
  const erased = {
    recoveryCodes: await eraseRecoveryCodes(transaction, id),
    secondFactors: await erase('second_factor'),
    portalSessions: await erase('portal_session'),
    identityLinks: await erase('identity_link'),
    profileLinks: await erase('profile_link'),
    notices: await erase('notice'),
    appPasswords: await erase('app_password'),
    loginEvents: (await erase('login_event')) + (await eraseLoginEvents(transaction, address)),
  };
  await transaction.deleteFrom('account').where('id', '=', id).execute();
  await appendRevocation(transaction, { credentialId: null, accountId: id, at, reason: 'account erased' });
  return erased;
}

/** What a name that is no account's was refused for. Answers how many rows. */
export async function eraseLoginEvents(database: Database, name: string): Promise<number> {
  const { numDeletedRows } = await database
    .deleteFrom('login_event')
    .where('account_id', 'is', null)
    .where('name', '=', name)
    .executeTakeFirst();
  return Number(numDeletedRows);
}

/** Embedded: takes what was deleted out of the log beside the database too, unless somebody reads there just then. */
export async function forgetDeleted(database: Database): Promise<void> {
  if (!isShared(database)) await sql`pragma wal_checkpoint(truncate)`.execute(database);
}

async function eraseRecoveryCodes(transaction: Database, accountId: Buffer): Promise<number> {
  const { numDeletedRows } = await transaction
    .deleteFrom('recovery_code')
    .where('factor_id', 'in', (factors) =>
      factors.selectFrom('second_factor').select('id').where('account_id', '=', accountId),
    )
    .executeTakeFirst();
  return Number(numDeletedRows);
}
