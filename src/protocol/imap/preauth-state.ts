import type { SaslCredentials } from '../sasl/credentials.ts';
import type { MechanismName, SaslMechanism } from '../sasl/mechanism.ts';
import type { CommandReader } from './command-reader.ts';

/** What happens to a connection. */
export type PreauthEvent =
  /** TLS stands: greet. */
  | { readonly type: 'connected' }
  | { readonly type: 'received'; readonly bytes: Buffer }
  /** Answers `log-in`; `capabilities` is the backend's filtered list, `text` that of the tagged OK. */
  | { readonly type: 'accepted'; readonly capabilities: string | null; readonly text: string }
  /** Answers `log-in` and `malformed-login`; one that counts brings the client nearer to being shown out (wire 54). */
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly countsAsFailure: boolean }
  /** The deadline for logging in has passed. */
  | { readonly type: 'expired' }
  | { readonly type: 'draining' };

/** What the door is to do, in order. */
export type PreauthEffect =
  | { readonly type: 'send'; readonly bytes: Buffer }
  /** What the client says of itself, without `x-` keys: a claim, for logs. */
  | { readonly type: 'identify'; readonly fields: ReadonlyMap<string, string> }
  /** Read nothing more until `accepted` or `refused` has been answered (wire 58). */
  | {
      readonly type: 'log-in';
      readonly credentials: SaslCredentials;
      readonly mechanism: 'LOGIN command' | MechanismName;
    }
  /** Credentials that are nobody's: no name (wire 86), or a line end in them (wire 24). To be answered by `refused`. */
  | { readonly type: 'malformed-login'; readonly mechanism: 'LOGIN command' | MechanismName }
  /** From here on bytes are copied; `leftover` was already read and goes to the backend first (wire 56). */
  | { readonly type: 'splice'; readonly leftover: Buffer }
  | { readonly type: 'close' };

/** `* NO [ALERT] alert` where there is one, then `tag NO [code] text`. */
export interface Refusal {
  readonly alert: string | null;
  readonly code: string;
  readonly text: string;
}

/** Where a connection stands. The reader apart, nothing in here changes. */
export type PreauthState =
  | { readonly name: 'silent'; readonly hostname: string }
  | Ready
  | Exchange
  | Verifying
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

/** What lasts from command to command. */
export interface Connection {
  readonly reader: CommandReader;
  readonly commands: number;
  readonly badCommands: number;
  readonly failedLogins: number;
  /** The client asked before login and may not look at the tagged OK (wire 43). */
  readonly hasAskedCapability: boolean;
}

/** A state may be stepped once only: its reader is handed on, not copied. */
export type Transition = { readonly state: PreauthState; readonly effects: readonly PreauthEffect[] };
