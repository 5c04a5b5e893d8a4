import type { Protocol } from '../credentials/verdict.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';
import type { PreauthEffect, PreauthEvent, TlsState } from '../protocol/preauth.ts';
import type { SaslCredentials } from '../protocol/sasl/credentials.ts';
import type { Opening, OpenOptions, SplicedLink } from '../upstream/opening.ts';
import type { Upstream } from '../upstream/upstreams.ts';
import type { Refusal as AnyRefusal } from './auth-reply.ts';
import type { Connection, DoorParts } from './door/door.ts';
import { closeInTime } from './farewell.ts';
import type { LiveSession } from './live-session.ts';
import { type LoginResult, logIn } from './login.ts';
import { splice } from './splice.ts';

/** A protocol that is spoken up to the login and then becomes a splice: its machine, and its way to the backend. */
export interface SplicedProtocol<State extends { readonly name: string }, Accepted, Refusal, Link> {
  readonly protocol: Protocol;
  start(hostname: string, tls: TlsState): State;
  step(state: State, event: PreauthEvent<Accepted, Refusal>): Transition<State>;
  open(upstream: Upstream, login: VerifiedLogin, options: OpenOptions): Promise<Opening<Link & SplicedLink>>;
  accepted(link: Link): Accepted;
  refusal(refusal: AnyRefusal): Refusal;
}

interface Transition<State> {
  readonly state: State;
  readonly effects: readonly PreauthEffect[];
}

/** One client: drives the pre-auth machine, has it logged in, and hands both sockets to the splice. */
export class SplicedConversation<
  State extends { readonly name: string },
  Accepted,
  Refusal,
  Link extends SplicedLink,
