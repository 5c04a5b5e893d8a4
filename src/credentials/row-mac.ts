import type { AppPasswordRow } from '../store/schema.ts';
import { expiryToU64, lengthPrefixed, u8, u16, u32, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { isVersionedMac, versionedMac } from './versioned-mac.ts';

const label = 'sallyport/v1/credential-row';

/** The fields that authorize: whoever can write SQL but lacks the key file changes none of them unseen (S-34). */
export type AuthorizingFields = Pick<
  AppPasswordRow,
  | 'id'
  | 'account_id'
  | 'scopes'
  | 'networks'
  | 'not_after'
  | 'first_use_by'
  | 'max_idle_ms'
  | 'state'
  | 'pepper_version'
  | 'selector'
  | 'phc'
  | 'fence'
>;

/** The MAC under the active key; `address` is the account's canonical address. */
export function rowMac(keys: KeyRing, address: string, row: AuthorizingFields): Buffer {
  const message = messageOf(address, row);
  if (message === null) throw new Error('an app password row of an unknown state');
  return versionedMac(keys, label, message);
}

/** Whether the row is as the gateway wrote it, under any live key. */
export function isRowGenuine(
  keys: KeyRing,
  address: string,
  row: AuthorizingFields & Pick<AppPasswordRow, 'row_mac'>,
): boolean {
  try {
    const message = messageOf(address, row);
    return message !== null && isVersionedMac(keys, label, message, row.row_mac);
  } catch {
    // A field out of its range or of another type: nothing this program writes.
    return false;
  }
}

function messageOf(address: string, row: AuthorizingFields): readonly Buffer[] | null {
  const state = stateByte(row.state);
  if (state === null) return null;
  const isPerishable = row.first_use_by !== null || row.max_idle_ms !== null;
  return [
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
    // Not for none: rows from before there were such columns keep their MACs, and one taken away still shows.
    ...(row.fence === '' && !isPerishable ? [] : [lengthPrefixed(row.fence)]),
    ...(isPerishable ? [u64(expiryToU64(row.first_use_by)), u64(expiryToU64(row.max_idle_ms))] : []),
  ];
}

/** null for a state that this program never writes. */
function stateByte(state: string): number | null {
  if (state === 'active') return 1;
  if (state === 'revoked') return 2;
  return state === 'paused' ? 3 : null;
}
