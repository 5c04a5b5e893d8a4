import type * as preauth from '../preauth.ts';
import type { TlsState } from '../preauth.ts';
import type { SaslMechanism } from '../sasl/mechanism.ts';
import type { LineReader } from './line-reader.ts';

export type PreauthEvent = preauth.PreauthEvent<Pop3Accepted, Pop3Refusal>;

/** The text of `+OK`, which may be empty. */
export interface Pop3Accepted {
  readonly text: string;
}

/** `-ERR [code] text`, or `-ERR text`. */
export interface Pop3Refusal {
  readonly code: string | null;
  readonly text: string;
}

/** Where a connection stands. The reader apart, nothing in here changes. */
export type PreauthState =
  | { readonly name: 'silent'; readonly hostname: string; readonly tls: TlsState }
  | Ready
  | Named
  | Exchange
  | Verifying
  | Handshake
  | { readonly name: 'spliced' }
  | { readonly name: 'closed' };

/** A command is expected. */
export interface Ready {
  readonly name: 'ready';
  readonly connection: Connection;
}

/** USER was said. A command is expected, and where it is not PASS the name is forgotten (RFC 1939 7). */
export interface Named {
  readonly name: 'named';
  readonly connection: Connection;
  readonly user: Buffer;
}

/** A SASL response is expected. */
export interface Exchange {
  readonly name: 'exchange';
  readonly connection: Connection;
  readonly mechanism: SaslMechanism;
}

/** Somebody else decides; what arrives is held. */
export interface Verifying {
  readonly name: 'verifying';
  readonly connection: Connection;
}

/** TLS is being established. What was said in clear is forgotten, but for what was done wrong (S-02). */
export interface Handshake {
  readonly name: 'handshake';
  readonly connection: Omit<Connection, 'reader' | 'tls'>;
}

/** What lasts from command to command. */
export interface Connection {
  readonly reader: LineReader;
  readonly tls: TlsState;
  readonly commands: number;
  readonly badCommands: number;
  readonly failedLogins: number;
}

/** A state may be stepped once only: its reader is handed on, not copied. */
export type Transition = {
  readonly state: PreauthState;
  readonly effects: readonly preauth.PreauthEffect[];
};
