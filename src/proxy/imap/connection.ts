import type { Socket } from 'node:net';
import type { VerifiedLogin } from '../../credentials/verifier.ts';
import { type Logger, printable } from '../../observability/logger.ts';
import {
  type PreauthEffect,
  type PreauthEvent,
  type PreauthState,
  start,
  step,
} from '../../protocol/imap/preauth.ts';
import type { SaslCredentials } from '../../protocol/sasl/credentials.ts';
import { type ImapLogin, logInToImap } from '../../upstream/imap.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import type { ImapRefusal, LateRefusal, RefusedVerdict } from '../auth-reply.ts';
import type { Connection, DoorParts } from '../door/door.ts';
import type { Session } from '../session-registry.ts';
import { splice } from '../splice.ts';

/** For a client to read the last line and close. */
export const farewellTimeMs = 5_000;

/** Where a door finds its connections again. */
export interface ImapConnections {
  readonly unauthenticated: Set<ImapConnection>;
  readonly sessions: Set<ImapConnection>;
}

/** One client: drives the pre-auth machine, logs in to the backend, and hands both sockets to the splice. */
export class ImapConnection {
  readonly #parts: DoorParts;
  readonly #connection: Connection;
  readonly #logger: Logger;
  readonly #sets: ImapConnections;
  readonly #gone = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #state: PreauthState;
  #clientName: string | null = null;
  #upstream: Socket | null = null;
  /** Client bytes behind the login command, for the backend. */
  #leftover: Buffer = Buffer.alloc(0);
  #endedBecause: string | null = null;

  constructor(parts: DoorParts, connection: Connection, sets: ImapConnections) {
    this.#parts = parts;
    this.#connection = connection;
    this.#logger = connection.logger;
    this.#sets = sets;
    this.#state = start(parts.config.hostname);
    sets.unauthenticated.add(this);
    this.#deadline = setTimeout(() => this.#advance({ type: 'expired' }), parts.config.limits.loginTimeMs);
    connection.socket.on('data', this.#onData).once('end', this.#onEnd).once('close', this.#onClose);
    this.#advance({ type: 'connected' });
  }

  drain(): void {
    this.#advance({ type: 'draining' });
  }

  /** At once, both legs: a revoked credential has nothing more to say (S-55). */
  end(reason: string): void {
    this.#endedBecause ??= reason;
    this.#gone.abort();
    this.#connection.socket.destroy();
    this.#upstream?.destroy();
  }

  readonly #onData = (bytes: Buffer): void => this.#advance({ type: 'received', bytes });
  readonly #onEnd = (): void => {
    this.#connection.socket.end();
  };
  readonly #onClose = (): void => {
    clearTimeout(this.#deadline);
    this.#gone.abort();
    this.#sets.unauthenticated.delete(this);
  };

