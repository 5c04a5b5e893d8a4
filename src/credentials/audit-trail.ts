import { randomBytes } from 'node:crypto';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { appendEntry, beginChain, findChain, holdChain, newestChains } from '../store/audit-entries.ts';
import type { Database } from '../store/database.ts';
import type { AuditChainRow } from '../store/schema.ts';
import { auditKey, baseMac, beginning, nextHead } from './audit-chain.ts';
import type { KeyRing } from './key-file.ts';

/** What an entry says besides its place, its time and its chain. */
export interface AuditFacts {
  readonly actor: Readonly<Record<string, unknown>>;
  readonly action: string;
  readonly account: { readonly id: Buffer; readonly address: string } | null;
  readonly object: Readonly<Record<string, unknown>>;
  readonly reason: string | null;
}

/** How far a chain had come. */
interface Head {
  readonly seq: number;
  readonly head: Buffer;
}

interface Chain {
  readonly id: string;
  readonly macKey: number;
  readonly key: Buffer;
  /** What the database was known to hold; null before the first entry. */
  known: Head | null;
  /** What a transaction has made of it that may since have been rolled back. */
  made: { readonly transaction: Database; readonly head: Head } | null;
}

/** So many other chains a new one names, with how far they had come: a chain that is deleted whole is missed then. */
const witnessed = 8;

/**
 * Writes this process's chain of audit entries (requirements 3.15). The head lies in the database and is held to the end of
 * the transaction that adds to it: entries commit in order, and one that is rolled back leaves no gap. What this process
 * last knew of it is remembered, so that an end that was cut off meanwhile is noticed.
 */
export class AuditTrail {
  readonly #keys: KeyRing;
  readonly #now: () => number;
  readonly #node: string;
  readonly #logger: Logger | null;
  readonly #metrics: Metrics | null;
  #chain: Chain | null = null;
  /** Entries since the head was last told. */
  #untold = 0;

  constructor(parts: {
    readonly keys: KeyRing;
    readonly now: () => number;
    /** Whose entries: the name of the host. */
    readonly node: string;
    readonly logger?: Logger;
    readonly metrics?: Metrics;
  }) {
    this.#keys = parts.keys;
    this.#now = parts.now;
    this.#node = parts.node.replace(/[^A-Za-z0-9.-]/g, '-').slice(0, 64);
    this.#logger = parts.logger ?? null;
    this.#metrics = parts.metrics ?? null;
  }

  /** The chain's name; null before the first entry. */
  get chainId(): string | null {
    return this.#chain?.id ?? null;
  }

  /** Entries since {@link told}. */
  get untold(): number {
    return this.#untold;
  }

  told(): void {
    this.#untold = 0;
  }

  /** Adds an entry. Call it last in the transaction: the chain is held to its end, and everybody waits for everybody. */
  async append(transaction: Database, facts: AuditFacts): Promise<void> {
    for (;;) {
      const chain = this.#current();
      const held = await this.#hold(transaction, chain);
      if (!this.#isAsLeft(transaction, chain, held)) {
        this.#alarm(chain, held);
        this.#replace(chain);
      } else if (held.closed_at !== null) {
        this.#replace(chain);
      } else if (held.seq > 0 && chain.macKey !== this.#keys.activeId('mac')) {
        await this.#add(transaction, chain, held, closing(this.#replace(chain).id));
      } else {
        const at = held.seq === 0 ? await this.#open(transaction, chain, held) : held;
        await this.#add(transaction, chain, at, facts);
        return;
      }
    }
  }

  /** The last entry: this process ends, and the trail did not just stop. Nothing where there was no entry. */
  async close(database: Database): Promise<void> {
    const chain = this.#chain;
    if (chain === null) return;
    await database.transaction().execute(async (transaction) => {
      const row = await findChain(transaction, chain.id);
      if (row !== null && row.closed_at === null) await this.append(transaction, closing(null));
    });
  }

