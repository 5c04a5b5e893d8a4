import { endsAt } from './app-password-life.ts';
import type { Database } from './database.ts';
import type { NewStaleClientRow, StaleClientRow } from './schema.ts';

/** Adds to what is known of each, or makes it; of app passwords that are gone nothing. None may come twice in one call. */
export async function addStaleClients(database: Database, rows: readonly NewStaleClientRow[]): Promise<void> {
  const known = await database
    .selectFrom('app_password')
    .select('id')
    .where(
      'id',
      'in',
      rows.map((row) => row.credential_id),
    )
    .execute();
  const ids = new Set(known.map(({ id }) => id.toString('hex')));
  const values = rows
    .filter((row) => ids.has(row.credential_id.toString('hex')))
    // In one order at every node, or two wait for each other's rows.
    .toSorted((left, right) => left.credential_id.compare(right.credential_id));
  if (values.length === 0) return;
  await database
    .insertInto('stale_client')
    .values(values)
    .onConflict((conflict) =>
      conflict.column('credential_id').doUpdateSet((set) => ({
        times: set('stale_client.times', '+', set.ref('excluded.times')),
        last_at: set.ref('excluded.last_at'),
        protocol: set.ref('excluded.protocol'),
        address: set.ref('excluded.address'),
        client: set.fn.coalesce('excluded.client', 'stale_client.client'),
      })),
    )
    .execute();
}

/** A client that goes on sending an app password that ended; `endedAt` is when it did. */
export interface StaleClient extends StaleClientRow {
  readonly label: string;
  readonly endedAt: number;
}

/** Those seen since, the latest first. */
export async function listStaleClients(
  database: Database,
  accountId: Buffer,
  since: number,
): Promise<readonly StaleClient[]> {
  const rows = await database
    .selectFrom('stale_client')
    .innerJoin('app_password', 'app_password.id', 'stale_client.credential_id')
    .selectAll('stale_client')
    .select(['app_password.label', 'app_password.created_at', 'app_password.revoked_at'])
    .select(['app_password.not_after', 'app_password.first_use_by', 'app_password.max_idle_ms'])
    .select('app_password.last_used_at')
    .where('app_password.account_id', '=', accountId)
    .where('stale_client.last_at', '>=', since)
    .orderBy('stale_client.last_at', 'desc')
    .execute();
  return rows.map(
    ({ created_at, revoked_at, not_after, first_use_by, max_idle_ms, last_used_at, ...row }) => ({
      ...row,
      endedAt:
        revoked_at ??
        endsAt({ not_after, first_use_by, max_idle_ms, created_at, last_used_at }, row.last_at) ??
        row.first_at,
    }),
  );
}
