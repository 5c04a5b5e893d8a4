import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto';

// The only place that makes a MAC, so that each has a derived key, one label and length-prefixed fields (S-38).

const none = Buffer.alloc(0);

/** HKDF-SHA-256 to 32 bytes: one root, one label, one purpose. */
export function deriveKey(root: Buffer, label: string, salt: Buffer = none): Buffer {
  return Buffer.from(hkdfSync('sha256', root, salt, label, 32));
}

/** HMAC-SHA-256 over the parts as one message; fields of varying length go through {@link lengthPrefixed}. */
export function keyedHash(key: Buffer, ...parts: readonly Buffer[]): Buffer {
  const hmac = createHmac('sha256', keyObjectOf(key));
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** Given a Buffer, Node 24 takes five times as long as with a key object, and making that one is the next cost (measured). */
const keyObjects = new WeakMap<Buffer, KeyObject>();

function keyObjectOf(key: Buffer): KeyObject {
  const known = keyObjects.get(key);
  if (known !== undefined) return known;
  const made = createSecretKey(key);
  keyObjects.set(key, made);
  return made;
}

/** Compares in constant time; different lengths differ. */
export function equalBytes(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/** u16 length and the bytes, so that no two field lists make the same message. Throws over 65,535 bytes. */
export function lengthPrefixed(value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  const framed = Buffer.allocUnsafe(2 + bytes.length);
  framed.writeUInt16BE(bytes.length, 0);
  bytes.copy(framed, 2);
  return framed;
}

export function u8(value: number): Buffer {
  const bytes = Buffer.alloc(1);
  bytes.writeUInt8(value);
  return bytes;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** The largest u64: a time that never comes, so that `now < not_after` needs no second case. */
const never = 0xffff_ffff_ffff_ffffn;

/** An expiry as u64 milliseconds; null never expires. */
export function expiryToU64(notAfter: number | null): bigint {
  return notAfter === null ? never : BigInt(notAfter);
}

export function expiryFromU64(value: bigint): number | null {
  return value === never ? null : Number(value);
}