  #current(): Chain {
    this.#chain ??= this.#newChain();
    return this.#chain;
  }

  #newChain(): Chain {
    const macKey = this.#keys.activeId('mac');
    const key = auditKey(this.#keys, macKey);
    if (key === null) throw new Error('the active mac key cannot be derived');
    const start = new Date(this.#now()).toISOString().replace(/[-:.]/g, '');
    // Two commands may start in the same millisecond.
    const id = `${this.#node}-${start}-${randomBytes(4).toString('hex')}`;
    return { id, macKey, key, known: null, made: null };
  }

  async #hold(transaction: Database, chain: Chain): Promise<AuditChainRow> {
    const there = await holdChain(transaction, chain.id);
    if (there !== null) return there;
    const now = this.#now();
    const base = { chain: chain.id, seq: 0, head: beginning };
    const base_mac = baseMac(this.#keys, chain.macKey, base);
    if (base_mac === null) throw new Error('the mac key of the audit chain is gone');
    await beginChain(transaction, {
      id: chain.id,
      mac_key: chain.macKey,
      base_seq: 0,
      base_head: beginning,
      base_mac,
      seq: 0,
      head: beginning,
      started_at: now,
      last_at: now,
      closed_at: null,
    });
    const row = await holdChain(transaction, chain.id);
    if (row === null) throw new Error('an audit chain that was just begun is gone');
    return row;
  }

  /** The transaction that was last here has ended, unless it is this one: either everything of it is there, or nothing. */
  #isAsLeft(transaction: Database, chain: Chain, row: AuditChainRow): boolean {
    const { known, made } = chain;
    const own = made !== null && made.transaction === transaction;
    const isMade = made !== null && isAt(row, made.head);
    const isKnown = known === null ? row.seq === 0 : isAt(row, known);
    if (!isMade && !isKnown) return false;
    if (isMade && !own) chain.known = made.head;
    return true;
  }

  /** Somebody has changed the database by hand. The old chain stays as it is, for `audit verify` to look at. */
  #alarm(chain: Chain, { seq }: AuditChainRow): void {
    const known = chain.made?.head.seq ?? chain.known?.seq;
    this.#metrics?.integrityAlarms.inc({ table: 'audit_chain' });
    this.#logger?.error(
      { event: 'integrity-alarm', table: 'audit_chain', chain: chain.id, seq, known },
      'the audit trail does not end where this process left it',
    );
  }

  /** Another transaction may have been first. */
  #replace(chain: Chain): Chain {
    const current = this.#current();
    if (current !== chain) return current;
    const next = this.#newChain();
    this.#chain = next;
    return next;
  }

  async #open(transaction: Database, chain: Chain, held: AuditChainRow): Promise<Head> {
    const others = await newestChains(transaction, chain.id, witnessed);
    return await this.#add(transaction, chain, held, {
      actor: { kind: 'gateway' },
      action: 'audit.opened',
      account: null,
      object: {
        witnessed: others.map(({ id, seq, head }) => ({ chain: id, seq, head: head.toString('hex') })),
      },
      reason: null,
    });
  }

  async #add(transaction: Database, chain: Chain, before: Head, facts: AuditFacts): Promise<Head> {
    const at = this.#now();
    const seq = before.seq + 1;
    const { account, action } = facts;
    const entry = JSON.stringify({
      chain: chain.id,
      seq,
      at,
      actor: facts.actor,
      action,
      account: account === null ? null : { id: account.id.toString('hex'), address: account.address },
      object: facts.object,
      reason: facts.reason,
    });
    const head = nextHead(chain.key, before.head, Buffer.from(entry, 'utf8'));
    const closedAt = action === 'audit.closed' ? at : null;
    await appendEntry(
      transaction,
      { chain: chain.id, seq, at, account_id: account?.id ?? null, action, entry, head },
      closedAt,
    );
    chain.made = { transaction, head: { seq, head } };
    this.#untold += 1;
    return { seq, head };
  }
}

function closing(next: string | null): AuditFacts {
  return {
    actor: { kind: 'gateway' },
    action: 'audit.closed',
    account: null,
    object: { next },
    reason: null,
  };
}

function isAt(row: Head, place: Head): boolean {
  return row.seq === place.seq && row.head.equals(place.head);
}
