import { randomBytes } from 'node:crypto';
import type { Database } from './database.ts';

/**
 * The current cache salt and the one before it, newest first. Makes a new one when the newest is older than `maxAgeMs`,
 * and deletes what is older: a Redis dump then proves nothing any more (requirements 3.4).
 */
export async function currentCacheSalts(
  database: Database,
  now: number,
  maxAgeMs: number,
): Promise<readonly Buffer[]> {
  // One statement, so that processes that start at once make one salt.
  await database
    .insertInto('cache_salt')
    .columns(['salt', 'created_at'])
    .expression(
      database
        .selectNoFrom((select) => [select.val(randomBytes(32)).as('salt'), select.val(now).as('created_at')])
        .where((where) =>
          where.not(
            where.exists(
              where
                .selectFrom('cache_salt')
                .select('id')
                .where('created_at', '>', now - maxAgeMs),
            ),
          ),
        ),
    )
    .execute();
  const salts = await database
    .selectFrom('cache_salt')
    .select(['id', 'salt'])
    .orderBy('id', 'desc')
    .limit(2)
    .execute();
  const oldest = salts.at(-1);
  if (oldest !== undefined) await database.deleteFrom('cache_salt').where('id', '<', oldest.id).execute();
  return salts.map(({ salt }) => salt);
}

/** Makes every record in Redis one that nobody finds any more; the next reader makes a new salt. */
export async function deleteCacheSalts(database: Database): Promise<void> {
  await database.deleteFrom('cache_salt').execute();
}
