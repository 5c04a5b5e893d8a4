import { LRUCache } from 'lru-cache';
import type { Logger } from '../observability/logger.ts';
import { findAccount } from '../store/accounts.ts';
import type { Database } from '../store/database.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';
import { withDeadline } from './deadline.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { storeSilent } from './stored-proof.ts';

const label = 'sallyport/v1/decoy-account';
const remembered = 50_000;

/** Whose name it is; `id` is one that no row has where there is no account. */
export interface AccountFinding {
  readonly account: Account | null;
  readonly id: Buffer;
  readonly isStoreDown: boolean;
}

/** Accounts by name, and those that logged in here, for logins from cached records while the store is down. */
export class KnownAccounts {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #keys: KeyRing;
  readonly #logger: Logger;
  readonly #storeMs: number;
  readonly #remembered = new LRUCache<string, Account>({ max: remembered });

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly keys: KeyRing;
    readonly logger: Logger;
    /** How long the store may take. */
    readonly storeMs: number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#keys = parts.keys;
    this.#logger = parts.logger;
    this.#storeMs = parts.storeMs;
  }

  /** A denied mailbox is looked up like any other, and then has no account: the same work, the same answer. */
  async find(address: string, isDenied: boolean): Promise<AccountFinding> {
    const finding = (found: Account | null, isStoreDown: boolean): AccountFinding => {
      const account = isDenied ? null : found;
      return { account, id: account?.id ?? this.#decoyId(address), isStoreDown };
    };
    try {
      const found = findAccount(this.#database, this.#guard, address);
      return finding(await withDeadline(found, this.#storeMs, 'the store'), false);
    } catch (error) {
      if (error instanceof ForgedRowError) throw error;
      this.#logger.error({ err: error }, storeSilent);
      return finding(this.#remembered.get(address) ?? null, true);
    }
  }

  remember(account: Account): void {
    this.#remembered.set(account.address, account);
  }

  /** The same for one name at every node: an unknown account costs and counts what a wrong secret does (S-18). */
  #decoyId(address: string): Buffer {
    const key = this.#keys.derive('mac', this.#keys.activeId('mac'), label);
    if (key === null) throw new Error('the active mac key cannot be derived');
    return keyedHash(key, lengthPrefixed(address)).subarray(0, 16);
  }
}
