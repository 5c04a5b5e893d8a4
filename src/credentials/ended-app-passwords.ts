import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from '../observability/logger.ts';
import type { Database } from '../store/database.ts';
import {
  deleteUnchanged,
  type EndingRow,
  hadEndedBy,
  lastActivity,
  pageEndings,
} from '../store/ended-app-passwords.ts';
import { ClockSteps, type Clocks } from './clock-steps.ts';

const everyMs = 86_400_000;
/** Some milliseconds of the embedded engine, and so of this process. */
const batch = 200;

/**
 * Deletes app passwords that ended long ago, at the start and daily: an account has 65,536 selectors (selector.ts), and a
 * list that only grows is nobody's. The shortest time that can be set is longer than any cached record lives.
 */
export class EndedAppPasswords {
  readonly #database: Database;
  readonly #keepMs: number;
  readonly #now: () => number;
  readonly #steps: ClockSteps;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(
    parts: Clocks & { readonly database: Database; readonly keepMs: number; readonly logger: Logger },
  ) {
    this.#database = parts.database;
    this.#keepMs = parts.keepMs;
    this.#now = parts.now;
    this.#steps = new ClockSteps(parts);
    this.#logger = parts.logger;
  }

  start(): void {
    const round = () => {
      this.#running = this.#running.then(async () => {
        try {
          await this.purge();
        } catch (error) {
          this.#logger.warn({ err: error }, 'app passwords that ended long ago are not deleted');
        }
      });
    };
    round();
    this.#timer = setInterval(round, everyMs).unref();
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#running;
  }

  /** Answers how many were deleted. Rejects when the store fails. */
  async purge(): Promise<number> {
    // A clock that jumped ahead must not take what only seems to have expired: deleted, it is gone for good.
    if (this.#steps.take() !== 0) return 0;
    const active = await lastActivity(this.#database);
    if (active === null) return 0;
    // Nor one that was wrong from the start, while nobody has logged in by it.
    const before = Math.min(this.#now(), active) - this.#keepMs;
    let deleted = 0;
    for (let after: Buffer | null = Buffer.alloc(0); after !== null && !this.#isStopped; await breathe()) {
      const rows: readonly EndingRow[] = await pageEndings(this.#database, after, batch);
      const over = rows.filter((row) => hadEndedBy(row, before));
      deleted += await deleteUnchanged(this.#database, over);
      after = rows.length < batch ? null : (rows.at(-1)?.id ?? null);
    }
    if (deleted > 0)
      this.#logger.info({ appPasswords: deleted }, 'app passwords that ended long ago deleted');
    return deleted;
  }
}
