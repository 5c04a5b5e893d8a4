import {
  type PreauthEffect,
  type PreauthEvent,
  type PreauthState,
  start,
  step,
} from '../../protocol/imap/preauth.ts';
import type { SaslCredentials } from '../../protocol/sasl/credentials.ts';
import { type ImapLink, openImap } from '../../upstream/imap.ts';
import type { Connection, DoorParts } from '../door/door.ts';
import { closeInTime } from '../farewell.ts';
import type { LiveSession } from '../live-session.ts';
import { type LoginResult, logIn } from '../login.ts';
import { splice } from '../splice.ts';

/** One client: drives the pre-auth machine, has it logged in, and hands both sockets to the splice. */
export class ImapConversation {
  readonly #parts: DoorParts;
  readonly #connection: Connection;
  readonly #onClosed: () => void;
  readonly #gone = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #state: PreauthState;
  #clientName: string | null = null;
  #session: LiveSession | null = null;
  #link: ImapLink | null = null;
  /** Client bytes behind the login command, for the backend. */
  #leftover: Buffer = Buffer.alloc(0);

  constructor(parts: DoorParts, connection: Connection, onClosed: () => void) {
    this.#parts = parts;
    this.#connection = connection;
    this.#onClosed = onClosed;
    this.#state = start(parts.config.hostname);
    // Whatever trickles in: nobody stays without a login (wire 151).
    this.#deadline = setTimeout(() => this.#advance({ type: 'expired' }), parts.config.limits.loginTimeMs);
  }

  begin(): void {
    const { socket } = this.#connection;
    socket.on('data', this.#onData).once('end', this.#onEnd).once('close', this.#onClose);
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
    this.#gone.abort();
    this.#connection.socket.destroy();
    this.#link?.cut();
  }

  readonly #onData = (bytes: Buffer): void => this.#advance({ type: 'received', bytes });
  readonly #onEnd = (): void => {
    this.#connection.socket.end();
  };
  readonly #onClose = (): void => {
    clearTimeout(this.#deadline);
    this.#gone.abort();
    if (this.#session === null) this.#onClosed();
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
        this.#clientName = effect.fields.get('name') ?? null;
        return;
      case 'log-in':
        void this.#logIn(effect.credentials, effect.mechanism);
        return;
      case 'malformed-login':
        void this.#logIn(null, effect.mechanism);
        return;
      case 'splice':
        this.#leftover = effect.leftover;
        return;
      case 'close':
        // The deadline or a drain may have come while a login was under way: it is given up.
        this.#gone.abort();
        closeInTime(socket);
        socket.destroySoon();
        return;
      default:
        effect satisfies never;
    }
  }

  async #logIn(credentials: SaslCredentials | null, mechanism: string): Promise<void> {
    const { socket, peer, sessionId } = this.#connection;
    // A client may pour data while the backend is slow (wire 58).
    socket.pause();
    await logIn(
      this.#parts,
      {
        protocol: 'imap',
        connection: this.#connection,
        credentials,
        mechanism,
        client: this.#clientName,
        gone: this.#gone.signal,
        open: (upstream, login, signal) =>
          openImap(upstream, login, { peer: { ...peer, sessionId, helo: null }, signal }),
        end: () => this.#cut(),
      },
      (result) => this.#answer(result),
    );
  }

  #answer(result: LoginResult<ImapLink>): void {
    switch (result.kind) {
      case 'gone':
        return;
      case 'refused': {
        const { imap, countsAsFailure } = result.refusal;
        this.#advance({ type: 'refused', refusal: imap, countsAsFailure });
        // A login pipelined behind this one is under way already.
        if (this.#state.name !== 'verifying') this.#connection.socket.resume();
        return;
      }
      case 'logged-in':
        this.#advance({ type: 'accepted', capabilities: result.link.capabilities, text: 'Logged in' });
        clearTimeout(this.#deadline);
        this.#session = result.session;
        this.#link = result.link;
        void this.#splice(result.session, result.link);
        return;
      default:
        result satisfies never;
    }
  }

  async #splice(session: LiveSession, link: ImapLink): Promise<void> {
    const { socket } = this.#connection;
    socket.off('data', this.#onData).off('end', this.#onEnd);
    const result = await splice(session.login, socket, link.socket, {
      fromClient: this.#leftover,
      fromUpstream: link.leftover,
      idleTimeMs: this.#parts.config.limits.idleTimeMs,
    });
    session.count(result);
    session.leave(result.ended);
    this.#onClosed();
  }
}
