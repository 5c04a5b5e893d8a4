import type { Database } from './database.ts';
import { macPrefix } from './key-uses.ts';
import type { AppPasswordRow } from './schema.ts';

/** App passwords that are not revoked and whose hash or MAC is under the key. */
export async function listUnrevokedUnder(
  database: Database,
  family: 'pepper' | 'mac',
  id: number,
): Promise<readonly Pick<AppPasswordRow, 'id' | 'account_id'>[]> {
  const query = database
    .selectFrom('app_password')
    .select(['id', 'account_id'])
    .where('state', '!=', 'revoked');
  return await (family === 'pepper'
    ? query.where('pepper_version', '=', id)
    : query.where('row_mac', '>=', macPrefix(id)).where('row_mac', '<', macPrefix(id + 1))
  ).execute();
}

/** Recovery and enrollment codes; answers how many. */
export async function deleteCodesUnder(
  database: Database,
  family: 'pepper' | 'mac',
  id: number,
): Promise<number> {
  let deleted = 0;
  for (const table of ['recovery_code', 'enrollment_code'] as const) {
    const query = database.deleteFrom(table);
    const { numDeletedRows } = await (family === 'pepper'
      ? query.where('pepper_version', '=', id)
      : query.where('row_mac', '>=', macPrefix(id)).where('row_mac', '<', macPrefix(id + 1))
    ).executeTakeFirst();
    deleted += Number(numDeletedRows);
  }
  return deleted;
}

/** Answers how many. */
export async function deleteSessionsUnder(database: Database, macId: number): Promise<number> {
  const { numDeletedRows } = await database
    .deleteFrom('portal_session')
    .where('row_mac', '>=', macPrefix(macId))
    .where('row_mac', '<', macPrefix(macId + 1))
    .executeTakeFirst();
  return Number(numDeletedRows);
}
