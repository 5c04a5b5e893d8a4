import { imapLimits } from './limits.ts';
import { quoted } from './response.ts';

/** RFC 2971 3.1: the argument of an ID of ours. Throws past the limits of RFC 2971 3.3. */
export function idList(id: ReadonlyMap<string, string>): string {
  const isWithin =
    id.size <= imapLimits.idPairs &&
    [...id].every(
      ([key, value]) => key.length <= imapLimits.idKeyBytes && value.length <= imapLimits.idValueBytes,
    );
  // A value too long makes Dovecot hang up (wire 71).
  if (!isWithin) throw new RangeError('ID beyond the limits of RFC 2971');
  return `(${[...id].map(([key, value]) => `${quoted(key)} ${quoted(value)}`).join(' ')})`;
}
