import { lockAccount } from './accounts.ts';
import { type Database, writeEach } from './database.ts';
import type { AppPasswordRow, NewAppPasswordRow } from './schema.ts';

/** Rows of any state that a secret may belong to: one (pepper version, selector) per live pepper. */
export async function findCandidates(
  database: Database,
  accountId: Buffer,
  selectors: readonly { readonly pepperVersion: number; readonly selector: number }[],
): Promise<readonly AppPasswordRow[]> {
  return await database
    .selectFrom('app_password')
    .selectAll()
    .where('account_id', '=', accountId)
    .where((where) =>
      where.or(
        selectors.map(({ pepperVersion, selector }) =>
          where.and([where('pepper_version', '=', pepperVersion), where('selector', '=', selector)]),
        ),
      ),
    )
    .orderBy('created_at', 'desc')
    .execute();
}

export async function findAppPassword(database: Database, id: Buffer): Promise<AppPasswordRow | null> {
  const row = await database.selectFrom('app_password').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

/** Newest first. */
export async function listAppPasswords(
  database: Database,
  accountId: Buffer,
): Promise<readonly AppPasswordRow[]> {
  return await database
    .selectFrom('app_password')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
}

/** Of every account, expired ones too. */
export async function listUnrevokedAppPasswords(database: Database): Promise<readonly AppPasswordRow[]> {
  return await database.selectFrom('app_password').selectAll().where('state', '!=', 'revoked').execute();
}

export async function countLiveAppPasswords(
  database: Database,
  accountId: Buffer,
  now: number,
): Promise<number> {
  const { live } = await database
    .selectFrom('app_password')
    .select((select) => select.fn.countAll<number | bigint | string>().as('live'))
    .where('account_id', '=', accountId)
    .where('state', '=', 'active')
    .where((where) => where.or([where('not_after', 'is', null), where('not_after', '>', now)]))
    .executeTakeFirstOrThrow();
  return Number(live);
}

/** Whether a selector is taken in the account, by a revoked row too. */
export async function isSelectorTaken(
  database: Database,
  accountId: Buffer,
  pepperVersion: number,
  selector: number,
): Promise<boolean> {
  return (await findCandidates(database, accountId, [{ pepperVersion, selector }])).length > 0;
}

export async function insertAppPassword(database: Database, row: NewAppPasswordRow): Promise<void> {
  await database.insertInto('app_password').values(row).execute();
}

export async function markRevoked(
  transaction: Database,
  id: Buffer,
  change: Pick<AppPasswordRow, 'revoked_at' | 'row_mac'>,
): Promise<void> {
  await transaction
    .updateTable('app_password')
    .set({ state: 'revoked', ...change })
    .where('id', '=', id)
    .execute();
}

/** Changes what a row grants, unless it changed since it was read. */
export async function replaceGrant(
  transaction: Database,
  read: Pick<AppPasswordRow, 'id' | 'row_mac'>,
  grant: Pick<AppPasswordRow, 'label' | 'scopes' | 'networks' | 'not_after' | 'fence' | 'row_mac'>,
): Promise<boolean> {
  const { numUpdatedRows } = await transaction
    .updateTable('app_password')
    .set(grant)
    .where('id', '=', read.id)
    .where('row_mac', '=', read.row_mac)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Puts a row under new keys or parameters, unless it changed since it was read. */
export async function replaceProof(
  database: Database,
  read: Pick<AppPasswordRow, 'id' | 'account_id' | 'row_mac'>,
  proof: Pick<AppPasswordRow, 'pepper_version' | 'selector' | 'phc' | 'row_mac'>,
): Promise<boolean> {
  return await database.transaction().execute(async (transaction) => {
    // A revocation that has read the row must not put a MAC over the old proof beside the new one.
    await lockAccount(transaction, read.account_id);
    const { numUpdatedRows } = await transaction
      .updateTable('app_password')
      .set(proof)
      .where('id', '=', read.id)
      .where('row_mac', '=', read.row_mac)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  });
}

/** Writes last uses together. */
export async function writeLastUses(
  database: Database,
  uses: readonly {
    readonly id: Buffer;
    readonly at: number;
    readonly address: string;
    readonly protocol: string;
    readonly client: string | null;
  }[],
): Promise<void> {
  await writeEach(database, async (to) => {
    for (const use of uses) {
      await to
        .updateTable('app_password')
        .set({
          last_used_at: use.at,
          last_used_address: use.address,
          last_used_protocol: use.protocol,
          last_used_client: use.client,
        })
        .where('id', '=', use.id)
        .execute();
    }
  });
}
