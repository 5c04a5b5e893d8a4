import type * as preauth from '../preauth.ts';
import type { TlsState } from '../preauth.ts';
import type { SaslMechanism } from '../sasl/mechanism.ts';
import type { CommandReader } from './command-reader.ts';

export type PreauthEvent = preauth.PreauthEvent<Accepted, Refusal>;
export type { PreauthEffect } from '../preauth.ts';

/** The backend's filtered capabilities, null where it told none, and the text of the tagged OK. */
export interface Accepted {
  readonly capabilities: string | null;
  readonly text: string;
}

/** `* NO [ALERT] alert` where there is one, then `tag NO [code] text`. */
export interface Refusal {
  readonly alert: string | null;
  readonly code: string;
  readonly text: string;
}

/** Where a connection stands. The reader apart, nothing in here changes. */
export type PreauthState =
  | { readonly name: 'silent'; readonly hostname: string; readonly tls: TlsState }
  | Ready
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

/** A SASL response is expected. */
export interface Exchange {
  readonly name: 'exchange';
  readonly connection: Connection;
  readonly tag: string;
  readonly mechanism: SaslMechanism;
}

/** Somebody else decides; what arrives is held. */
export interface Verifying {
  readonly name: 'verifying';
  readonly connection: Connection;
  readonly tag: string;
}

/** TLS is being established. What was said in clear is forgotten, but for what was done wrong (S-02). */
export interface Handshake {
  readonly name: 'handshake';
  readonly connection: Omit<Connection, 'reader' | 'tls' | 'hasAskedCapability'>;
}

/** What lasts from command to command. */
export interface Connection {
  readonly reader: CommandReader;
  readonly tls: TlsState;
  readonly commands: number;
  readonly badCommands: number;
  readonly failedLogins: number;
  /** The client asked before login and may not look at the tagged OK (wire 43). */
  readonly hasAskedCapability: boolean;
  /** It sent a password in clear and was told so, which is enough once (wire 29, 51). */
  readonly hasBeenWarned: boolean;
}

/** A state may be stepped once only: its reader is handed on, not copied. */
export type Transition = {
  readonly state: PreauthState;
  readonly effects: readonly preauth.PreauthEffect[];
};
