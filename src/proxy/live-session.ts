import type { Protocol } from '../credentials/verdict.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';
import type { Logger } from '../observability/logger.ts';
import type { UpstreamError } from '../upstream/upstream-error.ts';
import type { Connection, DoorParts } from './door/door.ts';
import type { Session } from './session-registry.ts';

/** Ends the client's side and the backend's, at once. */
export type EndSession = (reason: string) => void;

/** One session, from its place in the registry to its last log line and its part in the metrics. */
export class LiveSession implements Session {
  readonly id: string;
  readonly protocol: Protocol;
  readonly login: VerifiedLogin;
  readonly peerAddress: string;
  readonly since: number;
  readonly #parts: DoorParts;
  readonly #logger: Logger;
  #end: EndSession;
  #hasBegun = false;
  #hasLeft = false;
  #endedBecause: string | null = null;
  #bytesUp = 0;
  #bytesDown = 0;

  /** Not yet registered; `end` holds until {@link begin}. */
  constructor(
    parts: DoorParts,
    { peer, sessionId, logger }: Connection,
    given: { readonly protocol: Protocol; readonly login: VerifiedLogin; readonly end: EndSession },
  ) {
    this.id = sessionId;
    this.protocol = given.protocol;
    this.login = given.login;
    this.peerAddress = peer.address;
    this.since = parts.now();
    this.#parts = parts;
    this.#logger = logger;
    this.#end = given.end;
  }

  /** Why it was ended from outside; null while it was not. */
  get endedBecause(): string | null {
    return this.#endedBecause;
  }

  end(reason: string): void {
    this.#endedBecause ??= reason;
    this.#end(reason);
  }

  /** The client is about to hear success. From now on `end` ends it. */
  begin(by: { readonly mechanism: string; readonly client: string | null }, end: EndSession): void {
    this.#end = end;
    this.#hasBegun = true;
    this.#parts.metrics.sessions.inc({ protocol: this.protocol });
    const { address, credentialId } = this.login;
    this.#logger.info(
      { account: address, credential: credentialId.toString('hex'), ...by },
      'session begins',
    );
  }

  /** Counts bytes that passed, as often as it suits the door. */
  count({ bytesUp, bytesDown }: { readonly bytesUp: number; readonly bytesDown: number }): void {
    const { protocol } = this;
    this.#bytesUp += bytesUp;
    this.#bytesDown += bytesDown;
    this.#parts.metrics.bytes.inc({ protocol, direction: 'up' }, bytesUp);
    this.#parts.metrics.bytes.inc({ protocol, direction: 'down' }, bytesDown);
  }

  /** Counts and logs what went wrong on the backend's side. */
  report({ backend, kind, message }: UpstreamError): void {
    this.#parts.metrics.upstreamErrors.inc({ backend, kind });
    this.#logger.error({ backend, kind, detail: message }, 'backend leg failed');
  }

  /** It is over: `ended` says how, unless somebody ended it from outside. May be called again. */
  leave(ended: string, more: Readonly<Record<string, number>> = {}): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#parts.registry.remove(this);
    if (!this.#hasBegun) return;
    this.#parts.metrics.sessions.dec({ protocol: this.protocol });
    this.#logger.info(
      {
        account: this.login.address,
        ended: this.#endedBecause ?? ended,
        seconds: Math.round((this.#parts.now() - this.since) / 1_000),
        ...more,
        bytesUp: this.#bytesUp,
        bytesDown: this.#bytesDown,
      },
      'session ends',
    );
  }
}
