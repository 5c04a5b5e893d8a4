import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from '../observability/logger.ts';
import type { Database } from '../store/database.ts';
import {
  listOutdatedAppPasswords,
  listSealedFactors,
  replaceRowMacs,
  replaceSealed,
} from '../store/key-moves.ts';
import type { RowGuard } from '../store/row-guard.ts';
import { renewRowMacs } from '../store/row-renewal.ts';
import type { SecondFactorRow } from '../store/schema.ts';
import type { HighWater } from './high-water.ts';
import type { KeyRing } from './key-file.ts';
import type { RevocationFeed } from './revocation.ts';
import { isRowGenuine, rowMac } from './row-mac.ts';
import { isSealOutdated, SealBox, SealError, type SealPlace } from './seal.ts';

/** Some milliseconds of the embedded engine, and so of this process. */
const batch = 200;

/**
 * Puts what is under old mac and seal keys under the active ones, behind everything else, so that the old keys may go (S-40).
 * Only what the gateway wrote: whatever is not genuine keeps what it has. Hashes move at logins, which have the secret
 * (proof-renewal.ts), and sessions do not outlive a day.
 */
export class KeyMoves {
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #guard: RowGuard;
  readonly #sealBox: SealBox;
  readonly #highWater: HighWater | null;
  readonly #revocations: Pick<RevocationFeed, 'seq'>;
  readonly #logger: Logger;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly guard: RowGuard;
    readonly highWater: HighWater | null;
    readonly revocations: Pick<RevocationFeed, 'seq'>;
    readonly logger: Logger;
  }) {
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#guard = parts.guard;
    this.#sealBox = new SealBox(parts.keys);
    this.#highWater = parts.highWater;
    this.#revocations = parts.revocations;
    this.#logger = parts.logger;
  }

  /** At the start, and whenever the keys have changed. Settles when all is moved that can be. Never rejects. */
  start(): Promise<void> {
    this.#running = this.#running.then(async () => {
      try {
        await this.#move();
      } catch (error) {
        this.#logger.warn(
          { err: error },
          'not everything was moved to the active keys; the next start goes on',
        );
      }
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #move(): Promise<void> {
    if (this.#keys.ids('mac').length > 1) {
      const rows = (await renewRowMacs(this.#database, this.#guard)) + (await this.#renewAppPasswordMacs());
      if (rows > 0) this.#logger.info({ rows }, 'rows moved to the active mac key');
      // The mark in the file is under a mac key too, and would else be none once that is gone (S-35).
      if (this.#revocations.seq > 0) await this.#highWater?.save(this.#revocations.seq);
    }
    if (this.#keys.ids('seal').length > 1) {
      const seeds = await this.#sealAgain();
      if (seeds > 0) this.#logger.info({ seeds }, 'seeds moved to the active seal key');
    }
  }

  async #renewAppPasswordMacs(): Promise<number> {
    let moved = 0;
    for (let after: Buffer | null = Buffer.alloc(0); after !== null && !this.#isStopped; await breathe()) {
      const active = this.#keys.activeId('mac');
      const rows = await listOutdatedAppPasswords(this.#database, active, after, batch);
      const genuine = rows.filter((row) => isRowGenuine(this.#keys, row.address, row));
      moved += await replaceRowMacs(
        this.#database,
        genuine.map((read) => ({ read, row_mac: rowMac(this.#keys, read.address, read) })),
      );
      after = rows.length < batch ? null : (rows.at(-1)?.id ?? null);
    }
    return moved;
  }

  async #sealAgain(): Promise<number> {
    let moved = 0;
    for (let after: Buffer | null = Buffer.alloc(0); after !== null && !this.#isStopped; await breathe()) {
      const rows = await listSealedFactors(this.#database, after, batch);
      for (const row of rows) if (await this.#sealOneAgain(row)) moved += 1;
      after = rows.length < batch ? null : (rows.at(-1)?.id ?? null);
    }
    return moved;
  }

  async #sealOneAgain(row: SecondFactorRow): Promise<boolean> {
    if (!isSealOutdated(this.#keys, row.sealed) || !this.#guard.isGenuine('second_factor', row)) return false;
    const place: SealPlace = {
      purpose: 'totp-seed',
      table: 'second_factor',
      column: 'sealed',
      rowId: row.id,
      accountId: row.account_id,
    };
    const seed = this.#opened(place, row.sealed);
    if (seed === null) return false;
    try {
      return await replaceSealed(this.#database, this.#guard, row, this.#sealBox.seal(place, seed));
    } finally {
      seed.fill(0);
    }
  }

  /** null for one that was lost with its key: the others must move all the same. */
  #opened(place: SealPlace, sealed: string): Buffer | null {
    try {
      return this.#sealBox.open(place, sealed);
    } catch (error) {
      if (error instanceof SealError) return null;
      throw error;
    }
  }
}
