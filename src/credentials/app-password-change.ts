import { findAccountUnchecked, lockAccount } from '../store/accounts.ts';
import { type ChangeableColumns, findAppPassword, replaceGrant } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import { appendRevocation } from '../store/revocations.ts';
import type { AppPasswordRow } from '../store/schema.ts';
import {
  type AppPasswordView,
  checkGrant,
  lifeProblem,
  viewOf,
  type WantedLife,
} from './app-password-grant.ts';
import type { Fence } from './fence.ts';
import type { Actor, Journal } from './journal.ts';
import type { KeyRing } from './key-file.ts';
import { isRowGenuine, rowMac } from './row-mac.ts';
import type { Scope } from './scope.ts';

/** What to change; the rest stays as it is. Times are from now, null takes that end away. */
export interface AppPasswordChange extends WantedLife {
  readonly label?: string;
  readonly scopes?: readonly Scope[];
  readonly networks?: readonly string[];
  readonly fence?: Partial<Fence>;
  /** The expiry as a moment, for who knows no span. */
  readonly expiresAt?: number | null;
  /** A paused one lets nobody in, and may go on later. */
  readonly state?: 'active' | 'paused';
}

/** `problem` is a sentence for the person. */
export type UpdateOutcome =
  | {
      readonly kind: 'updated';
      readonly row: AppPasswordView;
      /** Anything at all, the label too. */
      readonly isChanged: boolean;
    }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'revoked' }
  /** The row is not as the gateway wrote it: it may be revoked, and nothing else. */
  | { readonly kind: 'altered' }
  | { readonly kind: 'invalid'; readonly problem: string };

/** One row as it would be. */
export type PlannedChange =
  | { readonly kind: 'columns'; readonly columns: ChangeableColumns; readonly isChanged: boolean }
  | { readonly kind: 'revoked' }
  | { readonly kind: 'invalid'; readonly problem: string };

/** What a change makes of a row; touches nothing. */
export function planChange(row: AppPasswordRow, change: AppPasswordChange, now: number): PlannedChange {
  const { state } = row;
  if (state === 'revoked') return { kind: 'revoked' };
  const problem = lifeProblem(change);
  if (problem !== null) return { kind: 'invalid', problem };
  const before = viewOf(row, now);
  if (before.fence === null) {
    return { kind: 'invalid', problem: 'a newer version has fenced it in a way that this one does not know' };
  }
  const grant = checkGrant({ ...before, ...change, fence: { ...before.fence, ...change.fence } });
  if (grant.kind === 'invalid') return grant;
  const { expiresInMs, unusedAfterMs, maxIdleMs } = change;
  const { expiresAt = expiresInMs === undefined ? row.not_after : after(now, expiresInMs) } = change;
  if (expiresAt !== null && expiresAt !== row.not_after && expiresAt <= now) {
    return { kind: 'invalid', problem: 'the expiry must lie in the future' };
  }
  const columns: ChangeableColumns = {
    ...grant.columns,
    not_after: expiresAt,
    first_use_by: unusedAfterMs === undefined ? row.first_use_by : after(now, unusedAfterMs),
    max_idle_ms: maxIdleMs === undefined ? row.max_idle_ms : maxIdleMs,
    state: change.state ?? state,
  };
  return { kind: 'columns', columns, isChanged: changedNames(columns, row).length > 0 };
}

function changedNames(columns: ChangeableColumns, row: AppPasswordRow): readonly string[] {
  const names = Object.keys(columns) as (keyof ChangeableColumns)[];
  return names.filter((name) => columns[name] !== row[name]);
}

/**
 * Changes a row of the account, in the caller's transaction. Whatever it changes of what the app password is good for enters
 * the feed (S-56). `overtaken`: a login has moved the row to other keys meanwhile.
 */
export async function changeAppPassword(
  transaction: Database,
  { keys, journal }: { readonly keys: KeyRing; readonly journal: Journal },
  what: {
    readonly accountId: Buffer;
    readonly id: Buffer;
    readonly change: AppPasswordChange;
    readonly reason: string;
    readonly actor: Actor;
    readonly now: number;
  },
): Promise<UpdateOutcome | { readonly kind: 'overtaken' }> {
  const { accountId, id, change, reason, actor, now } = what;
  await lockAccount(transaction, accountId);
  const row = await findAppPassword(transaction, id);
  if (row === null || !row.account_id.equals(accountId)) return { kind: 'not-found' };
  if (row.state === 'revoked') return { kind: 'revoked' };
  const account = await findAccountUnchecked(transaction, { id: accountId });
  if (account === null || !isRowGenuine(keys, account.address, row)) return { kind: 'altered' };
  const planned = planChange(row, change, now);
  if (planned.kind !== 'columns') return planned;
  const { columns, isChanged } = planned;
  if (!isChanged) return { kind: 'updated', row: viewOf(row, now), isChanged };
  const changed = { ...row, ...columns };
  const row_mac = rowMac(keys, account.address, changed);
  if (!(await replaceGrant(transaction, row, { ...columns, row_mac }))) return { kind: 'overtaken' };
  if (!row_mac.equals(row.row_mac)) {
    await appendRevocation(transaction, { credentialId: id, accountId, at: now, reason });
  }
  const action = actionOf(row.state, columns.state);
  const event = { action, id, label: columns.label, changed: changedNames(columns, row) };
  await journal.record(transaction, { account, actor, reason, event });
  return { kind: 'updated', row: viewOf({ ...changed, row_mac }, now), isChanged };
}

function after(now: number, ms: number | null): number | null {
  return ms === null ? null : now + ms;
}

function actionOf(
  before: AppPasswordRow['state'],
  after: ChangeableColumns['state'],
): 'app-password.paused' | 'app-password.resumed' | 'app-password.changed' {
  if (before === after) return 'app-password.changed';
  return after === 'paused' ? 'app-password.paused' : 'app-password.resumed';
}
