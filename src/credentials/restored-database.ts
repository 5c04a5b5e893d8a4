import { listAccountIds, lockEveryAccount } from '../store/accounts.ts';
import { listUnrevokedAppPasswords } from '../store/app-passwords.ts';
import { deleteCacheSalts } from '../store/cache-salts.ts';
import type { Database } from '../store/database.ts';
import { deleteAllEnrollmentCodes } from '../store/enrollment-codes.ts';
import { deleteAllPortalSessions } from '../store/portal-sessions.ts';
import { deleteAllRecoveryCodes } from '../store/recovery-codes.ts';
import { appendRestore, lastRevocation } from '../store/revocations.ts';
import { spendStepsUntil } from '../store/second-factors.ts';
import type { HighWater } from './high-water.ts';
import type { KeyRing } from './key-file.ts';
import { revokeRow } from './revoked-row.ts';

/** The database may be an old one: what was revoked since would work again. `message` is for the operator. */
export class RestoredDatabaseError extends Error {
  override readonly name = 'RestoredDatabaseError';
}

/**
 * Throws {@link RestoredDatabaseError} for a database behind the mark (S-35). Where there is no mark but there were
 * revocations it answers why a restore could not have been noticed; else null.
 */
export async function refuseRestored(database: Database, highWater: HighWater): Promise<string | null> {
  const reading = await highWater.read();
  const seq = await lastRevocation(database);
  switch (reading.kind) {
    case 'unusable':
      throw new RestoredDatabaseError(
        `${reading.problem}, so a restored backup of the database would not be noticed. If a backup was restored, run ` +
          '`sallyport migrate --after-restore`, which revokes every app password. If surely not, delete the file.',
      );
    case 'mark':
      if (seq >= reading.seq) return null;
      throw new RestoredDatabaseError(
        `The database is older than the one last worked with (its revocations end at ${seq}, not at ${reading.seq}): ` +
          'a backup was restored, and what was revoked since would work again. ' +
          'Run `sallyport migrate --after-restore`: it revokes every app password and ends every portal session.',
      );
    case 'none':
      return seq === 0
        ? null
        : `${highWater.file} is missing and is made anew: whether the database was restored from a backup cannot be told`;
    default:
      return reading satisfies never;
  }
}

/** What {@link revokeAfterRestore} did. `seq` is where the feed stands now. */
export interface AfterRestore {
  readonly revoked: number;
  readonly sessionsEnded: number;
  /** Recovery and enrollment codes, which may have been used since. */
  readonly codesVoided: number;
  readonly seq: number;
}

/**
 * Revokes every app password, because none can be shown to be newer than the backup, ends every portal session, voids codes
 * and makes cached verifications void: also those of app passwords that the backup does not know.
 */
export async function revokeAfterRestore(parts: {
  readonly database: Database;
  readonly keys: KeyRing;
  readonly highWater: HighWater;
  readonly now: () => number;
}): Promise<AfterRestore> {
  const { database, keys, highWater } = parts;
  const reading = await highWater.read();
  const at = parts.now();
  const outcome = await database.transaction().execute(async (transaction) => {
    // Nobody makes or revokes one meanwhile: other gateways may be at work on a shared database.
    await lockEveryAccount(transaction);
    const rows = await listUnrevokedAppPasswords(transaction);
    for (const row of rows) await revokeRow(transaction, keys, row, at);
    await deleteCacheSalts(transaction);
    const sessionsEnded = await deleteAllPortalSessions(transaction);
    const codesVoided = await voidSpentProofs(transaction, at);
    // Above the mark, so that it never sinks, and so that a record cached before the restore is older than this.
    const above = reading.kind === 'mark' ? reading.seq : 0;
    await appendRestore(transaction, await listAccountIds(transaction), { above, at });
    return { revoked: rows.length, sessionsEnded, codesVoided, seq: await lastRevocation(transaction) };
  });
  await highWater.save(outcome.seq);
  return outcome;
}

/** What proved something once and would prove it again: codes of every kind, open questions, steps of authenticator apps. */
async function voidSpentProofs(transaction: Database, at: number): Promise<number> {
  const recovery = await deleteAllRecoveryCodes(transaction);
  const enrollment = await deleteAllEnrollmentCodes(transaction);
  await transaction.deleteFrom('email_code').execute();
  await transaction.deleteFrom('webauthn_challenge').execute();
  await spendStepsUntil(transaction, at);
  return recovery + enrollment;
}
