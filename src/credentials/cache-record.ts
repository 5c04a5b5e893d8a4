import { equalBytes, expiryFromU64, expiryToU64, keyedHash, lengthPrefixed, u8, u32, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';

const label = 'sallyport/v1/cache/record';
const version = 1;
const headBytes = 5;
const tagBytes = 32;
/** Two ids, scopes, three times, length of the networks. */
const fixedBodyBytes = 16 + 16 + 1 + 8 + 8 + 8 + 2;

/** One successful verification, as Redis keeps it: no secret, no address, no label (S-28). */
export interface CacheRecord {
  readonly credentialId: Buffer;
  readonly accountId: Buffer;
  readonly scopes: number;
  readonly verifiedAt: number;
  readonly notAfter: number | null;
  /** Last revocation known when the row was read: a later one voids the record. */
  readonly feedSeq: number;
  readonly networks: string;
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
    u64(BigInt(record.feedSeq)),
    lengthPrefixed(record.networks),
  ]);
  const tag = tagOf(keys, key, head, body);
  if (tag === null) throw new Error('the active mac key cannot be derived');
  return Buffer.concat([head, body, tag]);
}

/** Reads no field before the MAC is checked. Anything Redis may hold is allowed as `value`. */
export function decodeRecord(keys: KeyRing, key: string, value: Buffer): CacheRecord | RecordFault {
  if (value.length < headBytes + fixedBodyBytes + tagBytes || value[0] !== version) return 'malformed';
  const head = value.subarray(0, headBytes);
  const body = value.subarray(headBytes, -tagBytes);
  const tag = tagOf(keys, key, head, body);
  if (tag === null) return 'unknown-key';
  if (!equalBytes(tag, value.subarray(-tagBytes))) return 'forged';
  return {
    credentialId: Buffer.from(body.subarray(0, 16)),
    accountId: Buffer.from(body.subarray(16, 32)),
    scopes: body.readUInt8(32),
    verifiedAt: Number(body.readBigUInt64BE(33)),
    notAfter: expiryFromU64(body.readBigUInt64BE(41)),
    feedSeq: Number(body.readBigUInt64BE(49)),
    networks: body.toString('utf8', fixedBodyBytes),
  };
}

function tagOf(keys: KeyRing, key: string, head: Buffer, body: Buffer): Buffer | null {
  const macKey = keys.derive('mac', head.readUInt32BE(1), label);
  return macKey === null ? null : keyedHash(macKey, lengthPrefixed(key), head, body);
}
