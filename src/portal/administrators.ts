import type { Config } from '../config/schema.ts';
import { widerNetworkOf } from '../credentials/network.ts';
import type { FullSession, SteppedUpSession } from '../identity/portal-session.ts';

/**
 * Whether the session may administer: its address stands in the configuration, or the identity provider said so at this
 * sign-in. Decided at each request, so that a name taken from the configuration is one at once.
 */
export function isAdministrator(
  session: FullSession | SteppedUpSession,
  { portal }: Pick<Config, 'portal'>,
): boolean {
  return session.role === 'administrator' || portal.administrators.includes(session.account.address);
}

/** A client's address as an administrator sees it: a person's whereabouts are hers, unless the operator says otherwise (S-95). */
export function addressSeen(address: string, { portal }: Pick<Config, 'portal'>): string {
  return portal.administratorsSeeAddresses ? address : widerNetworkOf(address);
}
