import type { Database } from './database.ts';
import type { LoginEventRow, NewLoginEventRow } from './schema.ts';

/** Ids of those of the canonical addresses that are accounts. */
export async function accountIdsOf(
  database: Database,
  addresses: readonly string[],
): Promise<ReadonlyMap<string, Buffer>> {
  if (addresses.length === 0) return new Map();
  const rows = await database
    .selectFrom('account')
    .select(['id', 'address'])
    .where('address', 'in', addresses)
    .execute();
  return new Map(rows.map(({ id, address }) => [address, id]));
}

/** Adds to rows of the same id, or makes them. No id may come twice in one call. */
export async function addLoginEvents(database: Database, rows: readonly NewLoginEventRow[]): Promise<void> {
  if (rows.length === 0) return;
  await database
    .insertInto('login_event')
    // In one order at every node, or two wait for each other's rows.
    .values(rows.toSorted((left, right) => left.id.compare(right.id)))
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((set) => ({
        times: set('login_event.times', '+', set.ref('excluded.times')),
        last_at: set.ref('excluded.last_at'),
        mechanism: set.ref('excluded.mechanism'),
      })),
    )
    .execute();
}

/** Newest first, at most `limit`; of an account, or of a name that is none. */
export async function listLoginEvents(
  database: Database,
  of: { readonly accountId: Buffer } | { readonly name: string },
  since: number,
  limit: number,
): Promise<readonly LoginEventRow[]> {
  const query = database.selectFrom('login_event').selectAll().where('last_at', '>=', since);
  return await ('accountId' in of
    ? query.where('account_id', '=', of.accountId)
    : query.where('account_id', 'is', null).where('name', '=', of.name)
  )
    .orderBy('last_at', 'desc')
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** A place between two events of the order {@link pageLoginEvents} has. */
export interface LoginEventPlace {
  readonly lastAt: number;
  readonly id: Buffer;
}

/** Events of an account after a place, or the newest; newest first, at most `limit`. */
export async function pageLoginEvents(
  database: Database,
  accountId: Buffer,
  after: LoginEventPlace | null,
  limit: number,
): Promise<readonly LoginEventRow[]> {
  let query = database.selectFrom('login_event').selectAll().where('account_id', '=', accountId);
  if (after !== null) {
    query = query.where((where) =>
      where.or([
        where('last_at', '<', after.lastAt),
        where.and([where('last_at', '=', after.lastAt), where('id', '>', after.id)]),
      ]),
    );
  }
  return await query.orderBy('last_at', 'desc').orderBy('id').limit(limit).execute();
}

/** Deletes events of before `before`, at most `limit`. Answers how many. */
export async function purgeLoginEvents(database: Database, before: number, limit: number): Promise<number> {
  const { numDeletedRows } = await database
    .deleteFrom('login_event')
    .where('id', 'in', (old) =>
      old
        .selectFrom('login_event')
        .select('id')
        .where('last_at', '<', before)
        .orderBy('last_at')
        .limit(limit),
    )
    .executeTakeFirst();
  return Number(numDeletedRows);
}

/** What one call deletes of an account at most. */
const trimmedAtOnce = 10_000;

/**
 * Keeps the newest `keep` logins and as many refusals of an account, so that strangers' refusals push out no login. null: of
 * all names that are no account, together.
 */
export async function trimLoginEvents(
  database: Database,
  accountId: Buffer | null,
  keep: number,
): Promise<void> {
  for (const refusals of [true, false]) {
    await database
      .deleteFrom('login_event')
      .where('id', 'in', (old) =>
        old
          .selectFrom('login_event')
          .select('id')
          .where('account_id', accountId === null ? 'is' : '=', accountId)
          .where('reason', refusals ? 'is not' : 'is', null)
          .orderBy('last_at', 'desc')
          .orderBy('id')
          .limit(trimmedAtOnce)
          .offset(keep),
      )
      .execute();
  }
}
