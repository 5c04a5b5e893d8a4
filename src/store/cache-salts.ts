import { randomBytes } from 'node:crypto';
import { type Database, isShared } from './database.ts';
import { lockSalts } from './postgres-dialect.ts';

/**
 * The current cache salt and the one before it, newest first. Makes a new one when the newest is older than `maxAgeMs`,
 * and deletes what is older: a Redis dump then proves nothing any more (requirements 3.4).
 */
export async function currentCacheSalts(
  database: Database,
  now: number,
  maxAgeMs: number,
): Promise<readonly Buffer[]> {
  const newest = await newestSalt(database);
  if (newest === undefined || newest.created_at <= now - maxAgeMs) await makeSalt(database, now, maxAgeMs);
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

/** Unless another process just did: those that start at once make one salt. */
async function makeSalt(database: Database, now: number, maxAgeMs: number): Promise<void> {
  await database.transaction().execute(async (transaction) => {
    if (isShared(transaction)) await lockSalts(transaction);
    const newest = await newestSalt(transaction);
    if (newest !== undefined && newest.created_at > now - maxAgeMs) return;
    await transaction
      .insertInto('cache_salt')
      .values({ salt: randomBytes(32), created_at: now })
      .execute();
  });
}

async function newestSalt(database: Database): Promise<{ readonly created_at: number } | undefined> {
  return await database
    .selectFrom('cache_salt')
    .select('created_at')
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Makes every record in Redis one that nobody finds any more; the next reader makes a new salt. */
export async function deleteCacheSalts(database: Database): Promise<void> {
  await database.deleteFrom('cache_salt').execute();
}
