import type { StaleClient } from '../store/stale-clients.ts';
import type { AppPasswordView } from './app-passwords.ts';

// How things are told to programs, by `--json` of the command line and by the API alike.

export function isoOf(at: number): string;
export function isoOf(at: number | null): string | null;
export function isoOf(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

/** All but the longest time without use, which each tells in its own unit. */
export function describeAppPassword(view: AppPasswordView) {
  const { fence } = view;
  return {
    id: view.id.toString('hex'),
    label: view.label,
    state: view.state,
    scopes: [...view.scopes],
    networks: [...view.networks],
    fence:
      fence === null
        ? null
        : {
            ...fence,
            from: fence.from === null ? null : [...fence.from],
            recipientDomains: fence.recipientDomains === null ? null : [...fence.recipientDomains],
          },
    expiresAt: isoOf(view.notAfter),
    firstUseBy: isoOf(view.firstUseBy),
    endsAt: isoOf(view.endsAt),
    createdAt: isoOf(view.createdAt),
    createdBy: view.createdBy,
    lastUsedAt: isoOf(view.lastUsedAt),
    lastUsedAddress: view.lastUsedAddress,
    lastUsedProtocol: view.lastUsedProtocol,
    lastUsedClient: view.lastUsedClient,
  };
}

/** A client that still sends an ended one. */
export function describeStale(stale: StaleClient) {
  return {
    credential: stale.credential_id.toString('hex'),
    label: stale.label,
    endedAt: isoOf(stale.endedAt),
    times: stale.times,
    firstAt: isoOf(stale.first_at),
    lastAt: isoOf(stale.last_at),
    protocol: stale.protocol,
    address: stale.address,
    client: stale.client,
  };
}
