import type { Database } from './database.ts';
import type { RevocationRow } from './schema.ts';

/**
 * Enters the feed; call it in the transaction that revokes, so that neither happens without the other. With a `seq` it and
 * all later ones are numbered from there on: only for a feed that a restore has set back.
 */
export async function appendRevocation(
  transaction: Database,
  entry: {
    readonly seq?: number;
    readonly credentialId: Buffer | null;
    readonly accountId: Buffer;
    readonly at: number;
    readonly reason: string;
  },
): Promise<void> {
  await transaction
    .insertInto('revocation')
    .values({
      ...(entry.seq === undefined ? {} : { seq: entry.seq }),
      credential_id: entry.credentialId,
      account_id: entry.accountId,
      at: entry.at,
      reason: entry.reason,
    })
    .execute();
}

/** Entries after `seq`, oldest first, at most `limit`. */
export async function revocationsAfter(
  database: Database,
  seq: number,
  limit: number,
): Promise<readonly RevocationRow[]> {
  return await database
    .selectFrom('revocation')
    .selectAll()
    .where('seq', '>', seq)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

/**
 * The number after which a process starts to read, so that it misses no entry since `at`. By the first such entry and not
 * by the last older one, because clocks of several writers differ.
 */
export async function revocationStart(database: Database, at: number): Promise<number> {
  const { first, last } = await database
    .selectFrom('revocation')
    .select((select) => [
      select.fn.min('seq').filterWhere('at', '>=', at).as('first'),
      select.fn.max('seq').as('last'),
    ])
    .executeTakeFirstOrThrow();
  return first === null ? (last ?? 0) : first - 1;
}

/** Number of the last entry; 0 while there is none. */
export async function lastRevocation(database: Database): Promise<number> {
  const { last } = await database
    .selectFrom('revocation')
    .select((select) => select.fn.max('seq').as('last'))
    .executeTakeFirstOrThrow();
  return last ?? 0;
}
