import { endsAt, hasEnded } from '../store/app-password-life.ts';
import type { AppPasswordRow } from '../store/schema.ts';
import { canonicalFence, decodeFence, encodeFence, type Fence } from './fence.ts';
import { canonicalCidr, splitNetworks } from './network.ts';
import { opensProtocol, type Scope, scopeBits, scopesOf } from './scope.ts';

export const maxLabelCharacters = 64;
/** Keeps the row, its MAC and a cached record small. */
export const maxNetworks = 32;

/** An app password as its owner sees it: everything but the secret. */
export interface AppPasswordView {
  readonly id: Buffer;
  readonly accountId: Buffer;
  readonly label: string;
  readonly scopes: readonly Scope[];
  /** Canonical CIDRs; empty allows every network. */
  readonly networks: readonly string[];
  /** null: this version does not understand it, and lets nobody in with it. */
  readonly fence: Fence | null;
  /** Fixed expiry. */
  readonly notAfter: number | null;
  /** Ends then unless it was used before (S-84); null also once it was. */
  readonly firstUseBy: number | null;
  /** Ends when it was not used for so long. */
  readonly maxIdleMs: number | null;
  /** When it ends, by any of the three, if it is not used from now on. */
  readonly endsAt: number | null;
  readonly state: 'active' | 'paused' | 'revoked' | 'expired';
  readonly createdAt: number;
  readonly createdBy: string;
  readonly lastUsedAt: number | null;
  readonly lastUsedAddress: string | null;
  readonly lastUsedProtocol: string | null;
  /** What the client called itself. */
  readonly lastUsedClient: string | null;
}

/** What an app password is to be good for. */
export interface Grant {
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly networks: readonly string[];
  readonly fence: Fence;
}

/** The same in the one form that rows hold. */
export type GrantColumns = Pick<AppPasswordRow, 'label' | 'scopes' | 'networks' | 'fence'>;

/** `problem` is a sentence for the person. */
export type CheckedGrant =
  | { readonly kind: 'grant'; readonly columns: GrantColumns }
  | { readonly kind: 'invalid'; readonly problem: string };

export function checkGrant(grant: Grant): CheckedGrant {
  const label = grant.label.trim();
  const networks = canonicalNetworks(grant.networks);
  const canonical = canonicalFence(grant.fence);
  const problem = problemOf(label, grant.scopes, networks);
  if (problem !== null || networks === null) return { kind: 'invalid', problem: problem ?? badNetwork };
  if (canonical.kind === 'invalid') return canonical;
  return {
    kind: 'grant',
    columns: {
      label,
      scopes: scopeBits(grant.scopes),
      networks: networks.join(','),
      fence: encodeFence(canonical.fence),
    },
  };
}

/** Below an hour a last use that is written a minute late would count, above ten years nobody means it. */
const idleBounds = { least: 3_600_000, most: 3_650 * 86_400_000 };

/** When an app password is to end, in milliseconds from now, or of not being used; null and undefined are no such end. */
export interface WantedLife {
  readonly expiresInMs?: number | null | undefined;
  readonly unusedAfterMs?: number | null | undefined;
  readonly maxIdleMs?: number | null | undefined;
}

/** null: it may be set. */
export function lifeProblem({ expiresInMs, unusedAfterMs, maxIdleMs }: WantedLife): string | null {
  for (const ms of [expiresInMs, unusedAfterMs]) {
    const isFuture = ms == null || (Number.isSafeInteger(ms) && ms > 0);
    if (!isFuture) return 'the expiry must lie in the future';
  }
  const { least, most } = idleBounds;
  const isIdle =
    maxIdleMs == null || (Number.isSafeInteger(maxIdleMs) && maxIdleMs >= least && maxIdleMs <= most);
  return isIdle ? null : 'the time without a use must be 1h to 3650d';
}

export function viewOf(row: AppPasswordRow, now: number): AppPasswordView {
  return {
    id: row.id,
    accountId: row.account_id,
    label: row.label,
    scopes: scopesOf(row.scopes),
    networks: splitNetworks(row.networks),
    fence: decodeFence(row.fence),
    notAfter: row.not_after,
    firstUseBy: row.last_used_at === null ? row.first_use_by : null,
    maxIdleMs: row.max_idle_ms,
    endsAt: endsAt(row, now),
    state: row.state === 'active' && hasEnded(row, now) ? 'expired' : row.state,
    createdAt: row.created_at,
    createdBy: row.created_by,
    lastUsedAt: row.last_used_at,
    lastUsedAddress: row.last_used_address,
    lastUsedProtocol: row.last_used_protocol,
    lastUsedClient: row.last_used_client,
  };
}

const badNetwork = 'a network must be written as an address or as 192.0.2.0/24 or 2001:db8::/48';

function canonicalNetworks(networks: readonly string[]): readonly string[] | null {
  const canonical = networks.map((network) => canonicalCidr(network.trim()));
  if (!canonical.every((network) => network !== null)) return null;
  return [...new Set(canonical)].toSorted();
}

function problemOf(
  label: string,
  scopes: readonly Scope[],
  networks: readonly string[] | null,
): string | null {
  if (label === '') return 'the label must not be empty';
  if ([...label].length > maxLabelCharacters)
    return `the label is longer than ${maxLabelCharacters} characters`;
  // Format characters too: a bidirectional override makes one label look like another.
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(label)) return 'the label must not contain control characters';
  if (!opensProtocol(scopes)) return 'at least one protocol must be allowed';
  if (networks === null) return badNetwork;
  if (networks.length > maxNetworks) return `at most ${maxNetworks} networks can be given`;
  return null;
}
