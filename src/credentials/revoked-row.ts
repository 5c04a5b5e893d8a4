import { findAccountUnchecked } from '../store/accounts.ts';
import { markRevoked } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import type { AppPasswordRow } from '../store/schema.ts';
import type { KeyRing } from './key-file.ts';
import { isRowGenuine, rowMac } from './row-mac.ts';

/** Revokes one row; the feed is the caller's, in the same transaction. A row that is not ours ends too, but gets no MAC. */
export async function revokeRow(
  transaction: Database,
  keys: KeyRing,
  row: AppPasswordRow,
  at: number,
): Promise<void> {
  // Its own MAC covers the address: a forged account makes it a row that is not ours.
  const account = await findAccountUnchecked(transaction, { id: row.account_id });
  const isGenuine = account !== null && isRowGenuine(keys, account.address, row);
  const row_mac = isGenuine ? rowMac(keys, account.address, { ...row, state: 'revoked' }) : row.row_mac;
  await markRevoked(transaction, row.id, { revoked_at: at, row_mac });
}
