import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { Secret } from '../secret.ts';
import { findAccountUnchecked, lockAccount } from '../store/accounts.ts';
import {
  countLiveAppPasswords,
  findAppPassword,
  insertAppPassword,
  isSelectorTaken,
  listAppPasswords,
  replaceGrant,
} from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import { appendRevocation } from '../store/revocations.ts';
import type { Account, AppPasswordRow, NewAppPasswordRow } from '../store/schema.ts';
import { generateAppPassword } from './app-password.ts';
import { type AppPasswordView, checkGrant, expiryProblem, viewOf } from './app-password-grant.ts';
import { type Fence, noFence } from './fence.ts';
import type { KeyRing } from './key-file.ts';
import type { PasswordHash } from './password-hash.ts';
import type { RevocationFeed } from './revocation.ts';
import { revokeRow } from './revoked-row.ts';
import { isRowGenuine, rowMac } from './row-mac.ts';
import type { Scope } from './scope.ts';
import { selectorOf } from './selector.ts';

export type { AppPasswordView };

/** What to make. */
export interface AppPasswordOrder {
  readonly account: Account;
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly networks: readonly string[];
  /** undefined fences nothing. */
  readonly fence?: Fence;
  /** undefined takes the configured default, null never expires. */
  readonly expiresInMs: number | null | undefined;
  /** For the audit: `portal`, or who ran the command. */
  readonly createdBy: string;
}

/** What to change; the rest stays as it is. */
export interface AppPasswordChange {
  readonly label?: string;
  readonly scopes?: readonly Scope[];
  readonly networks?: readonly string[];
  /** From now; null never expires. */
  readonly expiresInMs?: number | null;
  readonly fence?: Partial<Fence>;
}

/** `problem` is a sentence for the person. */
export type UpdateOutcome =
  | { readonly kind: 'updated'; readonly row: AppPasswordView }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'revoked' }
  /** The row is not as the gateway wrote it: it may be revoked, and nothing else. */
  | { readonly kind: 'altered' }
  | { readonly kind: 'invalid'; readonly problem: string };

/** `problem` is a sentence for the person. The secret is shown once and wiped by who shows it. */
export type CreateOutcome =
  | { readonly kind: 'created'; readonly id: Buffer; readonly secret: Secret; readonly row: AppPasswordView }
  | { readonly kind: 'cap-reached'; readonly cap: number }
  | { readonly kind: 'invalid'; readonly problem: string };