  #advance(event: PreauthEvent): void {
    const next = step(this.#state, event);
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
        this.#clientName = printable(effect.fields.get('name') ?? '');
        return;
      case 'log-in':
        // A client may pour data while the backend is slow (wire 58).
        socket.pause();
        void this.#logIn(effect.credentials, effect.mechanism);
        return;
      case 'splice':
        this.#leftover = effect.leftover;
        return;
      case 'close':
        // A client that does not read its goodbye does not keep the connection.
        socket.setTimeout(farewellTimeMs, () => socket.destroy());
        socket.destroySoon();
        return;
      default:
        effect satisfies never;
    }
  }

  async #logIn(credentials: SaslCredentials, mechanism: string): Promise<void> {
    const { metrics } = this.#parts;
    const stop = metrics.loginSeconds.startTimer({ protocol: 'imap' });
    const name = credentials.authcid.toString('utf8');
    try {
      const outcome = await this.#tryLogin(credentials, name, mechanism);
      metrics.logins.inc({ protocol: 'imap', outcome });
    } catch (error) {
      // A fault of ours: the client must not think that its password was wrong.
      this.#logger.error({ err: error }, 'IMAP login failed by a fault');
      metrics.logins.inc({ protocol: 'imap', outcome: 'bug' });
      this.#refuse({ alert: null, code: 'SERVERBUG', text: 'Internal error.' });
    } finally {
      stop();
    }
  }

  async #tryLogin(credentials: SaslCredentials, name: string, mechanism: string): Promise<string> {
    const { verifier } = this.#parts;
    const { peer } = this.#connection;
    const verdict = await verifier.verify({
      protocol: 'imap',
      credentials,
      address: peer.address,
      network: peer.network,
    });
    if (this.#gone.signal.aborted) return 'gone';
    if (verdict.kind !== 'verified') return this.#turnAway(verdict, name, mechanism);

    const { login } = verdict;
    const upstreamLogin = await this.#openBackend(login);
    if (upstreamLogin === null) return this.#turnAway({ kind: 'backend-unavailable' }, name, mechanism);
    if (upstreamLogin.kind === 'refused') {
      this.#logger.info({ account: login.address, code: upstreamLogin.code }, 'backend refused the mailbox');
      this.#refuse({ alert: null, code: upstreamLogin.code, text: upstreamLogin.text });
      return 'unavailable';
    }
    return this.#begin(login, upstreamLogin, name, mechanism);
  }

  async #openBackend(login: VerifiedLogin): Promise<ImapLogin | null> {
    const { upstreams, metrics } = this.#parts;
    const upstream = upstreams.get(login.backend);
    if (upstream === undefined) throw new Error(`there is no backend ${login.backend}`);
    const { address, port, localAddress, localPort } = this.#connection.peer;
    const client = { address, port, localAddress, localPort, sessionId: this.#connection.sessionId };
    try {
      return await logInToImap(upstream, login, client, { signal: this.#gone.signal });
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (!this.#gone.signal.aborted) {
        metrics.upstreamErrors.inc({ backend: error.backend, kind: error.kind });
        this.#logger.error(
          { backend: error.backend, kind: error.kind, detail: error.message },
          'backend leg failed',
        );
      }
      return null;
    }
  }

  /** Everything from the registry to the end of the session. Answers the outcome once the client has its reply. */
  #begin(
    login: VerifiedLogin,
    upstream: ImapLogin & { kind: 'logged-in' },
    name: string,
    mechanism: string,
  ): string {
    const { registry, verifier, now } = this.#parts;
    const { socket, peer, sessionId } = this.#connection;
    this.#upstream = upstream.socket;
    // The client left, the deadline passed or the process drains: a success told now would be told to nobody.
    if (this.#gone.signal.aborted || this.#state.name !== 'verifying') {
      upstream.socket.destroy();
      return 'gone';
    }
    const session: Session = {
      id: sessionId,
      protocol: 'imap',
      login,
      peerAddress: peer.address,
      since: now(),
      end: (reason) => this.end(reason),
    };
    const late = admit();
    if (late !== null) {
      upstream.socket.on('error', () => {});
      upstream.socket.destroy();
      return this.#turnAway(late, name, mechanism);
    }

    clearTimeout(this.#deadline);
    this.#sets.unauthenticated.delete(this);
    this.#sets.sessions.add(this);
    socket.off('data', this.#onData).off('end', this.#onEnd);
    this.#advance({ type: 'accepted', capabilities: upstream.capabilities, text: 'Logged in' });
    this.#logger.info(
      {
        account: login.address,
        credential: login.credentialId.toString('hex'),
        mechanism,
        client: this.#clientName,
      },
      'IMAP session begins',
    );
    void this.#splice(session, upstream);
    return 'verified';

    function admit(): LateRefusal | null {
      if (registry.register(session) === 'too-many') return { kind: 'too-many-sessions' };
      if (verifier.stillValid(login)) return null;
      registry.remove(session);
      return { kind: 'revoked-meanwhile' };
    }
  }

  async #splice(session: Session, upstream: ImapLogin & { kind: 'logged-in' }): Promise<void> {
    const { metrics, registry, config, now } = this.#parts;
    metrics.sessions.inc({ protocol: 'imap' });
    const result = await splice(session.login, this.#connection.socket, upstream.socket, {
      fromClient: this.#leftover,
      fromUpstream: upstream.leftover,
      idleTimeMs: config.limits.idleTimeMs,
    });
    registry.remove(session);
    this.#sets.sessions.delete(this);
    metrics.sessions.dec({ protocol: 'imap' });
    metrics.bytes.inc({ protocol: 'imap', direction: 'up' }, result.bytesUp);
    metrics.bytes.inc({ protocol: 'imap', direction: 'down' }, result.bytesDown);
    this.#logger.info(
      {
        account: session.login.address,
        ended: this.#endedBecause ?? result.ended,
        seconds: Math.round((now() - session.since) / 1_000),
        bytesUp: result.bytesUp,
        bytesDown: result.bytesDown,
      },
      'IMAP session ends',
    );
  }

  #turnAway(verdict: RefusedVerdict | LateRefusal, name: string, mechanism: string): string {
    const { replies } = this.#parts;
    const refusal = replies.refusal(verdict, {
      protocol: 'imap',
      name,
      network: this.#connection.peer.network,
    });
    this.#logger.info(
      {
        account: printable(name),
        outcome: refusal.outcome,
        reason: verdict.kind === 'rejected' ? verdict.reason : verdict.kind,
        mechanism,
        client: this.#clientName,
      },
      'IMAP login refused',
    );
    this.#refuse(refusal.imap);
    return refusal.outcome;
  }

  #refuse(refusal: Omit<ImapRefusal, 'code'> & { readonly code: string }): void {
    this.#advance({ type: 'refused', refusal });
    // A login pipelined behind this one is under way already.
    if (this.#state.name !== 'verifying') this.#connection.socket.resume();
  }
}
