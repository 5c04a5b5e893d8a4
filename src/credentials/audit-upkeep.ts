import { setImmediate as breathe } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { errorText } from '../observability/error-text.ts';
import type { Logger } from '../observability/logger.ts';
import {
  chainsOfBefore,
  chainsSince,
  chainsWithOldEntries,
  deleteChain,
  deleteEntriesBefore,
  deleteEntriesUpTo,
  entriesOfChain,
  holdChain,
  moveBase,
} from '../store/audit-entries.ts';
import type { Database } from '../store/database.ts';
import type { AuditChainRow } from '../store/schema.ts';
import { auditKey, baseMac, beginning, isBaseGenuine, nextHead, parseEntry } from './audit-chain.ts';
import type { AuditTrail } from './audit-trail.ts';
import { equalBytes } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { Rounds } from './rounds.ts';

/** Requirements 3.15: a head each minute or 100 entries. */
const tellEveryMs = 60_000;
const tellAfter = 100;
const lookEveryMs = 1_000;
/** Clocks of nodes differ, and a transaction commits later than its entry says. */
const overlapMs = 600_000;
const chainsAtOnce = 200;
const purgeEveryMs = 3_600_000;
const entriesAtOnce = 500;

/**
 * Tells the log where the chains stand, for an operator who ships the log elsewhere: also those of the command line, whose
 * processes are gone; and deletes what was kept long enough.
 */
export class AuditUpkeep {
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #audit: AuditTrail;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #keepMs: number;
  /** Numbers told of each chain. */
  readonly #told = new LRUCache<string, number>({ max: 10_000 });
  #toldAt: number;
  #purgedAt: number | null = null;
  readonly #rounds = new Rounds(lookEveryMs, async () => this.#look());

  constructor(parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly audit: AuditTrail;
    readonly logger: Logger;
    readonly now: () => number;
    readonly keepMs: number;
  }) {
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#audit = parts.audit;
    this.#logger = parts.logger;
    this.#now = parts.now;
    this.#keepMs = parts.keepMs;
    this.#toldAt = parts.now();
  }

  start(): void {
    this.#rounds.start();
  }

  /** Ends the process's chain and tells where it ends. Never rejects. */
  async stop(): Promise<void> {
    await this.#rounds.stop();
    try {
      await this.#audit.close(this.#database);
      await this.tell();
    } catch (error) {
      this.#logger.warn({ detail: errorText(error) }, 'the audit trail of this process has no end');
    }
  }

  /** Tells of every chain that has grown. Rejects when the store fails. */
  async tell(): Promise<void> {
    const at = this.#now();
    const chains = await chainsSince(this.#database, this.#toldAt - overlapMs, chainsAtOnce);
    this.#audit.told();
    for (const { id, seq, head } of chains) {
      if (this.#told.get(id) === seq) continue;
      this.#told.set(id, seq);
      this.#logger.info({ event: 'audit-head', chain: id, seq, head: head.toString('hex') }, 'audit head');
    }
    // More are told the next time.
    if (chains.length < chainsAtOnce) this.#toldAt = at;
    else this.#toldAt = (chains.at(-1)?.last_at ?? at) + overlapMs;
  }

  /** Deletes what is older than is kept. Rejects when the store fails. */
  async purge(): Promise<void> {
    const before = this.#now() - this.#keepMs;
    const stuck = new Set<string>();
    let deleted = 0;
    for (;;) {
      const ids = await chainsWithOldEntries(this.#database, before, chainsAtOnce, [...stuck]);
      if (ids.length === 0) break;
      for (const id of ids) {
        const count = await this.#purgeChain(id, before);
        deleted += count;
        if (count === 0) stuck.add(id);
        await breathe();
      }
      if (stuck.size >= chainsAtOnce) break;
    }
    // A chain without entries stays for as long as another may name it.
    for (const { id } of await chainsOfBefore(this.#database, before - 2 * this.#keepMs, chainsAtOnce)) {
      await deleteChain(this.#database, id);
    }
    if (deleted === 0) return;
    await this.#database.transaction().execute(async (transaction) =>
      this.#audit.append(transaction, {
        actor: { kind: 'gateway' },
        action: 'audit.purged',
        account: null,
        object: { entries: deleted, before },
        reason: null,
      }),
    );
  }

  async #look(): Promise<void> {
    const now = this.#now();
    try {
      if (now - this.#toldAt >= tellEveryMs || this.#audit.untold >= tellAfter) await this.tell();
      if (this.#purgedAt === null || now - this.#purgedAt >= purgeEveryMs) {
        this.#purgedAt = now;
        await this.purge();
      }
    } catch (error) {
      this.#logger.warn({ detail: errorText(error) }, 'audit trail not told or not shortened');
    }
  }

  /**
   * Deletes the old entries at the beginning of a chain, those only that are what the gateway wrote: else who can write SQL
   * would date an entry back and have it deleted. Answers how many.
   */
  async #purgeChain(id: string, before: number): Promise<number> {
    return await this.#database.transaction().execute(async (transaction) => {
      const chain = await holdChain(transaction, id);
      if (chain === null) return 0;
      // Nobody can check it any more, and it is reported as that for as long as it stands there.
      if (auditKey(this.#keys, chain.mac_key) === null) {
        return await deleteEntriesBefore(transaction, id, before);
      }
      const base = await this.#oldest(transaction, chain, before);
      if (base.seq === chain.base_seq) return 0;
      const base_mac = baseMac(this.#keys, chain.mac_key, { chain: id, ...base });
      if (base_mac === null) return 0;
      await moveBase(transaction, { id, base_seq: base.seq, base_head: base.head, base_mac });
      return await deleteEntriesUpTo(transaction, id, base.seq);
    });
  }

  /** The last of the first entries of a chain that are old and genuine, some hundreds at a time. */
  async #oldest(
    transaction: Database,
    chain: AuditChainRow,
    before: number,
  ): Promise<{ readonly seq: number; readonly head: Buffer }> {
    const start = { seq: chain.base_seq, head: chain.base_seq === 0 ? beginning : chain.base_head };
    const key = auditKey(this.#keys, chain.mac_key);
    if (
      key === null ||
      !isBaseGenuine(this.#keys, chain.mac_key, { chain: chain.id, ...start }, chain.base_mac)
    ) {
      return start;
    }
    let last = start;
    for (const row of await entriesOfChain(transaction, chain.id, start.seq, entriesAtOnce)) {
      const head = nextHead(key, last.head, Buffer.from(row.entry, 'utf8'));
      const at = parseEntry(row.entry)?.at;
      if (row.seq !== last.seq + 1 || !equalBytes(head, row.head)) break;
      if (typeof at !== 'number' || at >= before) break;
      last = { seq: row.seq, head };
    }
    return last;
  }
}
