import { entriesOfChain, findChain, lastSeq, listChains, unlistedChains } from '../store/audit-entries.ts';
import type { Database } from '../store/database.ts';
import type { AuditChainRow, AuditEntryRow } from '../store/schema.ts';
import { type AuditHead, auditKey, beginning, isBaseGenuine, nextHead, parseEntry } from './audit-chain.ts';
import { equalBytes } from './derive.ts';
import type { KeyRing } from './key-file.ts';

/** What is wrong, and where. */
export interface AuditFault {
  readonly chain: string;
  /** null: the chain as a whole. */
  readonly seq: number | null;
  readonly kind: 'altered' | 'missing' | 'misplaced' | 'cut-off' | 'unlisted' | 'unverifiable';
  /** Goes on after the place: `CHAIN:SEQ is …`. */
  readonly text: string;
}

export interface AuditReport {
  readonly chains: number;
  readonly entries: number;
  readonly faults: readonly AuditFault[];
  /** There are more. */
  readonly isCut: boolean;
  /** Chains without a last entry: their process runs or was killed, or their end was cut off. Only shipped heads tell which. */
  readonly open: readonly { readonly chain: string; readonly seq: number }[];
}

const chainsAtOnce = 100;
const entriesAtOnce = 500;
const mostFaults = 1_000;
const mostWitnessed = 100_000;

/**
 * Reads every chain from its start and says where it is not as the gateway wrote it. `heads` are held against it: without
 * them an end that was cut off looks like a process that was killed (requirements 3.15). Rejects only when the store fails.
 */
export async function verifyAudit(
  database: Database,
  keys: KeyRing,
  heads: readonly AuditHead[],
): Promise<AuditReport> {
  return await new Verification(database, keys).run(heads);
}

class Verification {
  readonly #database: Database;
  readonly #keys: KeyRing;
  #faults: AuditFault[] = [];
  readonly #open: { chain: string; seq: number }[] = [];
  /** The last that any chain says of another. */
  readonly #witnessed = new Map<string, AuditHead>();
  #chains = 0;
  #entries = 0;

  constructor(database: Database, keys: KeyRing) {
    this.#database = database;
    this.#keys = keys;
  }

