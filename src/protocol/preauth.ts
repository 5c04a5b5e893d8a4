import type { SaslCredentials } from './sasl/credentials.ts';
import type { MechanismName } from './sasl/mechanism.ts';

/** Whether what the client says is encrypted; `available` is a clear connection that STARTTLS or STLS can secure. */
export type TlsState = 'established' | 'available';

/** How a client gave its credentials, for logs. */
export type LoginMethod = 'LOGIN command' | 'USER and PASS' | MechanismName;

/** What happens to a connection of a protocol that becomes a splice. `Accepted` and `Refusal` are the protocol's own. */
export type PreauthEvent<Accepted, Refusal> =
  /** The connection stands, with TLS or without: greet. */
  | { readonly type: 'connected' }
  | { readonly type: 'received'; readonly bytes: Buffer }
  /** Answers `start-tls`: from here on the client is heard through TLS. */
  | { readonly type: 'tls-established' }
  /** Answers `log-in`. */
  | { readonly type: 'accepted'; readonly accepted: Accepted }
  /** Answers `log-in` and `malformed-login`; one that counts brings the client nearer to being shown out (wire 54). */
  | { readonly type: 'refused'; readonly refusal: Refusal; readonly countsAsFailure: boolean }
  /** The deadline for logging in has passed. */
  | { readonly type: 'expired' }
  | { readonly type: 'draining' };

/** What the door is to do, in order. */
export type PreauthEffect =
  | { readonly type: 'send'; readonly bytes: Buffer }
  /** What the client says of itself: a claim, for logs. `proxyTtl`: hops left, of a client that is a proxy; else null. */
  | { readonly type: 'identify'; readonly name: string | null; readonly proxyTtl: number | null }
  /** Read nothing more in clear; begin the handshake once what was sent is written, and say nothing until it stands. */
  | { readonly type: 'start-tls' }
  /** Read nothing more until `accepted` or `refused` has been answered (wire 58). */
  | { readonly type: 'log-in'; readonly credentials: SaslCredentials; readonly mechanism: LoginMethod }
  /** Credentials that are nobody's: no name (wire 86), or a line end in them (wire 24). To be answered by `refused`. */
  | { readonly type: 'malformed-login'; readonly mechanism: LoginMethod }
  /** From here on bytes are copied; `leftover` was already read and goes to the backend first (wire 56). */
  | { readonly type: 'splice'; readonly leftover: Buffer }
  | { readonly type: 'close' };