> {
  readonly #parts: DoorParts;
  readonly #speech: SplicedProtocol<State, Accepted, Refusal, Link>;
  readonly #onClosed: () => void;
  readonly #gone = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #connection: Connection;
  #state: State;
  #client: PreauthEffect & { type: 'identify' } = unnamed;
  #session: LiveSession | null = null;
  #link: Link | null = null;
  /** Client bytes behind the login command, for the backend. */
  #leftover: Buffer = Buffer.alloc(0);

  constructor(
    parts: DoorParts,
    speech: SplicedProtocol<State, Accepted, Refusal, Link>,
    connection: Connection,
    onClosed: () => void,
  ) {
    this.#parts = parts;
    this.#speech = speech;
    this.#connection = connection;
    this.#onClosed = onClosed;
    const tls = connection.security === 'clear' ? 'available' : 'established';
    this.#state = speech.start(parts.config.hostname, tls);
    // Whatever trickles in: nobody stays without a login (wire 151).
    this.#deadline = setTimeout(() => this.#advance({ type: 'expired' }), parts.config.limits.loginTimeMs);
  }

  begin(): void {
    this.#listen();
    this.#advance({ type: 'connected' });
  }

  /** Without effect on a session: it goes on (wire 68). */
  drain(): void {
    this.#advance({ type: 'draining' });
  }

  /** At once, both legs: a revoked credential has nothing more to say (S-55). */
  end(reason: string): void {
    if (this.#session === null) this.#cut();
    else this.#session.end(reason);
  }

  #cut(): void {
    this.#gone.abort('gone');
    this.#connection.socket.destroy();
    this.#link?.cut();
  }

  #listen(): void {
    const { socket } = this.#connection;
    socket.on('data', this.#onData).once('end', this.#onEnd).once('close', this.#onClose);
  }

  #unlisten(): void {
    this.#connection.socket.off('data', this.#onData).off('end', this.#onEnd);
  }

  readonly #onData = (bytes: Buffer): void => this.#advance({ type: 'received', bytes });
  readonly #onEnd = (): void => {
    this.#connection.socket.end();
  };
  readonly #onClose = (): void => {
    clearTimeout(this.#deadline);
    this.#gone.abort('gone');
    if (this.#session === null) this.#onClosed();
  };

  /** Whatever it was, it must end this connection and not the process (S-14). */
  readonly #onFault = (error: unknown): void => {
    this.#connection.logger.error({ err: error }, 'connection ended by a fault');
    this.#cut();
  };

  #advance(event: PreauthEvent<Accepted, Refusal>): void {
    const next = this.#speech.step(this.#state, event);
    this.#state = next.state;
    for (const effect of next.effects) this.#perform(effect);
  }

  #perform(effect: PreauthEffect): void {
    const { socket } = this.#connection;
    switch (effect.type) {
      case 'send':
        socket.write(effect.bytes);
        return;
      case 'identify':
        this.#client = effect;
        return;
      case 'start-tls':
        this.#startTls().catch(this.#onFault);
        return;
      case 'log-in':
        this.#logIn(effect.credentials, effect.mechanism).catch(this.#onFault);
        return;
      case 'malformed-login':
        this.#logIn(null, effect.mechanism).catch(this.#onFault);
        return;
      case 'splice':
        this.#leftover = effect.leftover;
        return;
      case 'close':
        // The deadline or a drain may have come while a login was under way: it is given up.
        this.#gone.abort('gone');
        closeInTime(socket);
        socket.destroySoon();
        return;
      default:
        effect satisfies never;
    }
  }

  async #startTls(): Promise<void> {
    // The client's socket closes with the handshake's, and tells #onClose of it.
    this.#unlisten();
    this.#connection.socket.pause();
    // Said in clear, so perhaps not by the client (S-02).
    this.#client = unnamed;
    const secured = await this.#connection.secure();
    if (secured === null || this.#gone.signal.aborted) {
      secured?.socket.destroy();
      return;
    }
    this.#connection = secured;
    this.#listen();
    this.#advance({ type: 'tls-established' });
    secured.socket.resume();
  }

  async #logIn(credentials: SaslCredentials | null, mechanism: string): Promise<void> {
    const { socket, peer, sessionId } = this.#connection;
    // A client may pour data while the backend is slow (wire 58).
    socket.pause();
    await logIn(
      this.#parts,
      {
        protocol: this.#speech.protocol,
        connection: this.#connection,
        credentials,
        mechanism,
        client: this.#client.name,
        gone: this.#gone.signal,
        open: (upstream, login, signal) =>
          this.#speech.open(upstream, login, {
            peer: { ...peer, sessionId, helo: null },
            proxyTtl: this.#client.proxyTtl,
            signal,
          }),
        end: () => this.#cut(),
      },
      (result) => this.#answer(result),
    );
  }

  #answer(result: LoginResult<Link>): void {
    switch (result.kind) {
      case 'gone':
        return;
      case 'refused': {
        const { countsAsFailure } = result.refusal;
        this.#advance({
          type: 'refused',
          refusal: this.#speech.refusal(result.refusal),
          countsAsFailure,
        });
        // A login pipelined behind this one is under way already.
        if (this.#state.name !== 'verifying') this.#connection.socket.resume();
        return;
      }
      case 'logged-in':
        this.#advance({ type: 'accepted', accepted: this.#speech.accepted(result.link) });
        clearTimeout(this.#deadline);
        this.#session = result.session;
        this.#link = result.link;
        void this.#splice(result.session, result.link);
        return;
      default:
        result satisfies never;
    }
  }

  async #splice(session: LiveSession, link: Link): Promise<void> {
    this.#unlisten();
    const { ended } = await splice(session.login, this.#connection.socket, link.socket, {
      fromClient: this.#leftover,
      fromUpstream: link.leftover,
      idleTimeMs: this.#parts.config.limits.idleTimeMs,
      traffic: session.traffic,
    });
    session.leave(ended);
    this.#onClosed();
  }
}

const unnamed = { type: 'identify', name: null, proxyTtl: null } as const;