  async run(heads: readonly AuditHead[]): Promise<AuditReport> {
    for (let after = ''; ; ) {
      const chains = await listChains(this.#database, after, chainsAtOnce);
      for (const chain of chains) await this.#verifyChain(chain);
      const last = chains.at(-1);
      if (last === undefined || chains.length < chainsAtOnce) break;
      after = last.id;
    }
    for (const chain of await unlistedChains(this.#database, chainsAtOnce)) {
      this.#fault(chain, null, 'unlisted', 'has entries and is not in the list of chains');
    }
    for (const head of heads) await this.#hold(head, 'the head that was given');
    for (const head of this.#witnessed.values()) await this.#hold(head, 'a head that another chain names');
    return {
      chains: this.#chains,
      entries: this.#entries,
      faults: this.#faults.slice(0, mostFaults),
      isCut: this.#faults.length > mostFaults,
      open: this.#open,
    };
  }

  async #verifyChain(chain: AuditChainRow): Promise<void> {
    this.#chains += 1;
    const key = auditKey(this.#keys, chain.mac_key);
    if (key === null) {
      this.#fault(
        chain.id,
        null,
        'unverifiable',
        `needs mac key ${chain.mac_key}, which is not in the key file`,
      );
      return;
    }
    const before = this.#faults.length;
    await this.#verifyEntries(chain, key);
    if (this.#faults.length === before) return;
    // Old entries may have been deleted while we read.
    const now = await findChain(this.#database, chain.id);
    if (now === null || now.base_seq === chain.base_seq) return;
    this.#faults = this.#faults.slice(0, before);
    await this.#verifyEntries(now, key);
  }

  /** Up to the end that the chain has now: a gateway may be adding to it. */
  async #verifyEntries(chain: AuditChainRow, key: Buffer): Promise<void> {
    const { id, base_seq, base_head, base_mac } = chain;
    if (!isBaseGenuine(this.#keys, chain.mac_key, { chain: id, seq: base_seq, head: base_head }, base_mac)) {
      this.#fault(id, base_seq + 1, 'cut-off', 'is made the first by somebody else');
    }
    let head = base_seq === 0 ? beginning : base_head;
    let seq = base_seq;
    let last: AuditEntryRow | null = null;
    while (seq < chain.seq) {
      const rows = await entriesOfChain(this.#database, id, seq, entriesAtOnce);
      for (const row of rows) {
        if (row.seq > chain.seq) break;
        this.#verifyEntry(row, seq, nextHead(key, head, Buffer.from(row.entry, 'utf8')));
        ({ seq, head } = row);
        last = row;
        this.#entries += 1;
      }
      if (rows.length < entriesAtOnce) break;
    }
    await this.#verifyEnd(chain, seq, head, last);
  }

  #verifyEntry(row: AuditEntryRow, before: number, expected: Buffer): void {
    const { chain, seq } = row;
    if (seq > before + 1) {
      const last = seq - 1;
      this.#fault(
        chain,
        before + 1,
        'missing',
        last === before + 1 ? 'is missing' : `to ${last} are missing`,
      );
      // What came before it is not there to check it by; the chain goes on from its own head.
    } else if (!equalBytes(expected, row.head)) {
      this.#fault(chain, seq, 'altered', 'is not what the gateway wrote here');
    }
    const entry = parseEntry(row.entry);
    if (entry === null) {
      this.#fault(chain, seq, 'altered', 'is no entry at all');
      return;
    }
    if (entry.chain !== chain || entry.seq !== seq) {
      this.#fault(chain, seq, 'misplaced', `was written as ${String(entry.chain)}:${String(entry.seq)}`);
    } else if (
      entry.at !== row.at ||
      entry.action !== row.action ||
      (entry.accountId ?? null) !== (row.account_id?.toString('hex') ?? null)
    ) {
      // Columns it is found by, which no head covers.
      this.#fault(chain, seq, 'altered', 'is filed under another time, action or account');
    }
    for (const seen of entry.witnessed) {
      if (seen.seq <= (this.#witnessed.get(seen.chain)?.seq ?? 0)) continue;
      if (this.#witnessed.size < mostWitnessed) this.#witnessed.set(seen.chain, seen);
    }
  }

  async #verifyEnd(
    chain: AuditChainRow,
    seq: number,
    head: Buffer,
    last: AuditEntryRow | null,
  ): Promise<void> {
    const { id } = chain;
    if (seq < chain.seq) {
      this.#fault(id, seq + 1, 'cut-off', `to ${chain.seq}, its end, are missing`);
    } else if (!equalBytes(chain.head, head)) {
      this.#fault(id, seq, 'altered', 'is not the end that the list of chains names');
    }
    // First the entries, then the list: the other way round a gateway that works would be a fault.
    const newest = await lastSeq(this.#database, id);
    const now = await findChain(this.#database, id);
    if (now !== null && newest > now.seq) {
      this.#fault(id, now.seq + 1, 'misplaced', 'lies behind the end that the list of chains names');
    }
    if (last !== null && (last.action === 'audit.closed') !== (chain.closed_at !== null)) {
      this.#fault(id, seq, 'cut-off', 'is not the last entry of a chain that was closed');
    } else if (chain.closed_at === null) this.#open.push({ chain: id, seq });
  }

  /** Whether a chain still has what somebody saw of it. */
  async #hold(seen: AuditHead, what: string): Promise<void> {
    const chain = await findChain(this.#database, seen.chain);
    if (chain === null) {
      this.#fault(seen.chain, seen.seq, 'cut-off', `is gone with its chain: ${what}`);
      return;
    }
    // Kept long enough, and deleted by the gateway.
    if (seen.seq < chain.base_seq) return;
    if (seen.seq === chain.base_seq) {
      if (!equalBytes(chain.base_head, seen.head))
        this.#fault(seen.chain, seen.seq, 'altered', `is not ${what}`);
      return;
    }
    const [row] = await entriesOfChain(this.#database, seen.chain, seen.seq - 1, 1);
    if (row?.seq !== seen.seq) this.#fault(seen.chain, seen.seq, 'cut-off', `is not there: ${what}`);
    else if (!equalBytes(row.head, seen.head)) {
      this.#fault(seen.chain, seen.seq, 'altered', `is not ${what}`);
    }
  }

  #fault(chain: string, seq: number | null, kind: AuditFault['kind'], text: string): void {
    if (this.#faults.length <= mostFaults) this.#faults.push({ chain, seq, kind, text });
  }
}
