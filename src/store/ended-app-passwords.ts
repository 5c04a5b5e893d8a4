import { hasEnded } from './app-password-life.ts';
import { type Database, writeEach } from './database.ts';
import type { AppPasswordRow } from './schema.ts';

/** What tells when an app password ended. */
type Ending = Pick<
  AppPasswordRow,
  'not_after' | 'first_use_by' | 'max_idle_ms' | 'created_at' | 'last_used_at' | 'state' | 'revoked_at'
>;
export type EndingRow = Ending & Pick<AppPasswordRow, 'id' | 'row_mac'>;

/** In the order of ids, at most `limit`, after an id. */
export async function pageEndings(
  database: Database,
  after: Buffer,
  limit: number,
): Promise<readonly EndingRow[]> {
  return await database
    .selectFrom('app_password')
    .select(['id', 'row_mac', 'state', 'revoked_at', 'created_at', 'last_used_at'])
    .select(['not_after', 'first_use_by', 'max_idle_ms'])
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Whether it was revoked by `at`, or had ended by itself. */
export function hadEndedBy(row: Ending, at: number): boolean {
  return row.state === 'revoked' ? (row.revoked_at ?? row.created_at) <= at : hasEnded(row, at);
}

/** Deletes those that are as they were read, and what hangs on them. Answers how many. */
export async function deleteUnchanged(database: Database, rows: readonly EndingRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  return await writeEach(database, async (to) => {
    let deleted = 0;
    for (const { id, row_mac, state } of rows) {
      const { numDeletedRows } = await to
        .deleteFrom('app_password')
        .where('id', '=', id)
        .where('row_mac', '=', row_mac)
        .where('state', '=', state)
        .executeTakeFirst();
      deleted += Number(numDeletedRows);
    }
    return deleted;
  });
}

/** When somebody last tried to log in, or something was revoked; null: never, as far as is kept. */
export async function lastActivity(database: Database): Promise<number | null> {
  const { login } = await database
    .selectFrom('login_event')
    .select(({ fn }) => fn.max<number | null>('last_at').as('login'))
    .executeTakeFirstOrThrow();
  const { revocation } = await database
    .selectFrom('revocation')
    .select(({ fn }) => fn.max<number | null>('at').as('revocation'))
    .executeTakeFirstOrThrow();
  return login === null || revocation === null ? (login ?? revocation) : Math.max(login, revocation);
}
