import { randomBytes } from 'node:crypto';
import type { Config } from '../config/schema.ts';
import type { Secret } from '../secret.ts';
import { lockAccount } from '../store/accounts.ts';
import {
  countLiveAppPasswords,
  findAppPassword,
  insertAppPassword,
  isSelectorTaken,
  listAppPasswords,
} from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import { appendRevocation } from '../store/revocations.ts';
import type { Account, AppPasswordRow, NewAppPasswordRow } from '../store/schema.ts';
import { generateAppPassword } from './app-password.ts';
import type { KeyRing } from './key-file.ts';
import { canonicalCidr, splitNetworks } from './network.ts';
import type { PasswordHash } from './password-hash.ts';
import type { RevocationFeed } from './revocation.ts';
import { revokeRow } from './revoked-row.ts';
import { rowMac } from './row-mac.ts';
import { type Scope, scopeBits, scopesOf } from './scope.ts';
import { selectorOf } from './selector.ts';

const maxLabelCharacters = 64;
/** Keeps the row, its MAC and a cached record small. */
const maxNetworks = 32;

/** An app password as its owner sees it: everything but the secret. */
export interface AppPasswordView {
  readonly id: Buffer;
  readonly accountId: Buffer;
  readonly label: string;
  readonly scopes: readonly Scope[];
  /** Canonical CIDRs; empty allows every network. */
  readonly networks: readonly string[];
  readonly notAfter: number | null;
  readonly state: 'active' | 'revoked' | 'expired';
  readonly createdAt: number;
  readonly createdBy: string;
  readonly lastUsedAt: number | null;
  readonly lastUsedAddress: string | null;
  readonly lastUsedProtocol: string | null;
}

/** What to make. */
export interface AppPasswordOrder {
  readonly account: Account;
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly networks: readonly string[];
  /** undefined takes the configured default, null never expires. */
  readonly expiresInMs: number | null | undefined;
  /** For the audit: `portal`, or who ran the command. */
  readonly createdBy: string;
}

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
    const networks = canonicalNetworks(order.networks);
    const label = order.label.trim();
    const problem = problemOf({ ...order, label, networks, expiresInMs });
    if (problem !== null || networks === null) return { kind: 'invalid', problem: problem ?? badNetwork };
    const now = this.#now();
    const attributes = {
      label,
      scopes: scopeBits(order.scopes),
      networks: networks.join(','),
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
      'label' | 'scopes' | 'networks' | 'not_after' | 'created_at' | 'created_by'
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

const badNetwork = 'a network must be written as an address or as 192.0.2.0/24 or 2001:db8::/48';

function canonicalNetworks(networks: readonly string[]): readonly string[] | null {
  const canonical = networks.map((network) => canonicalCidr(network.trim()));
  if (!canonical.every((network) => network !== null)) return null;
  return [...new Set(canonical)].toSorted();
}

function problemOf(order: {
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly networks: readonly string[] | null;
  readonly expiresInMs: number | null;
}): string | null {
  const { label, scopes, networks, expiresInMs } = order;
  if (label === '') return 'the label must not be empty';
  if ([...label].length > maxLabelCharacters)
    return `the label is longer than ${maxLabelCharacters} characters`;
  // Format characters too: a bidirectional override makes one label look like another.
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(label)) return 'the label must not contain control characters';
  if (scopes.length === 0) return 'at least one protocol must be allowed';
  if (networks === null) return badNetwork;
  if (networks.length > maxNetworks) return `at most ${maxNetworks} networks can be given`;
  if (expiresInMs !== null && !(Number.isSafeInteger(expiresInMs) && expiresInMs > 0)) {
    return 'the expiry must lie in the future';
  }
  return null;
}

function viewOf(row: AppPasswordRow, now: number): AppPasswordView {
  const isExpired = row.not_after !== null && row.not_after <= now;
  return {
    id: row.id,
    accountId: row.account_id,
    label: row.label,
    scopes: scopesOf(row.scopes),
    networks: splitNetworks(row.networks),
    notAfter: row.not_after,
    state: row.state === 'active' && isExpired ? 'expired' : row.state,
    createdAt: row.created_at,
    createdBy: row.created_by,
    lastUsedAt: row.last_used_at,
    lastUsedAddress: row.last_used_address,
    lastUsedProtocol: row.last_used_protocol,
  };
}
