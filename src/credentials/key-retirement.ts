import { findAccountUnchecked, lockAccount } from '../store/accounts.ts';
import { findAppPassword } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import { deleteCodesUnder, deleteSessionsUnder, listUnrevokedUnder } from '../store/key-retirement.ts';
import { appendRevocation } from '../store/revocations.ts';
import type { JournalEntry } from './journal.ts';
import type { KeyFamily, KeyRing } from './key-file.ts';
import type { RevocationFeed } from './revocation.ts';
import { revokeRow } from './revoked-row.ts';

/** What ended with a key. */
export interface EndedWithKey {
  readonly appPasswords: number;
  /** Recovery and enrollment codes. */
  readonly codes: number;
  readonly portalSessions: number;
}

/**
 * Ends what a key that is to go still carries, so that nothing of it is an outage afterwards: app passwords through the
 * feed, which ends their sessions, then codes and browser sessions. Seeds under a seal key are lost with it.
 */
export async function endUnderKey(
  parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly revocations: RevocationFeed;
    /** Enters the journal, in the transaction of the change. */
    readonly record: (transaction: Database, what: Pick<JournalEntry, 'account' | 'event'>) => Promise<void>;
    readonly now: () => number;
  },
  family: KeyFamily,
  id: number,
  reason: string,
): Promise<EndedWithKey> {
  if (family === 'seal') return { appPasswords: 0, codes: 0, portalSessions: 0 };
  const { database, keys, revocations } = parts;
  let appPasswords = 0;
  for (const { id: credentialId, account_id } of await listUnrevokedUnder(database, family, id)) {
    const isRevoked = await database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, account_id);
      // Again under the lock: a login may have moved it to the active key meanwhile.
      const row = await findAppPassword(transaction, credentialId);
      const isUnder = family === 'pepper' ? row?.pepper_version === id : row?.row_mac.readUInt32BE(0) === id;
      if (row === null || row.state === 'revoked' || !isUnder) return false;
      const at = parts.now();
      await revokeRow(transaction, keys, row, at);
      const account = await findAccountUnchecked(transaction, { id: account_id });
      const event = { action: 'app-password.revoked', id: credentialId, label: row.label } as const;
      await parts.record(transaction, { account, event });
      await appendRevocation(transaction, { credentialId, accountId: account_id, at, reason });
      return true;
    });
    if (isRevoked) appPasswords += 1;
  }
  if (appPasswords > 0) await revocations.announce();
  const codes = await deleteCodesUnder(database, family, id);
  const portalSessions = family === 'mac' ? await deleteSessionsUnder(database, id) : 0;
  return { appPasswords, codes, portalSessions };
}
