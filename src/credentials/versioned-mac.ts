import { equalBytes, keyedHash, u32 } from './derive.ts';
import type { KeyRing } from './key-file.ts';

const macBytes = 36;

/** The id of the active mac key and the HMAC under it, so that keys rotate without rewriting anything. */
export function versionedMac(keys: KeyRing, label: string, message: readonly Buffer[]): Buffer {
  const id = keys.activeId('mac');
  const key = keys.derive('mac', id, label);
  if (key === null) throw new Error('the active mac key cannot be derived');
  return Buffer.concat([u32(id), keyedHash(key, ...message)]);
}

/** Whether the message is as the gateway wrote it, under any live key. Anything that is no MAC at all is false. */
export function isVersionedMac(
  keys: KeyRing,
  label: string,
  message: readonly Buffer[],
  mac: unknown,
): boolean {
  // SQLite keeps any type in any column.
  if (!Buffer.isBuffer(mac) || mac.length !== macBytes) return false;
  const key = keys.derive('mac', mac.readUInt32BE(0), label);
  return key !== null && equalBytes(keyedHash(key, ...message), mac.subarray(4));
}

/**
 * Whether the MAC is under a key that is on its way out. Not one that is on its way in: a node that has activated it must not
 * fight over rows with one that has not yet.
 */
export function isMacOutdated(keys: KeyRing, mac: Buffer): boolean {
  return Buffer.isBuffer(mac) && mac.length === macBytes && mac.readUInt32BE(0) < keys.activeId('mac');
}
