import { LRUCache } from 'lru-cache';
import type { Logger } from '../observability/logger.ts';
import { findAccountUnchecked, lockAccount } from '../store/accounts.ts';
import {
  type AppPasswordUse,
  findAppPassword,
  usedBefore,
  writeFirstUse,
  writeLastUses,
} from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import type { Journal } from './journal.ts';
import type { Protocol } from './verdict.ts';
import { WriteBehind } from './write-behind.ts';

/** As many app passwords as may log in within a minute while the database is away. */
const maxPending = 50_000;
const maxKnown = 20_000;

/** Where a login came from; `client` is what it called itself, made printable, or null. */
export interface LoginSource {
  readonly address: string;
  readonly protocol: Protocol;
  readonly client: string | null;
}

/** When and from where app passwords were last used; the first use of each enters the journal (S-83). */
export class LastUsed {
  readonly #database: Database;
  readonly #journal: Journal;
  readonly #now: () => number;
  readonly #uses: WriteBehind<AppPasswordUse>;
  /** Those that are known to have been used before. */
  readonly #known = new LRUCache<string, true>({ max: maxKnown });

  constructor(parts: {
    readonly database: Database;
    readonly journal: Journal;
    readonly logger: Logger;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#journal = parts.journal;
    this.#now = parts.now;
    this.#uses = new WriteBehind({
      now: parts.now,
      write: async (uses) => await this.#write(uses),
      // A client that says its name at some logins only keeps it.
      merge: (earlier, later) => ({ ...later, client: later.client ?? earlier.client }),
      // Worth less than any login.
      onFault: (error, uses) =>
        parts.logger.warn({ err: error, uses }, 'last uses of app passwords not written'),
      maxKeys: maxPending,
    });
  }

  note(id: Buffer, { address, protocol, client }: LoginSource): void {
    this.#uses.note(id.toString('hex'), { id, at: this.#now(), address, protocol, client });
  }

  /** Writes what is left. Never rejects. */
  async stop(): Promise<void> {
    await this.#uses.stop();
  }

  async #write(uses: readonly AppPasswordUse[]): Promise<void> {
    const isKnown = ({ id }: AppPasswordUse) => this.#known.has(id.toString('hex'));
    const unknown = uses.filter((use) => !isKnown(use)).map(({ id }) => id);
    for (const id of await usedBefore(this.#database, unknown)) this.#known.set(id.toString('hex'), true);
    const fresh = uses.filter((use) => !isKnown(use));
    await writeLastUses(this.#database, uses.filter(isKnown));
    for (const use of fresh) await this.#writeFirst(use);
  }

  /** Of several nodes that see a first login at once, one tells of it: whose statement finds that there was none. */
  async #writeFirst(use: AppPasswordUse): Promise<void> {
    const row = await findAppPassword(this.#database, use.id);
    if (row === null) return;
    await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, row.account_id);
      // Else another node was first, or the app password is gone.
      if (!(await writeFirstUse(transaction, use))) return;
      const { id, protocol, address, client } = use;
      await this.#journal.record(transaction, {
        account: await findAccountUnchecked(transaction, { id: row.account_id }),
        actor: { kind: 'person', address },
        event: { action: 'app-password.first-used', id, label: row.label, protocol, address, client },
      });
    });
    this.#known.set(use.id.toString('hex'), true);
  }
}