/** Issues, lists and revokes app passwords. Rejects only when the store or the hash pool fails. */
export class AppPasswords {
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #passwordHash: PasswordHash;
  readonly #revocations: RevocationFeed | null;
  readonly #settings: Config['appPasswords'];
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    /** null where no login is served: running gateways find out by their poll. */
    readonly revocations: RevocationFeed | null;
    readonly config: Pick<Config, 'appPasswords'>;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#passwordHash = parts.passwordHash;
    this.#revocations = parts.revocations;
    this.#settings = parts.config.appPasswords;
    this.#now = parts.now;
  }

  async create(order: AppPasswordOrder): Promise<CreateOutcome> {
    const expiresInMs = order.expiresInMs === undefined ? this.#settings.defaultExpiryMs : order.expiresInMs;
    const grant = checkGrant({ ...order, fence: order.fence ?? noFence });
    if (grant.kind === 'invalid') return grant;
    const problem = expiryProblem(expiresInMs);
    if (problem !== null) return { kind: 'invalid', problem };
    const now = this.#now();
    const attributes = {
      ...grant.columns,
      not_after: expiresInMs === null ? null : now + expiresInMs,
      created_at: now,
      created_by: order.createdBy,
    };
    for (;;) {
      // Asked first, so that a full account costs no argon2id; the count that decides is in the transaction.
      if (await this.#isFull(this.#database, order.account.id)) return this.#capReached();
      const { secret, row } = await this.#draw(order.account, attributes);
      const outcome = await this.#insert(row);
      if (outcome === 'inserted') return { kind: 'created', id: row.id, secret, row: viewOf(row, now) };
      secret.wipe();
      if (outcome === 'cap-reached') return this.#capReached();
    }
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
  ): Promise<UpdateOutcome> {
    const problem = change.expiresInMs === undefined ? null : expiryProblem(change.expiresInMs);
    if (problem !== null) return { kind: 'invalid', problem };
    for (;;) {
      const outcome = await this.#database
        .transaction()
        .execute(async (transaction) => this.#change(transaction, accountId, id, change, reason));
      if (outcome.kind === 'overtaken') continue;
      if (outcome.kind === 'updated') await this.#revocations?.announce();
      return outcome;
    }
  }

  /** By id and account: an id alone would let one person end another's (S-67). */
  async revoke(
    accountId: Buffer,
    id: Buffer,
    reason: string,
  ): Promise<'revoked' | 'already-revoked' | 'not-found'> {
    const outcome = await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, accountId);
      const row = await findAppPassword(transaction, id);
      if (row === null || !row.account_id.equals(accountId)) return 'not-found';
      if (row.state === 'revoked') return 'already-revoked';
      await this.#revokeRow(transaction, row, reason);
      return 'revoked';
    });
    if (outcome === 'revoked') await this.#revocations?.announce();
    return outcome;
  }

  /** Revokes every one that is not yet, and answers how many. */
  async revokeAll(accountId: Buffer, reason: string): Promise<number> {
    const revoked = await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, accountId);
      const rows = await listAppPasswords(transaction, accountId);
      const active = rows.filter((row) => row.state !== 'revoked');
      for (const row of active) await this.#revokeRow(transaction, row, reason);
      return active.length;
    });
    if (revoked > 0) await this.#revocations?.announce();
    return revoked;
  }

  async #draw(
    account: Account,
    attributes: Pick<
      NewAppPasswordRow,
      'label' | 'scopes' | 'networks' | 'fence' | 'not_after' | 'created_at' | 'created_by'
    >,
  ): Promise<{ readonly secret: Secret; readonly row: AppPasswordRow }> {
    const secret = generateAppPassword();
    const { phc, pepperVersion } = await this.#passwordHash.hash(secret);
    const selector = selectorOf(this.#keys, pepperVersion, account.id, secret);
    if (selector === null) throw new Error('the active pepper cannot be derived');
    const authorizing = {
      id: randomBytes(16),
      account_id: account.id,
      scopes: attributes.scopes,
      networks: attributes.networks,
      fence: attributes.fence,
      not_after: attributes.not_after ?? null,
      state: 'active' as const,
      pepper_version: pepperVersion,
      selector,
      phc,
    };
    const row = {
      ...attributes,
      ...authorizing,
      row_mac: rowMac(this.#keys, account.address, authorizing),
      revoked_at: null,
      last_used_at: null,
      last_used_address: null,
      last_used_protocol: null,
      last_used_client: null,
    };
    return { secret, row };
  }

  /** Counts and inserts in one transaction: two requests at once must not both get the last place (S-23). */
  async #insert(row: AppPasswordRow): Promise<'inserted' | 'cap-reached' | 'selector-taken'> {
    return await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, row.account_id);
      if (await this.#isFull(transaction, row.account_id)) return 'cap-reached';
      if (await isSelectorTaken(transaction, row.account_id, row.pepper_version, row.selector)) {
        return 'selector-taken';
      }
      await insertAppPassword(transaction, row);
      return 'inserted';
    });
  }

  /** `overtaken`: a login has moved the row to other keys meanwhile. */
  async #change(
    transaction: Database,
    accountId: Buffer,
    id: Buffer,
    change: AppPasswordChange,
    reason: string,
  ): Promise<UpdateOutcome | { readonly kind: 'overtaken' }> {
    await lockAccount(transaction, accountId);
    const row = await findAppPassword(transaction, id);
    if (row === null || !row.account_id.equals(accountId)) return { kind: 'not-found' };
    if (row.state === 'revoked') return { kind: 'revoked' };
    const account = await findAccountUnchecked(transaction, { id: accountId });
    if (account === null || !isRowGenuine(this.#keys, account.address, row)) return { kind: 'altered' };
    const now = this.#now();
    const before = viewOf(row, now);
    if (before.fence === null) {
      return {
        kind: 'invalid',
        problem: 'a newer version has fenced it in a way that this one does not know',
      };
    }
    const fence = { ...before.fence, ...change.fence };
    const grant = checkGrant({ ...before, ...change, fence });
    if (grant.kind === 'invalid') return grant;
    const not_after = notAfterOf(row, change, now);
    const changed = { ...row, ...grant.columns, not_after };
    const row_mac = rowMac(this.#keys, account.address, changed);
    const { label, scopes, networks, fence: encoded } = grant.columns;
    const isReplaced = await replaceGrant(transaction, row, {
      ...{ label, scopes, networks, not_after, fence: encoded },
      row_mac,
    });
    if (!isReplaced) return { kind: 'overtaken' };
    if (!row_mac.equals(row.row_mac)) {
      await appendRevocation(transaction, { credentialId: id, accountId, at: now, reason });
    }
    return { kind: 'updated', row: viewOf({ ...changed, row_mac }, now) };
  }

  async #isFull(database: Database, accountId: Buffer): Promise<boolean> {
    const live = await countLiveAppPasswords(database, accountId, this.#now());
    return live >= this.#settings.maxPerAccount;
  }

  #capReached(): CreateOutcome {
    return { kind: 'cap-reached', cap: this.#settings.maxPerAccount };
  }

  async #revokeRow(transaction: Database, row: AppPasswordRow, reason: string): Promise<void> {
    const at = this.#now();
    await revokeRow(transaction, this.#keys, row, at);
    await appendRevocation(transaction, { credentialId: row.id, accountId: row.account_id, at, reason });
  }
}

function notAfterOf(row: AppPasswordRow, change: AppPasswordChange, now: number): number | null {
  if (change.expiresInMs === undefined) return row.not_after;
  return change.expiresInMs === null ? null : now + change.expiresInMs;
}
