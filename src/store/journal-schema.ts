import type { Selectable } from 'kysely';

// Tables of what was done and who is told of it; conventions as in schema.ts.

/** The audit entries of one run of one process. */
export interface AuditChainTable {
  readonly id: string;
  /** Under which mac key its heads are. */
  readonly mac_key: number;
  /** Number of the last entry. */
  seq: number;
  /** After the last entry. */
  head: Buffer;
  /** The entry before the first that is kept; 0 while none was deleted. */
  base_seq: number;
  base_head: Buffer;
  base_mac: Buffer;
  readonly started_at: number;
  last_at: number;
  /** null: its process runs, or ended without saying so. */
  closed_at: number | null;
}

/** Only ever added to; deleted when kept long enough. */
export interface AuditEntryTable {
  readonly chain: string;
  readonly seq: number;
  readonly at: number;
  /** null: not about one account. An account deleted meanwhile too. */
  readonly account_id: Buffer | null;
  readonly action: string;
  /** JSON, whose bytes are in the head. */
  readonly entry: string;
  readonly head: Buffer;
}

/** What a person is told of the own account: by mail, and for 30 days in the portal. */
export interface NoticeTable {
  readonly id: Buffer;
  readonly account_id: Buffer;
  /** What is counted together, see credentials/notice-policy.ts. */
  readonly topic: string;
  readonly kind: string;
  /** JSON. */
  readonly facts: string;
  readonly at: number;
  row_mac: Buffer;
  dismissed_at: number | null;
}

/** One way that a notice still has to go. */
export interface NoticeDeliveryTable {
  readonly id: Buffer;
  readonly notice_id: Buffer;
  readonly channel: string;
  /** null: the account's own mailbox, or no mailbox at all. */
  readonly recipient: string | null;
  row_mac: Buffer;
  readonly give_up_at: number;
  /** The next attempt; while one is under way, when another node may take it over. */
  due_at: number;
  attempts: number;
}

export type AuditChainRow = Selectable<AuditChainTable>;
export type AuditEntryRow = Selectable<AuditEntryTable>;
export type NoticeRow = Selectable<NoticeTable>;
export type NoticeDeliveryRow = Selectable<NoticeDeliveryTable>;
