import { sql } from 'kysely';
import type { AuditPlace } from './audit-entries.ts';
import type { Database } from './database.ts';
import type { AuditEntryRow } from './schema.ts';

/** Entries of all chains before a place, or the newest; newest first, at most `limit`. */
export async function pageAuditEntries(
  database: Database,
  before: AuditPlace | null,
  accountId: Buffer | null,
  limit: number,
): Promise<readonly AuditEntryRow[]> {
  let query = database.selectFrom('audit_entry').selectAll();
  if (accountId !== null) query = query.where('account_id', '=', accountId);
  if (before !== null) {
    query = query.where(sql<boolean>`(at, chain, seq) < (${before.at}, ${before.chain}, ${before.seq})`);
  }
  return await query
    .orderBy('at', 'desc')
    .orderBy('chain', 'desc')
    .orderBy('seq', 'desc')
    .limit(limit)
    .execute();
}
