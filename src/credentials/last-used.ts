import type { Logger } from '../observability/logger.ts';
import { writeLastUses } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import type { Protocol } from './verdict.ts';

const flushMs = 1_000;
const everyMs = 60_000;

interface Use {
  readonly id: Buffer;
  readonly at: number;
  readonly address: string;
  readonly protocol: Protocol;
}

/** When app passwords were last used, written behind the login: the first use at once, then at most once a minute each. */
export class LastUsed {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #pending = new Map<string, Use>();
  readonly #writtenAt = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: { readonly database: Database; readonly logger: Logger; readonly now: () => number }) {
    this.#database = parts.database;
    this.#logger = parts.logger;
    this.#now = parts.now;
  }

  note(id: Buffer, address: string, protocol: Protocol): void {
    this.#pending.set(id.toString('hex'), { id, at: this.#now(), address, protocol });
    this.#timer ??= setTimeout(() => this.#tick(), flushMs).unref();
  }

  /** Writes what is left, whatever the minute. Never rejects. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#writing;
    await this.#write([...this.#pending.values()]);
    this.#pending.clear();
  }

  #tick(): void {
    const now = this.#now();
    for (const [id, at] of this.#writtenAt) {
      if (now - at >= everyMs) this.#writtenAt.delete(id);
    }
    const due: Use[] = [];
    for (const [id, use] of this.#pending) {
      if (this.#writtenAt.has(id)) continue;
      this.#pending.delete(id);
      this.#writtenAt.set(id, now);
      due.push(use);
    }
    this.#timer = this.#pending.size > 0 ? setTimeout(() => this.#tick(), flushMs).unref() : null;
    this.#writing = this.#writing.then(() => this.#write(due));
  }

  async #write(uses: readonly Use[]): Promise<void> {
    if (uses.length === 0) return;
    try {
      await writeLastUses(this.#database, uses);
    } catch (error) {
      // Worth less than any login.
      this.#logger.warn({ err: error, uses: uses.length }, 'last uses of app passwords not written');
    }
  }
}
