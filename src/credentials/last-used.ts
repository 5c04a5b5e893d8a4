import type { Logger } from '../observability/logger.ts';
import { writeLastUses } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import type { Protocol } from './verdict.ts';
import { WriteBehind } from './write-behind.ts';

/** As many app passwords as may log in within a minute while the database is away. */
const maxPending = 50_000;

/** Where a login came from; `client` is what it called itself, made printable, or null. */
export interface LoginSource {
  readonly address: string;
  readonly protocol: Protocol;
  readonly client: string | null;
}

interface Use extends LoginSource {
  readonly id: Buffer;
  readonly at: number;
}

/** When and from where app passwords were last used. */
export class LastUsed {
  readonly #now: () => number;
  readonly #uses: WriteBehind<Use>;

  constructor(parts: { readonly database: Database; readonly logger: Logger; readonly now: () => number }) {
    this.#now = parts.now;
    this.#uses = new WriteBehind({
      now: parts.now,
      write: async (uses) => await writeLastUses(parts.database, uses),
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
}
