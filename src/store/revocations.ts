import type { Database } from './database.ts';
import type { RevocationRow } from './schema.ts';

/** What ended. Without a credential it is every one of the account. */
export interface NewRevocation {
  readonly credentialId: Buffer | null;
  readonly accountId: Buffer;
  readonly at: number;
  readonly reason: string;
}

/** Enters the feed; call it last in the transaction that revokes, so that neither happens without the other. */
export async function appendRevocation(transaction: Database, entry: NewRevocation): Promise<void> {
  await append(transaction, [entry], 0);
}

/** The account of the entry that says that the database was restored from a backup. */
const nobody = Buffer.alloc(16);
const restored = 'the database was restored from a backup';

/** After a restore everything of these accounts ends, under numbers above all that any reader can have seen. */
export async function appendRestore(
  transaction: Database,
  accountIds: readonly Buffer[],
  restore: { readonly above: number; readonly at: number },
): Promise<void> {
  const entry = { credentialId: null, at: restore.at, reason: restored };
  const entries = [nobody, ...accountIds].map((accountId) => ({ ...entry, accountId }));
  await append(transaction, entries, restore.above);
}

/** Whether the feed goes on from here after a restore. */
export function isRestore(row: RevocationRow): boolean {
  return row.account_id.equals(nobody);
}

const rowsPerStatement = 500;

/**
 * Holds the counter to the end of the transaction, so that numbers become visible in their order: a reader who has seen
 * one has missed none below it, although PostgreSQL commits transactions in any order.
 */
async function append(
  transaction: Database,
  entries: readonly NewRevocation[],
  above: number,
): Promise<void> {
  const counter = await transaction
    .updateTable('revocation_counter')
    .set((set) => ({ seq: set.ref('seq') }))
    .returning('seq')
    .executeTakeFirstOrThrow();
  // Held against the entries too: a number below theirs would be nobody's news.
  const last = Math.max(counter.seq, await lastRevocation(transaction), above);
  await transaction
    .updateTable('revocation_counter')
    .set({ seq: last + entries.length })
    .execute();
  const rows = entries.map(({ credentialId, accountId, at, reason }, index) => ({
    seq: last + 1 + index,
    credential_id: credentialId,
    account_id: accountId,
    at,
    reason,
  }));
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    await transaction
      .insertInto('revocation')
      .values(rows.slice(start, start + rowsPerStatement))
      .execute();
  }
}

/** Entries from `seq` on, oldest first, at most `limit`. */
export async function revocationsFrom(
  database: Database,
  seq: number,
  limit: number,
): Promise<readonly RevocationRow[]> {
  return await database
    .selectFrom('revocation')
    .selectAll()
    .where('seq', '>=', seq)
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

/**
 * Deletes entries that are `keepMs` older than the last one and than now, at most `limit`, never the last one; answers how
 * many. A clock that runs ahead so deletes nothing that others still read.
 */
export async function purgeRevocations(
  database: Database,
  bounds: { readonly now: number; readonly keepMs: number; readonly limit: number },
): Promise<number> {
  const newest = await database
    .selectFrom('revocation')
    .select(['seq', 'at'])
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (newest === undefined) return 0;
  const { numDeletedRows } = await database
    .deleteFrom('revocation')
    .where('seq', 'in', (old) =>
      old
        .selectFrom('revocation')
        .select('seq')
        .where('at', '<', Math.min(bounds.now, newest.at) - bounds.keepMs)
        .where('seq', '<', newest.seq)
        .orderBy('seq')
        .limit(bounds.limit),
    )
    .executeTakeFirst();
  return Number(numDeletedRows);
}
