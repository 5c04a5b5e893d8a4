import { sql } from 'kysely';
import type { Database } from './database.ts';
import type { AuditChainRow, AuditEntryRow } from './schema.ts';

/** Begins a chain unless it is there: two transactions of a process may both be its first. */
export async function beginChain(transaction: Database, chain: AuditChainRow): Promise<void> {
  await transaction
    .insertInto('audit_chain')
    .values(chain)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/** Holds a chain to the end of the transaction, so that its entries commit in their order; null while it has not begun. */
export async function holdChain(transaction: Database, id: string): Promise<AuditChainRow | null> {
  const row = await transaction
    .updateTable('audit_chain')
    .set((set) => ({ seq: set.ref('seq') }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst();
  return row ?? null;
}

/** Adds an entry to a chain that is held. */
export async function appendEntry(
  transaction: Database,
  entry: AuditEntryRow,
  closedAt: number | null,
): Promise<void> {
  await transaction.insertInto('audit_entry').values(entry).execute();
  await transaction
    .updateTable('audit_chain')
    .set({ seq: entry.seq, head: entry.head, last_at: entry.at, closed_at: closedAt })
    .where('id', '=', entry.chain)
    .execute();
}

/** The chains last written to that still have entries, but for `except`. */
export async function newestChains(
  database: Database,
  except: string,
  limit: number,
): Promise<readonly AuditChainRow[]> {
  return await database
    .selectFrom('audit_chain')
    .selectAll()
    .where('id', '!=', except)
    .whereRef('base_seq', '<', 'seq')
    .orderBy('last_at', 'desc')
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** In the order of their last entry, at most `limit`, written to at `at` or later. */
export async function chainsSince(
  database: Database,
  at: number,
  limit: number,
): Promise<readonly AuditChainRow[]> {
  return await database
    .selectFrom('audit_chain')
    .selectAll()
    .where('last_at', '>=', at)
    .orderBy('last_at')
    .orderBy('id')
    .limit(limit)
    .execute();
}

export async function findChain(database: Database, id: string): Promise<AuditChainRow | null> {
  const row = await database.selectFrom('audit_chain').selectAll().where('id', '=', id).executeTakeFirst();
  return row ?? null;
}

/** By id, at most `limit`, after the id `after`. */
export async function listChains(
  database: Database,
  after: string,
  limit: number,
): Promise<readonly AuditChainRow[]> {
  return await database
    .selectFrom('audit_chain')
    .selectAll()
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Names of chains that have entries and are not in the list of chains any more. */
export async function unlistedChains(database: Database, limit: number): Promise<readonly string[]> {
  const rows = await database
    .selectFrom('audit_entry')
    .select('chain')
    .distinct()
    .where('chain', 'not in', (chains) => chains.selectFrom('audit_chain').select('id'))
    .limit(limit)
    .execute();
  return rows.map(({ chain }) => chain);
}

/** Entries of a chain after a number, in order, at most `limit`. */
export async function entriesOfChain(
  database: Database,
  chain: string,
  after: number,
  limit: number,
): Promise<readonly AuditEntryRow[]> {
  return await database
    .selectFrom('audit_entry')
    .selectAll()
    .where('chain', '=', chain)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

/** Where a reader of all entries stands. */
export type AuditPlace = Pick<AuditEntryRow, 'at' | 'chain' | 'seq'>;

/** Entries of all chains by time, after a place, at most `limit`; of one account, or of everything. */
export async function entriesByTime(
  database: Database,
  after: AuditPlace,
  accountId: Buffer | null,
  limit: number,
): Promise<readonly AuditEntryRow[]> {
  const query = database
    .selectFrom('audit_entry')
    .selectAll()
    .where(sql<boolean>`(at, chain, seq) > (${after.at}, ${after.chain}, ${after.seq})`)
    .orderBy('at')
    .orderBy('chain')
    .orderBy('seq')
    .limit(limit);
  return await (accountId === null ? query : query.where('account_id', '=', accountId)).execute();
}

/** Chains that have entries of before `before`, at most `limit`, but for some. */
export async function chainsWithOldEntries(
  database: Database,
  before: number,
  limit: number,
  except: readonly string[],
): Promise<readonly string[]> {
  const query = database
    .selectFrom('audit_entry')
    .select('chain')
    .distinct()
    .where('at', '<', before)
    .limit(limit);
  const rows = await (except.length === 0 ? query : query.where('chain', 'not in', except)).execute();
  return rows.map(({ chain }) => chain);
}

/** Chains last written to before `before` that have no entries any more, at most `limit`. */
export async function chainsOfBefore(
  database: Database,
  before: number,
  limit: number,
): Promise<readonly AuditChainRow[]> {
  return await database
    .selectFrom('audit_chain')
    .selectAll()
    .where('last_at', '<', before)
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('audit_entry')
            .select('audit_entry.seq')
            .whereRef('audit_entry.chain', '=', 'audit_chain.id'),
        ),
      ),
    )
    .limit(limit)
    .execute();
}

/** The number of the last entry of a chain; 0 where there is none. */
export async function lastSeq(database: Database, chain: string): Promise<number> {
  const { last } = await database
    .selectFrom('audit_entry')
    .select((select) => select.fn.max('seq').as('last'))
    .where('chain', '=', chain)
    .executeTakeFirstOrThrow();
  return last ?? 0;
}

/** Deletes the entries of a chain of before `before`; answers how many. */
export async function deleteEntriesBefore(
  transaction: Database,
  chain: string,
  before: number,
): Promise<number> {
  const { numDeletedRows } = await transaction
    .deleteFrom('audit_entry')
    .where('chain', '=', chain)
    .where('at', '<', before)
    .executeTakeFirst();
  return Number(numDeletedRows);
}

/** Deletes the entries of a chain up to a number; answers how many. */
export async function deleteEntriesUpTo(transaction: Database, chain: string, seq: number): Promise<number> {
  const { numDeletedRows } = await transaction
    .deleteFrom('audit_entry')
    .where('chain', '=', chain)
    .where('seq', '<=', seq)
    .executeTakeFirst();
  return Number(numDeletedRows);
}

export async function moveBase(
  transaction: Database,
  base: Pick<AuditChainRow, 'id' | 'base_seq' | 'base_head' | 'base_mac'>,
): Promise<void> {
  const { id, ...columns } = base;
  await transaction.updateTable('audit_chain').set(columns).where('id', '=', id).execute();
}

export async function deleteChain(transaction: Database, id: string): Promise<void> {
  await transaction.deleteFrom('audit_chain').where('id', '=', id).execute();
}
