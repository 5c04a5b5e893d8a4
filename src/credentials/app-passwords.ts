import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { Secret } from '../secret.ts';
import { findAccountUnchecked, lockAccount } from '../store/accounts.ts';
import {
  type ChangeableColumns,
  countCreatedSince,
  countLiveAppPasswords,
  findAppPassword,
  insertAppPassword,
  isSelectorTaken,
  listAppPasswords,
} from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import { deletePortalSessionsOf } from '../store/portal-sessions.ts';
import { appendRevocation } from '../store/revocations.ts';
import type { Account, AppPasswordRow } from '../store/schema.ts';
import { generateAppPassword } from './app-password.ts';
import { type AppPasswordChange, changeAppPassword, type UpdateOutcome } from './app-password-change.ts';
import { type AppPasswordView, checkGrant, lifeProblem, viewOf } from './app-password-grant.ts';
import type { AppPasswordOrder, CreateOutcome } from './app-password-order.ts';
import { noFence } from './fence.ts';
import type { Actor, Journal, JournalEvent } from './journal.ts';
import type { KeyRing } from './key-file.ts';
import type { PasswordHash } from './password-hash.ts';
import type { RevocationFeed } from './revocation.ts';
import { revokeRow } from './revoked-row.ts';
import { rowMac } from './row-mac.ts';
import { scopesOf } from './scope.ts';
import { selectorOf } from './selector.ts';

export type { AppPasswordChange, AppPasswordOrder, AppPasswordView, CreateOutcome, UpdateOutcome };

type Refusal = Exclude<CreateOutcome, { readonly kind: 'created' | 'invalid' }>;

const hourMs = 3_600_000;
/** With 60,000 of 65,536 selectors taken, one creation in three hundred is refused. */
const draws = 64;

