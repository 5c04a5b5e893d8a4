import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import { maskedAddress } from '../../identity/second-factor/email-code.ts';
import type { AuditPlace } from '../../store/audit-entries.ts';
import type { AuditEntryRow } from '../../store/schema.ts';
import { addressSeen } from '../administrators.ts';

/** What is read of an entry; the rest of it is for `audit export`. */
const entrySchema = z.object({
  actor: z.object({
    kind: z.enum(['person', 'administrator', 'operator', 'gateway']),
    account: z.string().optional(),
    user: z.string().optional(),
    address: z.string().nullish(),
  }),
  account: z.object({ id: z.string(), address: z.string() }).nullable(),
  object: z.record(z.string(), z.union([z.string(), z.number(), z.null(), z.array(z.string())])),
  reason: z.string().nullable(),
});

export type TrailEntry = z.output<typeof entrySchema>;

/** An entry as an administrator sees it, with addresses as far as S-95 goes; null for one that cannot be read. */
export function readTrailEntry({ entry }: AuditEntryRow, config: Pick<Config, 'portal'>): TrailEntry | null {
  const found = parsed(entry);
  if (found === null || config.portal.administratorsSeeAddresses) return found;
  const { actor, object } = found;
  return {
    ...found,
    actor: { ...actor, address: actor.address == null ? null : addressSeen(actor.address, config) },
    object: Object.fromEntries(
      Object.entries(object).map(([name, value]) => {
        if (typeof value !== 'string') return [name, value];
        if (name === 'address') return [name, addressSeen(value, config)];
        // Of an alternate address that was changed.
        return [name, name === 'old' || name === 'new' ? maskedAddress(value) : value];
      }),
    ),
  };
}

/** A place in the trail as a link carries it. */
export function trailPlaceText({ at, seq, chain }: AuditEntryRow): string {
  return `${at}:${seq}:${chain}`;
}

/** null for what {@link trailPlaceText} does not write: then the newest are shown. */
export function trailPlace(text: string | undefined): AuditPlace | null {
  const [, at, seq, chain] = /^(\d{1,15}):(\d{1,15}):([\x21-\x7e]{1,200})$/.exec(text ?? '') ?? [];
  if (at === undefined || seq === undefined || chain === undefined) return null;
  return { at: Number(at), seq: Number(seq), chain };
}

function parsed(text: string): TrailEntry | null {
  try {
    return entrySchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
