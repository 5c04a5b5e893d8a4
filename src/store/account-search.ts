import { sql } from 'kysely';
import type { Database } from './database.ts';
import type { RowGuard } from './row-guard.ts';
import type { Account } from './schema.ts';

/** An account as a list of many shows it. */
export interface AccountSummary {
  readonly id: Buffer;
  readonly address: string;
  readonly state: Account['state'];
  readonly mfa: Account['mfa'];
  readonly isEnrolled: boolean;
  /** Active and paused ones, expired ones included. */
  readonly liveAppPasswords: number;
  /** Of any of its app passwords; null for never. */
  readonly lastUsedAt: number | null;
  /** False where the row is not as the gateway wrote it. */
  readonly isGenuine: boolean;
}

/** Accounts whose address holds the text, by address; at most `limit`, after the address `after`. */
export async function searchAccounts(
  database: Database,
  guard: RowGuard,
  find: { readonly text: string; readonly after: string | null; readonly limit: number },
): Promise<readonly AccountSummary[]> {
  // No address has it, and no engine takes it for what it is.
  if (`${find.text}${find.after ?? ''}`.includes('\0')) return [];
  const pattern = `%${find.text.toLowerCase().replaceAll(/[\\%_]/g, '\\$&')}%`;
  let query = database
    .selectFrom('account')
    .selectAll()
    .where(sql<boolean>`address like ${pattern} escape '\\'`);
  if (find.after !== null) query = query.where('address', '>', find.after);
  const accounts = await query.orderBy('address').limit(find.limit).execute();
  if (accounts.length === 0) return [];
  const ids = accounts.map(({ id }) => id);
  const used = await database
    .selectFrom('app_password')
    .select(({ fn }) => [
      'account_id',
      fn.countAll<string | number>().as('live'),
      fn.max('last_used_at').as('last_used_at'),
    ])
    .where('account_id', 'in', ids)
    .where('state', '!=', 'revoked')
    .groupBy('account_id')
    .execute();
  return accounts.map((account) => {
    const own = used.find(({ account_id }) => account_id.equals(account.id));
    return {
      id: account.id,
      address: account.address,
      state: account.state,
      mfa: account.mfa,
      isEnrolled: account.enrolled_at !== null,
      liveAppPasswords: Number(own?.live ?? 0),
      lastUsedAt: own?.last_used_at ?? null,
      isGenuine: guard.isGenuine('account', account),
    };
  });
}