/** Issues, lists and revokes app passwords. Rejects only when the store or the hash pool fails. */
export class AppPasswords {
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #passwordHash: PasswordHash;
  readonly #revocations: RevocationFeed | null;
  readonly #journal: Journal;
  readonly #settings: Config['appPasswords'];
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    /** null where no login is served: running gateways find out by their poll. */
    readonly revocations: RevocationFeed | null;
    readonly journal: Journal;
    readonly config: Pick<Config, 'appPasswords'>;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#passwordHash = parts.passwordHash;
    this.#revocations = parts.revocations;
    this.#journal = parts.journal;
    this.#settings = parts.config.appPasswords;
    this.#now = parts.now;
  }

  async create(order: AppPasswordOrder): Promise<CreateOutcome> {
    const { expiresInMs = this.#settings.defaultExpiryMs, unusedAfterMs = this.#settings.unusedAfterMs } =
      order;
    const { maxIdleMs = null } = order;
    const grant = checkGrant({ ...order, fence: order.fence ?? noFence });
    if (grant.kind === 'invalid') return grant;
    const problem = lifeProblem({ expiresInMs, unusedAfterMs, maxIdleMs });
    if (problem !== null) return { kind: 'invalid', problem };
    const now = this.#now();
    const attributes = {
      ...grant.columns,
      not_after: expiresInMs === null ? null : now + expiresInMs,
      first_use_by: unusedAfterMs === null ? null : now + unusedAfterMs,
      max_idle_ms: maxIdleMs,
      created_at: now,
      created_by: order.createdBy,
    };
    // Asked first, so that a full account costs no argon2id; the count that decides is in the transaction.
    const refusal = await this.#refusal(this.#database, order);
    if (refusal !== null) return refusal;
    for (let draw = 0; draw < draws; draw += 1) {
      const secret = generateAppPassword();
      const row = await this.#rowOf(order.account, secret, attributes);
      if (row !== null) {
        const outcome = await this.#insert(row, order);
        if (outcome === 'inserted') return { kind: 'created', id: row.id, secret, row: viewOf(row, now) };
        secret.wipe();
        if (outcome !== 'selector-taken') return outcome;
      } else secret.wipe();
    }
    return { kind: 'crowded' };
  }

  /** Newest first. */
  async list(accountId: Buffer): Promise<readonly AppPasswordView[]> {
    const rows = await listAppPasswords(this.#database, accountId);
    return rows.map((row) => viewOf(row, this.#now()));
  }

  async find(id: Buffer): Promise<AppPasswordView | null> {
    const row = await findAppPassword(this.#database, id);
    return row === null ? null : viewOf(row, this.#now());
  }

  /**
   * By id and account, as {@link revoke}. Whatever it changes of what the app password is good for ends its live sessions
   * and cached records, wider or narrower (S-56); the next login of the same secret has the new terms.
   */
  async update(
    accountId: Buffer,
    id: Buffer,
    change: AppPasswordChange,
    reason: string,
    actor: Actor,
  ): Promise<UpdateOutcome> {
    for (;;) {
      const what = { accountId, id, change, reason, actor, now: this.#now() };
      const outcome = await this.#database
        .transaction()
        .execute(async (transaction) =>
          changeAppPassword(transaction, { keys: this.#keys, journal: this.#journal }, what),
        );
      if (outcome.kind === 'overtaken') continue;
      if (outcome.kind === 'updated' && outcome.isChanged) await this.#revocations?.announce();
      return outcome;
    }
  }

  /** By id and account: an id alone would let one person end another's (S-67). */
  async revoke(
    accountId: Buffer,
    id: Buffer,
    reason: string,
    actor: Actor,
  ): Promise<'revoked' | 'already-revoked' | 'not-found'> {
    const outcome = await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, accountId);
      const row = await findAppPassword(transaction, id);
      if (row === null || !row.account_id.equals(accountId)) return 'not-found';
      if (row.state === 'revoked') return 'already-revoked';
      await this.#revokeRow(transaction, row, reason);
      const event = { action: 'app-password.revoked' as const, id, label: row.label };
      await this.#record(transaction, accountId, { event, actor, reason });
      return 'revoked';
    });
    if (outcome === 'revoked') await this.#revocations?.announce();
    return outcome;
  }

  /** Revokes every one that is not yet, and answers how many. */
  async revokeAll(accountId: Buffer, reason: string, actor: Actor): Promise<number> {
    const revoked = await this.#database.transaction().execute(async (transaction) => {
      const count = await this.#revokeEvery(transaction, accountId, reason);
      const event = { action: 'app-passwords.revoked' as const, count };
      if (count > 0) await this.#record(transaction, accountId, { event, actor, reason });
      return count;
    });
    if (revoked > 0) await this.#revocations?.announce();
    return revoked;
  }

  /**
   * The account's main password was changed, maybe because somebody else had it: ends its portal sessions but for
   * `exceptSession` (the hash of an id), and revokes its app passwords where that is asked for. Kept ones go on, with
   * their sessions.
   */
  async mainPasswordChanged(
    accountId: Buffer,
    order: {
      readonly appPasswords: 'keep' | 'revoke';
      readonly exceptSession: Buffer | null;
      readonly reason: string;
      readonly actor: Actor;
    },
  ): Promise<{ readonly sessionsEnded: number; readonly revoked: number }> {
    const outcome = await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, accountId);
      const sessionsEnded = await deletePortalSessionsOf(transaction, accountId, order.exceptSession);
      const revoked =
        order.appPasswords === 'revoke' ? await this.#revokeEvery(transaction, accountId, order.reason) : 0;
      const event = { action: 'account.password-changed' as const, sessionsEnded, revoked };
      await this.#record(transaction, accountId, { event, actor: order.actor, reason: order.reason });
      return { sessionsEnded, revoked };
    });
    if (outcome.revoked > 0) await this.#revocations?.announce();
    return outcome;
  }

  /** null, before argon2id is paid for: another app password of the account has the selector. */
  async #rowOf(
    account: Account,
    secret: Secret,
    attributes: Omit<ChangeableColumns, 'state'> & Pick<AppPasswordRow, 'created_at' | 'created_by'>,
  ): Promise<AppPasswordRow | null> {
    const active = this.#keys.activeId('pepper');
    const found = selectorOf(this.#keys, active, account.id, secret);
    if (found !== null && (await isSelectorTaken(this.#database, account.id, active, found))) return null;
    const { phc, pepperVersion } = await this.#passwordHash.hash(secret);
    // Keys may have been reloaded meanwhile.
    const selector = selectorOf(this.#keys, pepperVersion, account.id, secret);
    if (selector === null) throw new Error('the active pepper cannot be derived');
    const authorizing = {
      id: randomBytes(16),
      account_id: account.id,
      ...attributes,
      state: 'active' as const,
      pepper_version: pepperVersion,
      selector,
      phc,
    };
    return {
      ...authorizing,
      row_mac: rowMac(this.#keys, account.address, authorizing),
      revoked_at: null,
      last_used_at: null,
      last_used_address: null,
      last_used_protocol: null,
      last_used_client: null,
    };
  }

  /** Counts and inserts in one transaction: two requests at once must not both get the last place (S-23). */
  async #insert(
    row: AppPasswordRow,
    order: AppPasswordOrder,
  ): Promise<'inserted' | 'selector-taken' | Refusal> {
    return await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, row.account_id);
      const refusal = await this.#refusal(transaction, order);
      if (refusal !== null) return refusal;
      if (order.isStill !== undefined && !(await order.isStill(transaction))) return { kind: 'gone' };
      if (await isSelectorTaken(transaction, row.account_id, row.pepper_version, row.selector)) {
        return 'selector-taken';
      }
      await insertAppPassword(transaction, row);
      const { id, label, not_after } = row;
      await this.#journal.record(transaction, {
        account: order.account,
        actor: order.actor,
        ...(order.reason === undefined ? {} : { reason: order.reason }),
        event: {
          action: 'app-password.created',
          id,
          label,
          scopes: scopesOf(row.scopes),
          notAfter: not_after,
        },
      });
      return 'inserted';
    });
  }

  async #refusal(
    database: Database,
    { account, createdBy, isByOperator }: AppPasswordOrder,
  ): Promise<Refusal | null> {
    const now = this.#now();
    const { maxPerAccount: cap, createdPerHour: perHour } = this.#settings;
    if ((await countLiveAppPasswords(database, account.id, now)) >= cap) return { kind: 'cap-reached', cap };
    if (isByOperator === true) return null;
    const fresh = await findAccountUnchecked(database, { id: account.id });
    if (fresh?.state !== 'active') return { kind: 'gone' };
    // The later one: what was read with the account may be old by now, and what is read here may be forged.
    const until = Math.max(account.hold_until ?? 0, fresh.hold_until ?? 0);
    if (until > now) return { kind: 'held', until };
    const recent = await countCreatedSince(database, account.id, createdBy, now - hourMs);
    return recent >= perHour ? { kind: 'too-many-recently', perHour } : null;
  }

  async #revokeEvery(transaction: Database, accountId: Buffer, reason: string): Promise<number> {
    await lockAccount(transaction, accountId);
    const rows = await listAppPasswords(transaction, accountId);
    const unrevoked = rows.filter((row) => row.state !== 'revoked');
    for (const row of unrevoked) await this.#revokeRow(transaction, row, reason);
    return unrevoked.length;
  }

  async #revokeRow(transaction: Database, row: AppPasswordRow, reason: string): Promise<void> {
    const at = this.#now();
    await revokeRow(transaction, this.#keys, row, at);
    await appendRevocation(transaction, { credentialId: row.id, accountId: row.account_id, at, reason });
  }

  async #record(
    transaction: Database,
    accountId: Buffer,
    entry: { readonly event: JournalEvent; readonly actor: Actor; readonly reason: string },
  ): Promise<void> {
    const account = await findAccountUnchecked(transaction, { id: accountId });
    await this.#journal.record(transaction, { account, ...entry });
  }
}
