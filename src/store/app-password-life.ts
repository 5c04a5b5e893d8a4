import type { Expression, ExpressionBuilder, SqlBool } from 'kysely';
import type { AppPasswordRow, Schema } from './schema.ts';

/** What ends an app password by itself. */
export type Life = Pick<
  AppPasswordRow,
  'not_after' | 'first_use_by' | 'max_idle_ms' | 'created_at' | 'last_used_at'
>;

/**
 * When it ends for want of use, if it is not used from now on; null where nothing of the kind is set. The last use stands
 * outside the row's MAC, because it is written behind each login: whoever can write SQL can keep an unused app password
 * alive, up to its fixed expiry, or end one. He needs the secret all the same, and could delete the row.
 */
export function lapsesAt(life: Life, now: number): number | null {
  const firstUseBy = life.last_used_at === null ? life.first_use_by : null;
  const unused = life.max_idle_ms === null ? null : lastMoment(life, now) + life.max_idle_ms;
  return earlier(firstUseBy, unused);
}

/** When it ends, if it is not used from now on; null: never by itself. */
export function endsAt(life: Life, now: number): number | null {
  return earlier(life.not_after, lapsesAt(life, now));
}

export function hasEnded(life: Life, now: number): boolean {
  const end = endsAt(life, now);
  return end !== null && end <= now;
}

/** The same in SQL, for counting. */
export function isLive(where: ExpressionBuilder<Schema, 'app_password'>, now: number): Expression<SqlBool> {
  return where.and([
    where.or([where('not_after', 'is', null), where('not_after', '>', now)]),
    where.or([
      where('last_used_at', 'is not', null),
      where('first_use_by', 'is', null),
      where('first_use_by', '>', now),
    ]),
    where.or([
      where('max_idle_ms', 'is', null),
      where('max_idle_ms', '>', where(where.val(now), '-', where.fn.coalesce('last_used_at', 'created_at'))),
    ]),
  ]);
}

/** Not in the future: a clock that ran ahead, or a hand in the database, must not make one that never lapses. */
function lastMoment({ last_used_at, created_at }: Life, now: number): number {
  const at = last_used_at ?? created_at;
  // SQLite keeps any type in any column.
  return Number.isSafeInteger(at) ? Math.min(at, now) : 0;
}

function earlier(left: number | null, right: number | null): number | null {
  if (left === null || right === null) return left ?? right;
  return Math.min(left, right);
}
