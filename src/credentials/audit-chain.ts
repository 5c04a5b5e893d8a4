import { equalBytes, keyedHash, lengthPrefixed, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';

/** What a chain begins with. */
export const beginning = Buffer.alloc(32);

/** A place in a chain, and its head there. */
export interface AuditHead {
  readonly chain: string;
  readonly seq: number;
  readonly head: Buffer;
}

/** The key of a chain; null when the mac key is gone, and the chain cannot be checked any more. */
export function auditKey(keys: KeyRing, macKeyId: number): Buffer | null {
  return keys.derive('mac', macKeyId, 'sallyport/v1/audit');
}

/** The head after an entry, of the head before it and the entry's bytes as they are stored. Throws over 65,535 bytes. */
export function nextHead(key: Buffer, head: Buffer, entry: Buffer): Buffer {
  return keyedHash(key, lengthPrefixed(head), lengthPrefixed(entry));
}

/**
 * The MAC of the place from which a chain is kept: who can write SQL deletes no entry as if it were old. Under the chain's
 * own mac key; null when that is gone.
 */
export function baseMac(keys: KeyRing, macKeyId: number, base: AuditHead): Buffer | null {
  const key = keys.derive('mac', macKeyId, 'sallyport/v1/audit-base');
  if (key === null) return null;
  return keyedHash(key, lengthPrefixed(base.chain), u64(BigInt(base.seq)), lengthPrefixed(base.head));
}

export function isBaseGenuine(keys: KeyRing, macKeyId: number, base: AuditHead, mac: Buffer): boolean {
  const own = baseMac(keys, macKeyId, base);
  // SQLite keeps any type in any column.
  return own !== null && Buffer.isBuffer(mac) && equalBytes(own, mac);
}

/** What an entry says that the columns beside it say too. */
export interface AuditEntryText {
  readonly chain: unknown;
  readonly seq: unknown;
  readonly at: unknown;
  readonly action: unknown;
  /** Hexadecimal digits, or null. */
  readonly accountId: unknown;
  /** Of other chains, in the first entry of a chain. */
  readonly witnessed: readonly AuditHead[];
}

/** null for what is no entry of this program. */
export function parseEntry(text: string): AuditEntryText | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(value)) return null;
  const { chain, seq, at, action, account, object } = value;
  return {
    ...{ chain, seq, at, action },
    accountId: isRecord(account) ? account.id : null,
    witnessed: isRecord(object) && Array.isArray(object.witnessed) ? object.witnessed.flatMap(headOf) : [],
  };
}

function headOf(value: unknown): readonly AuditHead[] {
  if (!isRecord(value)) return [];
  const { chain, seq, head } = value;
  if (typeof chain !== 'string' || typeof seq !== 'number' || typeof head !== 'string') return [];
  return [{ chain, seq, head: Buffer.from(head, 'hex') }];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
