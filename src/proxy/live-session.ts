import type { SessionView } from '../credentials/session-directory.ts';
import type { Protocol } from '../credentials/verdict.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';
import type { Logger } from '../observability/logger.ts';
import type { UpstreamError } from '../upstream/upstream-error.ts';
import type { Connection, DoorParts } from './door/door.ts';
import type { Session } from './session-registry.ts';
import type { Traffic } from './splice.ts';

/** Ends the client's side and the backend's, at once. */
export type EndSession = (reason: string) => void;

/** Who a session began for, as the client said it. */
export interface SessionStart {
  readonly mechanism: string;
  /** Fit to print. */
  readonly client: string | null;
}

/** One session, from its place in the registry to its last log line and its part in the metrics. */
export class LiveSession implements Session {
  readonly id: string;
  readonly protocol: Protocol;
  readonly login: VerifiedLogin;
  readonly peerAddress: string;
  readonly since: number;
  /** What has passed: whoever passes bytes adds to it. */
  readonly traffic: Traffic = { bytesUp: 0, bytesDown: 0 };
  readonly #published: Traffic = { bytesUp: 0, bytesDown: 0 };
  readonly #network: string;
  readonly #security: SessionView['security'];
  readonly #parts: DoorParts;
  readonly #logger: Logger;
  #end: EndSession;
  #begun: SessionStart | null = null;
  #hasLeft = false;
  #endedBecause: string | null = null;

  /** Not yet registered; `end` holds until {@link begin}. */
  constructor(
    parts: DoorParts,
    { peer, security, sessionId, logger }: Connection,
    given: { readonly protocol: Protocol; readonly login: VerifiedLogin; readonly end: EndSession },
  ) {
    this.id = sessionId;
    this.protocol = given.protocol;
    this.login = given.login;
    this.peerAddress = peer.address;
    this.since = parts.now();
    this.#network = peer.network;
    this.#security = security;
    this.#parts = parts;
    this.#logger = logger;
    this.#end = given.end;
  }

  get endedBecause(): string | null {
    return this.#endedBecause;
  }

  end(reason: string): void {
    this.#endedBecause ??= reason;
    this.#end(reason);
  }

  /** The client is about to hear success. From now on `end` ends it. */
  begin(by: SessionStart, end: EndSession): void {
    this.#end = end;
    this.#begun = by;
    this.#parts.metrics.sessions.inc({ protocol: this.protocol });
    const { address, credentialId } = this.login;
    this.#logger.info(
      { account: address, credential: credentialId.toString('hex'), ...by },
      'session begins',
    );
  }

  view(): SessionView {
    return {
      id: this.id,
      protocol: this.protocol,
      account: this.login.address,
      credential: this.login.credentialId.toString('hex'),
      peerAddress: this.peerAddress,
      network: this.#network,
      since: this.since,
      client: this.#begun?.client ?? null,
      mechanism: this.#begun?.mechanism ?? null,
      security: this.#security,
      backend: this.login.backend,
      bytesUp: this.traffic.bytesUp,
      bytesDown: this.traffic.bytesDown,
      state: this.#state(),
    };
  }

  /** Counts bytes that passed, as often as it suits the door. */
  count({ bytesUp, bytesDown }: Readonly<Traffic>): void {
    this.traffic.bytesUp += bytesUp;
    this.traffic.bytesDown += bytesDown;
    if (this.#hasLeft) this.publishTraffic();
  }

  publishTraffic(): void {
    const { protocol, traffic } = this;
    const { bytes } = this.#parts.metrics;
    bytes.inc({ protocol, direction: 'up' }, traffic.bytesUp - this.#published.bytesUp);
    bytes.inc({ protocol, direction: 'down' }, traffic.bytesDown - this.#published.bytesDown);
    Object.assign(this.#published, traffic);
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
    if (this.#begun === null) return;
    this.publishTraffic();
    this.#parts.metrics.sessions.dec({ protocol: this.protocol });
    this.#logger.info(
      {
        account: this.login.address,
        ended: this.#endedBecause ?? ended,
        seconds: Math.round((this.#parts.now() - this.since) / 1_000),
        ...more,
        ...this.traffic,
      },
      'session ends',
    );
  }

  #state(): SessionView['state'] {
    if (this.#endedBecause !== null) return 'ending';
    return this.#begun === null ? 'opening' : 'open';
  }
}
