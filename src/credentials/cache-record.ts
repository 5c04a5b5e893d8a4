import { lapsesAt } from '../store/app-password-life.ts';
import type { AppPasswordRow } from '../store/schema.ts';
import { equalBytes, expiryFromU64, expiryToU64, keyedHash, lengthPrefixed, u8, u32, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { SealBox, type SealPlace } from './seal.ts';

const label = 'sallyport/v1/cache/record';
/** 1 had no fence, 2 did not lapse: such a record is a miss, and never a login without. */
const version = 3;
const headBytes = 5;
const tagBytes = 32;
/** Two ids, scopes, three times, feed number. */
const fixedBodyBytes = 16 + 16 + 1 + 8 + 8 + 8 + 8;
/** Of the networks and of the fence. */
const lengthBytes = 2;

/** One successful verification, as Redis keeps it: no secret, no address, no label (S-28). */
export interface CacheRecord {
  readonly credentialId: Buffer;
  readonly accountId: Buffer;
  readonly scopes: number;
  readonly verifiedAt: number;
  readonly notAfter: number | null;
  /** From then on the store must say when it was last used; null: never. */
  readonly lapsesAt: number | null;
  /** Last revocation known when the row was read: a later one voids the record. */
  readonly feedSeq: number;
  readonly networks: string;
  /** As its row holds it (credentials/fence.ts). In Redis it is sealed, because it names addresses (S-28). */
  readonly fence: string;
}

/** Of a row that was just proven; `feedSeq` was read before the row. */
export function recordOf(row: AppPasswordRow, feedSeq: number, verifiedAt: number): CacheRecord {
  return {
    credentialId: row.id,
    accountId: row.account_id,
    scopes: row.scopes,
    verifiedAt,
    notAfter: row.not_after,
    // By its uses before this one, which may yet be refused: asked a little early, the store knows of this one.
    lapsesAt: lapsesAt(row, verifiedAt),
    feedSeq,
    networks: row.networks,
    fence: row.fence,
  };
}

/** Why bytes are no record of ours. */
export type RecordFault = 'malformed' | 'unknown-key' | 'forged';

/** The record with its MAC over key and body, so that it is worth nothing under another key (S-25). */
export function encodeRecord(keys: KeyRing, key: string, record: CacheRecord): Buffer {
  const head = Buffer.concat([u8(version), u32(keys.activeId('mac'))]);
  const body = Buffer.concat([
    record.credentialId,
    record.accountId,
    u8(record.scopes),
    u64(BigInt(record.verifiedAt)),
    u64(expiryToU64(record.notAfter)),
    u64(expiryToU64(record.lapsesAt)),
    u64(BigInt(record.feedSeq)),
    lengthPrefixed(record.networks),
    lengthPrefixed(sealedFence(keys, record)),
  ]);
  const tag = tagOf(keys, key, head, body);
  if (tag === null) throw new Error('the active mac key cannot be derived');
  return Buffer.concat([head, body, tag]);
}

/** Reads no field before the MAC is checked. Anything Redis may hold is allowed as `value`. */
export function decodeRecord(keys: KeyRing, key: string, value: Buffer): CacheRecord | RecordFault {
  if (value.length < headBytes + fixedBodyBytes + 2 * lengthBytes + tagBytes || value[0] !== version)
    return 'malformed';
  const head = value.subarray(0, headBytes);
  const body = value.subarray(headBytes, -tagBytes);
  const tag = tagOf(keys, key, head, body);
  if (tag === null) return 'unknown-key';
  if (!equalBytes(tag, value.subarray(-tagBytes))) return 'forged';
  const [networks, sealed] = textsOf(body.subarray(fixedBodyBytes)) ?? [];
  if (networks === undefined || sealed === undefined) return 'malformed';
  const credentialId = Buffer.from(body.subarray(0, 16));
  const accountId = Buffer.from(body.subarray(16, 32));
  const fence = openFence(keys, fencePlace(credentialId, accountId), sealed);
  if (fence === null) return 'unknown-key';
  return {
    credentialId,
    accountId,
    scopes: body.readUInt8(32),
    verifiedAt: Number(body.readBigUInt64BE(33)),
    notAfter: expiryFromU64(body.readBigUInt64BE(41)),
    lapsesAt: expiryFromU64(body.readBigUInt64BE(49)),
    feedSeq: Number(body.readBigUInt64BE(57)),
    networks,
    fence,
  };
}

/** Empty stays empty. */
function sealedFence(keys: KeyRing, { fence, credentialId, accountId }: CacheRecord): string {
  if (fence === '') return '';
  return new SealBox(keys).seal(fencePlace(credentialId, accountId), Buffer.from(fence));
}

/** null: its seal key is gone. */
function openFence(keys: KeyRing, place: SealPlace, sealed: string): string | null {
  if (sealed === '') return '';
  try {
    return new SealBox(keys).open(place, sealed).toString('utf8');
  } catch {
    return null;
  }
}

function fencePlace(rowId: Buffer, accountId: Buffer): SealPlace {
  return { purpose: 'cache-fence', table: 'app_password', column: 'fence', rowId, accountId };
}

/** Two length-prefixed texts and nothing else. */
function textsOf(bytes: Buffer): readonly [string, string] | null {
  const first = lengthBytes + bytes.readUInt16BE(0);
  if (first + lengthBytes > bytes.length) return null;
  const second = bytes.subarray(first + lengthBytes);
  if (second.length !== bytes.readUInt16BE(first)) return null;
  return [bytes.toString('utf8', lengthBytes, first), second.toString('utf8')];
}

function tagOf(keys: KeyRing, key: string, head: Buffer, body: Buffer): Buffer | null {
  const macKey = keys.derive('mac', head.readUInt32BE(1), label);
  return macKey === null ? null : keyedHash(macKey, lengthPrefixed(key), head, body);
}
