import type { Protocol } from './verdict.ts';

/** A live session as `session list` shows it: plain, so that another process can be told of it. */
export interface SessionView {
  /** As in the logs and toward the backend. */
  readonly id: string;
  readonly protocol: Protocol;
  readonly account: string;
  /** The app password's id, as `app-password list` shows it. */
  readonly credential: string;
  readonly peerAddress: string;
  /** /32 of IPv4, /64 of IPv6. */
  readonly network: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** What the client calls itself, fit to print; null where it said nothing or is not logged in yet. */
  readonly client: string | null;
  /** SASL mechanism, or the command; null while not logged in yet. */
  readonly mechanism: string | null;
  readonly security: 'tls' | 'legacy-tls' | 'clear';
  readonly backend: string;
  /** Client to backend, up to now. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** `opening`: the password is right and the backend is being asked. `ending`: was ended, and is not gone yet. */
  readonly state: 'opening' | 'open' | 'ending';
}

/** Which sessions. Ids are hex for a credential. */
export type SessionFilter =
  | { readonly by: 'all' }
  | { readonly by: 'account'; readonly account: string }
  | { readonly by: 'credential'; readonly credential: string }
  | { readonly by: 'session'; readonly session: string };

/** Where sessions are found and ended: those of this process, or of every node. */
export interface SessionDirectory {
  list(filter: SessionFilter): readonly SessionView[] | Promise<readonly SessionView[]>;
  /** How many were ended; one that was ending already is not counted again. */
  end(filter: SessionFilter, reason: string): number | Promise<number>;
}
