import { sql } from 'kysely';
import { aheadMs } from './clock-ahead.ts';
import { type Database, within } from './database.ts';
import { genuine, type RowGuard } from './row-guard.ts';
import type { SecondFactorRow } from './schema.ts';

// S-76: a guess is counted before it is looked at and taken back when it was right, so that guesses made at the same
// time, over any number of sessions and nodes, cannot all be looked at.

/** How many guesses may stand in the last `windowMs`. */
export interface GuessWindow {
  readonly windowMs: number;
  readonly guesses: number;
}

/**
 * Counts a guess unless one of the windows is full, holding the factor meanwhile. Answers the guess's key, which is `now` or the next
 * free millisecond after the factor's latest guess; null when a window is full.
 */
export async function countGuess(
  database: Database,
  factorId: Buffer,
  now: number,
  windows: readonly GuessWindow[],
): Promise<number | null> {
  return await database.transaction().execute(async (transaction) => {
    // Statements that run at the same time do not see each other's guess.
    await transaction
      .updateTable('second_factor')
      .set((set) => ({ row_mac: set.ref('row_mac') }))
      .where('id', '=', factorId)
      .execute();
    await bringBack(transaction, factorId, now);
    const row = await transaction
      .insertInto('factor_failure')
      .columns(['factor_id', 'at'])
      .expression((expression) => {
        const latest = expression
          .selectFrom('factor_failure')
          .select(({ fn }) => fn.max('at').as('at'))
          .where('factor_id', '=', factorId);
        let query = expression
          .selectFrom('second_factor')
          .select([
            'second_factor.id',
            sql<number>`case when ${latest} >= ${now} then ${latest} + 1 else ${now} end`.as('at'),
          ])
          .where('second_factor.id', '=', factorId)
          .where('second_factor.disabled_at', 'is', null);
        for (const { windowMs, guesses } of windows) {
          const made = expression
            .selectFrom('factor_failure')
            .select(({ fn }) => fn.countAll<number>().as('made'))
            .where('factor_id', '=', factorId)
            .where('at', '>', now - windowMs);
          query = query.where(made, '<', guesses);
        }
        return query;
      })
      .returning('at')
      .executeTakeFirst();
    return row?.at ?? null;
  });
}

/**
 * After the clock was set back: guesses that lie ahead count as made just now, each under a key of its own. Left there, they
 * would fill the windows until their time has come, and every new guess would follow them.
 */
async function bringBack(transaction: Database, factorId: Buffer, now: number): Promise<void> {
  const ahead = await transaction
    .selectFrom('factor_failure')
    .select('at')
    .where('factor_id', '=', factorId)
    .where('at', '>', now + aheadMs)
    .orderBy('at', 'desc')
    .execute();
  for (const [index, { at }] of ahead.entries()) {
    await transaction
      .updateTable('factor_failure')
      .set({ at: now - index })
      .where('factor_id', '=', factorId)
      .where('at', '=', at)
      .execute();
  }
}

/** The guess was right: it does not count. */
export async function takeBackGuess(database: Database, factorId: Buffer, at: number): Promise<void> {
  await database
    .deleteFrom('factor_failure')
    .where('factor_id', '=', factorId)
    .where('at', '=', at)
    .execute();
}

/** When the fullest window has room again; `now` when all have. */
export async function guessesAllowedAt(
  database: Database,
  factorId: Buffer,
  now: number,
  windows: readonly GuessWindow[],
): Promise<number> {
  let until = now;
  for (const { windowMs, guesses } of windows) {
    const row = await database
      .selectFrom('factor_failure')
      .select('at')
      .where('factor_id', '=', factorId)
      .where('at', '>', now - windowMs)
      .orderBy('at', 'desc')
      .offset(guesses - 1)
      .limit(1)
      .executeTakeFirst();
    if (row !== undefined) until = Math.max(until, row.at + windowMs);
  }
  return until;
}

/**
 * Adds a wrong guess to the run of failures and disables the factor where a bound is reached, in one statement.
 * Forgets guesses older than the long window. Answers whether the factor is disabled now.
 */
export async function recordWrongGuess(
  database: Database,
  guard: RowGuard,
  factor: SecondFactorRow,
  now: number,
  bounds: { readonly consecutive: number; readonly long: GuessWindow },
): Promise<boolean> {
  const { id, account_id } = factor;
  await database
    .deleteFrom('factor_failure')
    .where('factor_id', '=', id)
    .where('at', '<=', now - bounds.long.windowMs)
    .execute();
  return await within(database, async (transaction) => {
    // Held, and as it is now: its seed may have been sealed anew since it was read, and the MAC is over that too.
    const held = await transaction
      .updateTable('second_factor')
      .set((set) => ({ row_mac: set.ref('row_mac') }))
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst();
    if (held === undefined) return false;
    const current = genuine(guard, 'second_factor', held, account_id);
    // Made before it is known whether it is needed: the statement that counts is the one that disables.
    const disabledMac = guard.mac('second_factor', { ...current, disabled_at: now });
    const row = await transaction
      .updateTable('second_factor')
      .set(({ eb, selectFrom }) => {
        const isDisabling = eb.and([
          eb('disabled_at', 'is', null),
          eb.or([
            eb('consecutive_failures', '>=', bounds.consecutive - 1),
            eb(
              selectFrom('factor_failure')
                .select(({ fn }) => fn.countAll<number>().as('made'))
                .where('factor_id', '=', id),
              '>=',
              bounds.long.guesses,
            ),
          ]),
        ]);
        return {
          consecutive_failures: eb('consecutive_failures', '+', 1),
          disabled_at: eb.case().when(isDisabling).then(now).else(eb.ref('disabled_at')).end(),
          row_mac: eb.case().when(isDisabling).then(disabledMac).else(eb.ref('row_mac')).end(),
        } as object;
      })
      .where('id', '=', id)
      .returning('disabled_at')
      .executeTakeFirst();
    return row !== undefined && row.disabled_at !== null;
  });
}

/**
 * Whether the account's owner is to be told now that somebody guesses at her factors: where as many guesses of `window` were
 * wrong, once in it. Call it in a transaction that holds the account.
 */
export async function isTimeToTell(
  transaction: Database,
  factor: Pick<SecondFactorRow, 'id' | 'account_id'>,
  now: number,
  window: GuessWindow,
): Promise<boolean> {
  const since = now - window.windowMs;
  const { wrong } = await transaction
    .selectFrom('factor_failure')
    .innerJoin('second_factor', 'second_factor.id', 'factor_failure.factor_id')
    .select(({ fn }) => fn.countAll<number>().as('wrong'))
    .where('second_factor.account_id', '=', factor.account_id)
    .where('factor_failure.at', '>', since)
    .executeTakeFirstOrThrow();
  if (wrong < window.guesses) return false;
  const told = await transaction
    .selectFrom('second_factor')
    .select('id')
    .where('account_id', '=', factor.account_id)
    .where('told_at', '>', since)
    .where('told_at', '<=', now + aheadMs)
    .executeTakeFirst();
  if (told !== undefined) return false;
  await transaction.updateTable('second_factor').set({ told_at: now }).where('id', '=', factor.id).execute();
  return true;
}
