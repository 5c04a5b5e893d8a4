import type { AppPasswordRow } from '../store/schema.ts';
import { canonicalFence, decodeFence, encodeFence, type Fence } from './fence.ts';
import { canonicalCidr, splitNetworks } from './network.ts';
import { opensProtocol, type Scope, scopeBits, scopesOf } from './scope.ts';

const maxLabelCharacters = 64;
/** Keeps the row, its MAC and a cached record small. */
const maxNetworks = 32;

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
  readonly notAfter: number | null;
  readonly state: 'active' | 'revoked' | 'expired';
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

/** null: it may be set. */
export function expiryProblem(expiresInMs: number | null): string | null {
  const isFuture = expiresInMs === null || (Number.isSafeInteger(expiresInMs) && expiresInMs > 0);
  return isFuture ? null : 'the expiry must lie in the future';
}

export function viewOf(row: AppPasswordRow, now: number): AppPasswordView {
  const isExpired = row.not_after !== null && row.not_after <= now;
  return {
    id: row.id,
    accountId: row.account_id,
    label: row.label,
    scopes: scopesOf(row.scopes),
    networks: splitNetworks(row.networks),
    fence: decodeFence(row.fence),
    notAfter: row.not_after,
    state: row.state === 'active' && isExpired ? 'expired' : row.state,
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
