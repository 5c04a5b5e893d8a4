import type { Socket } from 'node:net';
import type { Config } from '../../config/schema.ts';
import type { LoginLog } from '../../credentials/login-log.ts';
import type { Verifier } from '../../credentials/verifier.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics.ts';
import type { Upstreams } from '../../upstream/upstreams.ts';
import type { AuthReplies } from '../auth-reply.ts';
import type { SessionRegistry } from '../session-registry.ts';

/** Who is at the other end of an accepted connection, as the listener knows it. */
export interface Peer {
  readonly address: string;
  readonly port: number;
  /** /32 of IPv4, /64 of IPv6: what limits and throttles count by. */
  readonly network: string;
  readonly localAddress: string;
  readonly localPort: number;
}

/** How what the client says is protected. `legacy-tls` is for app passwords of that scope only (wire 123). */
export type Security = 'tls' | 'legacy-tls' | 'clear';

/** An accepted connection, nothing read yet. */
export interface Connection {
  readonly socket: Socket;
  readonly security: Security;
  /**
   * STARTTLS: the handshake on a clear connection whose listeners were taken off and which is paused, then the same client
   * on its TLS socket. null where the handshake failed and nothing is left. Once, and only in clear.
   */
  secure(): Promise<Connection | null>;
  /**
   * The client is no stranger any more: it stops counting against the connections of its network, or an office behind one
   * address could not open the sessions that its people are allowed (wire 55). May be called again.
   */
  loggedIn(): void;
  readonly peer: Peer;
  /** 12 characters, in every log record and toward the backend. */
  readonly sessionId: string;
  readonly logger: Logger;
}

/** One mail protocol toward clients. */
export interface Door {
  /** Takes the connection over, `error` events included. */
  accept(connection: Connection): void;
  /** Answers a connection that is over a limit with a readable line, inside TLS where it is implicit, and closes it (wire 152). */
  refuse(connection: Connection): void;
  /** Says goodbye to those not logged in yet and answers new ones the same way; sessions go on (wire 68). */
  drain(): void;
  /** Ends what is left. */
  close(): void;
}

/** What every door is built from. */
export interface DoorParts {
  readonly config: Config;
  readonly verifier: Verifier;
  readonly upstreams: Upstreams;
  readonly registry: SessionRegistry;
  readonly replies: AuthReplies;
  /** null where nobody will ask for it. */
  readonly loginLog: LoginLog | null;
  readonly metrics: Metrics;
  readonly now: () => number;
}
