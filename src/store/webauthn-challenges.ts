import { aheadMs } from './clock-ahead.ts';
import type { Database } from './database.ts';
import { genuine, type RowGuard } from './row-guard.ts';
import type { WebauthnChallengeRow } from './schema.ts';

/** Asks anew: a session has one question of a ceremony open. Drops dead ones of everybody. */
export async function replaceChallenge(
  database: Database,
  guard: RowGuard,
  challenge: Omit<WebauthnChallengeRow, 'row_mac'>,
  deadBefore: number,
): Promise<void> {
  await database.deleteFrom('webauthn_challenge').where('created_at', '<=', deadBefore).execute();
  await database
    .deleteFrom('webauthn_challenge')
    .where('account_id', '=', challenge.account_id)
    .where('session_hash', '=', challenge.session_hash)
    .where('ceremony', '=', challenge.ceremony)
    .execute();
  const row_mac = guard.mac('webauthn_challenge', challenge);
  await database
    .insertInto('webauthn_challenge')
    .values({ ...challenge, row_mac })
    .execute();
}

type ChallengePlace = Pick<WebauthnChallengeRow, 'account_id' | 'session_hash' | 'ceremony'>;

/** The session's open question, made in the last `lifeMs`; null for none. Throws for a forged row. */
export async function findChallenge(
  database: Database,
  guard: RowGuard,
  place: ChallengePlace,
  now: number,
  lifeMs: number,
): Promise<WebauthnChallengeRow | null> {
  const row = await database
    .selectFrom('webauthn_challenge')
    .selectAll()
    .where('account_id', '=', place.account_id)
    .where('session_hash', '=', place.session_hash)
    .where('ceremony', '=', place.ceremony)
    .where('created_at', '>', now - lifeMs)
    .where('created_at', '<=', now + aheadMs)
    .orderBy('created_at', 'desc')
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'webauthn_challenge', row, place.account_id);
}

/**
 * S-78: takes the question away, whatever becomes of the answer; of two answers at once one gets it. null for one of another
 * session, account or ceremony, or too old. Throws for a forged row.
 */
export async function takeChallenge(
  database: Database,
  guard: RowGuard,
  place: ChallengePlace & { readonly challenge: Buffer },
  now: number,
  lifeMs: number,
): Promise<WebauthnChallengeRow | null> {
  const row = await database
    .deleteFrom('webauthn_challenge')
    .where('challenge', '=', place.challenge)
    .where('account_id', '=', place.account_id)
    .where('session_hash', '=', place.session_hash)
    .where('ceremony', '=', place.ceremony)
    .where('created_at', '>', now - lifeMs)
    .where('created_at', '<=', now + aheadMs)
    .returningAll()
    .executeTakeFirst();
  return row === undefined ? null : genuine(guard, 'webauthn_challenge', row, place.account_id);
}
