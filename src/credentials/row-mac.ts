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
    // Not for an empty one: rows from before there were fences keep their MACs, and a fence taken away still shows.
    ...(row.fence === '' ? [] : [lengthPrefixed(row.fence)]),
  ];
}

/** null for a state that this program never writes. */
function stateByte(state: string): number | null {
  if (state === 'active') return 1;
  return state === 'revoked' ? 2 : null;
}
