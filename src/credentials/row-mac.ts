import type { AppPasswordRow } from '../store/schema.ts';
import { equalBytes, expiryToU64, keyedHash, lengthPrefixed, u8, u16, u32, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';

const label = 'sallyport/v1/credential-row';

/** The fields that authorize: whoever can write SQL but lacks the key file changes none of them unseen (S-34). */
export type AuthorizingFields = Pick<
  AppPasswordRow,
  'id' | 'account_id' | 'scopes' | 'networks' | 'not_after' | 'state' | 'pepper_version' | 'selector' | 'phc'
>;

/** The MAC under the active key; `address` is the account's canonical address. */
export function rowMac(keys: KeyRing, address: string, row: AuthorizingFields): Buffer {
  const id = keys.activeId('mac');
  const tag = tagOf(keys, id, address, row);
  if (tag === null) throw new Error('the active mac key cannot be derived');
  return Buffer.concat([u32(id), tag]);
}

/** Whether the row is as the gateway wrote it, under any live key. */
export function isRowGenuine(
  keys: KeyRing,
  address: string,
  row: AuthorizingFields & Pick<AppPasswordRow, 'row_mac'>,
): boolean {
  if (row.row_mac.length !== 36) return false;
  try {
    const tag = tagOf(keys, row.row_mac.readUInt32BE(0), address, row);
    return tag !== null && equalBytes(tag, row.row_mac.subarray(4));
  } catch {
    // A field out of its range or of another type: nothing this program writes.
    return false;
  }
}

/** Whether the MAC is under a key that is on its way out. */
export function isRowMacOutdated(keys: KeyRing, mac: Buffer): boolean {
  return mac.readUInt32BE(0) !== keys.activeId('mac');
}

function tagOf(keys: KeyRing, id: number, address: string, row: AuthorizingFields): Buffer | null {
  const key = keys.derive('mac', id, label);
  const state = stateByte(row.state);
  if (key === null || state === null) return null;
  return keyedHash(
    key,
    lengthPrefixed(row.id),
    lengthPrefixed(row.account_id),
    lengthPrefixed(address),
    u8(row.scopes),
    lengthPrefixed(row.networks),
    u64(expiryToU64(row.not_after)),
    u8(state),
    u32(row.pepper_version),
    u16(row.selector),
    lengthPrefixed(row.phc),
  );
}

/** null for a state that this program never writes. */
function stateByte(state: string): number | null {
  if (state === 'active') return 1;
  return state === 'revoked' ? 2 : null;
}
