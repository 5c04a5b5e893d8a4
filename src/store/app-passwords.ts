import type { ExpressionBuilder } from 'kysely';
import { lockAccount } from './accounts.ts';
import { isLive } from './app-password-life.ts';
import { type Database, writeEach } from './database.ts';
import type { AppPasswordRow, NewAppPasswordRow, Schema } from './schema.ts';

type Selector = { readonly pepperVersion: number; readonly selector: number };

/** Rows of any state that a secret may belong to: one (pepper version, selector) per live pepper. */
export async function findCandidates(
  database: Database,
  accountId: Buffer,
  selectors: readonly Selector[],
): Promise<readonly AppPasswordRow[]> {
  return await database
    .selectFrom('app_password')
    .selectAll()
    .where('account_id', '=', accountId)
    .where((where) => where.or(selectors.map((selector) => isUnder(where, selector))))
    .orderBy('created_at', 'desc')
    .execute();
}

/** As {@link findCandidates}, and rows that are not revoked under a pepper that no selector is for: nobody can tell of those. */
export async function findPossible(
  database: Database,
  accountId: Buffer,
  selectors: readonly Selector[],
): Promise<readonly AppPasswordRow[]> {
  const known = selectors.map(({ pepperVersion }) => pepperVersion);
  return await database
    .selectFrom('app_password')
    .selectAll()
    .where('account_id', '=', accountId)
    .where((where) =>
      where.or([
        ...selectors.map((selector) => isUnder(where, selector)),
        where.and([where('pepper_version', 'not in', known), where('state', '!=', 'revoked')]),
      ]),
    )
    .orderBy('created_at', 'desc')
    .execute();
}

function isUnder(where: ExpressionBuilder<Schema, 'app_password'>, { pepperVersion, selector }: Selector) {
  return where.and([where('pepper_version', '=', pepperVersion), where('selector', '=', selector)]);
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
    // Paused ones too, or the cap would hold nobody who pauses.
    .where('state', '!=', 'revoked')
    .where((where) => isLive(where, now))
    .executeTakeFirstOrThrow();
  return Number(live);
}

/** Of any state; by the same maker, so that what operators set up takes nothing from the person. */
export async function countCreatedSince(
  database: Database,
  accountId: Buffer,
  createdBy: string,
  since: number,
): Promise<number> {
  const { made } = await database
    .selectFrom('app_password')
    .select((select) => select.fn.countAll<number | bigint | string>().as('made'))
    .where('account_id', '=', accountId)
    .where('created_by', '=', createdBy)
    .where('created_at', '>', since)
    .executeTakeFirstOrThrow();
  return Number(made);
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

/** What may be changed while an app password lives. */
export type ChangeableColumns = Pick<
  AppPasswordRow,
  'label' | 'scopes' | 'networks' | 'fence' | 'not_after' | 'first_use_by' | 'max_idle_ms'
> & { readonly state: 'active' | 'paused' };

/** Changes what a row grants, unless it changed since it was read. */
export async function replaceGrant(
  transaction: Database,
  read: Pick<AppPasswordRow, 'id' | 'row_mac'>,
  grant: ChangeableColumns & Pick<AppPasswordRow, 'row_mac'>,
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

/** How an app password was used. */
export interface AppPasswordUse {
  readonly id: Buffer;
  readonly at: number;
  readonly address: string;
  readonly protocol: string;
  readonly client: string | null;
}

/** Those of the ids that were used before. */
export async function usedBefore(database: Database, ids: readonly Buffer[]): Promise<readonly Buffer[]> {
  if (ids.length === 0) return [];
  const rows = await database
    .selectFrom('app_password')
    .select('id')
    .where('id', 'in', ids)
    .where('last_used_at', 'is not', null)
    .execute();
  return rows.map(({ id }) => id);
}

/** Writes a use where there was none before; false where there was, or the app password is gone. In a transaction that holds the account. */
export async function writeFirstUse(transaction: Database, use: AppPasswordUse): Promise<boolean> {
  const { numUpdatedRows } = await transaction
    .updateTable('app_password')
    .set(columnsOf(use))
    .where('id', '=', use.id)
    .where('last_used_at', 'is', null)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

function columnsOf(use: AppPasswordUse) {
  return {
    last_used_at: use.at,
    last_used_address: use.address,
    last_used_protocol: use.protocol,
    last_used_client: use.client,
  };
}

/** A later use than this, by so much, is a clock that was wrong: else it would stand until its time has come. */
const clockWrongMs = 86_400_000;

/** Writes last uses together; one that came late, from a node that waited for the database, moves none back. */
export async function writeLastUses(database: Database, uses: readonly AppPasswordUse[]): Promise<void> {
  if (uses.length === 0) return;
  await writeEach(database, async (to) => {
    for (const use of uses) {
      await to
        .updateTable('app_password')
        .set(columnsOf(use))
        .where('id', '=', use.id)
        .where((where) =>
          where.or([
            where('last_used_at', 'is', null),
            where('last_used_at', '<=', use.at),
            where('last_used_at', '>', use.at + clockWrongMs),
          ]),
        )
        .execute();
    }
  });
}

/** An app password of any state with its account's address, which its MAC covers. */
export type AddressedRow = AppPasswordRow & { readonly address: string };

/** Every app password as an {@link AddressedRow}: the beginning of a query. */
export function addressedAppPasswords(database: Database) {
  return database
    .selectFrom('app_password')
    .innerJoin('account', 'account.id', 'app_password.account_id')
    .selectAll('app_password')
    .select('account.address');
}
