import type { Config } from '../../config/schema.ts';
import { canonicalCidr, isAllowed } from '../../credentials/network.ts';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from '../sign-in/imap.ts';

/** Whether a session may enroll a factor. `code`: after the operator's code; `closed`: not from here, or not by this sign-in. */
export type Gate =
  | { readonly kind: 'open' }
  | { readonly kind: 'code' }
  | { readonly kind: 'closed'; readonly because: 'network' | 'idp' };

const open: Gate = { kind: 'open' };

/** S-74: who holds a leaked main password must not be the first to enroll, unless the operator lets him. */
export class EnrollmentGate {
  readonly #domains: Config['domains'];
  readonly #networks: ReadonlyMap<string, readonly string[]>;

  constructor({ config }: { readonly config: Pick<Config, 'domains'> }) {
    this.#domains = config.domains;
    this.#networks = new Map(
      Object.entries(config.domains).map(([name, { enrollmentNetworks }]) => [
        name,
        enrollmentNetworks.map(canonicalCidr).filter((cidr) => cidr !== null),
      ]),
    );
  }

  decide(session: FirstFactorSession | FullSession | SteppedUpSession, peer: Peer): Gate {
    if (session.level !== 'first-factor') return open;
    // A recovery code stands for a factor; the gate's own code was right in this session.
    if (session.opened !== null) return open;
    const { address } = session.account;
    const domain = address.slice(address.lastIndexOf('@') + 1);
    const settings = Object.hasOwn(this.#domains, domain) ? this.#domains[domain] : undefined;
    // Of a domain that has left the configuration.
    if (settings === undefined) return { kind: 'code' };
    switch (settings.enrollment) {
      case 'open':
        return open;
      case 'code':
        return { kind: 'code' };
      case 'network': {
        const networks = this.#networks.get(domain) ?? [];
        // Without a network the peer is a web proxy, and an empty list would let everybody in.
        const isInside = peer.network !== null && networks.length > 0 && isAllowed(peer.address, networks);
        return isInside ? open : { kind: 'closed', because: 'network' };
      }
      case 'idp':
        return session.signInAssurance === 'idp-mfa' ? open : { kind: 'closed', because: 'idp' };
      default:
        return settings.enrollment satisfies never;
    }
  }
}
