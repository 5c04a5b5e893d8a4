import {
  type ClearTextEffect,
  type ClearTextEvent,
  type ClearTextState,
  startClearText,
  stepClearText,
} from '../../protocol/smtp/clear-text.ts';
import type { Connection } from '../door/door.ts';
import { closeInTime } from '../farewell.ts';

/** The client's side of a connection in clear text, until STARTTLS. */
export class ClearLeg {
  readonly #connection: Connection;
  readonly #onSecured: (connection: Connection) => void;
  readonly #onClosed: () => void;
  #state: ClearTextState;
  #written: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Exactly one of the two callbacks is called, once. */
  constructor(
    connection: Connection,
    hostname: string,
    on: { readonly secured: (connection: Connection) => void; readonly closed: () => void },
  ) {
    this.#connection = connection;
    this.#onSecured = on.secured;
    this.#onClosed = on.closed;
    this.#state = startClearText(hostname);
  }

  begin(): void {
    const { socket } = this.#connection;
    socket.on('data', this.#onData).once('end', this.#onEnd).once('close', this.#onClose);
    this.#advance({ type: 'connected' });
  }

  /** The time to log in has passed. In a handshake nothing is said. */
  expire(): void {
    this.#leave({ type: 'expired' });
  }

  drain(): void {
    if (this.#state.name === 'commands') this.#advance({ type: 'draining' });
  }

  /** Both directions, at once. */
  destroy(): void {
    this.#isClosed = true;
    this.#connection.socket.destroy();
  }

  #leave(event: ClearTextEvent): void {
    if (this.#state.name === 'upgrading') this.destroy();
    else this.#advance(event);
  }

  #advance(event: ClearTextEvent): void {
    const next = stepClearText(this.#state, event);
    this.#state = next.state;
    for (const effect of next.effects) this.#perform(effect);
  }

  #perform(effect: ClearTextEffect): void {
    const { socket } = this.#connection;
    switch (effect.type) {
      case 'send':
        this.#written = new Promise((resolve) => {
          socket.write(effect.bytes, () => resolve());
        });
        return;
      case 'start-tls':
        socket.off('data', this.#onData).off('end', this.#onEnd).pause();
        void this.#secure();
        return;
      case 'close':
        socket.off('data', this.#onData);
        socket.end();
        socket.resume();
        closeInTime(socket);
        return;
      default:
        effect satisfies never;
    }
  }

  async #secure(): Promise<void> {
    await this.#written;
    const secured = this.#isClosed ? null : await this.#connection.secure();
    if (secured === null || this.#isClosed) {
      secured?.socket.destroy();
      this.#connection.socket.destroy();
      this.#close();
      return;
    }
    this.#connection.socket.off('close', this.#onClose);
    this.#onSecured(secured);
  }

  #close(): void {
    this.#isClosed = true;
    this.#connection.socket.off('close', this.#onClose);
    this.#onClosed();
  }

  readonly #onData = (bytes: Buffer): void => this.#advance({ type: 'received', bytes });
  readonly #onEnd = (): void => {
    this.#connection.socket.end();
  };
  readonly #onClose = (): void => {
    this.#isClosed = true;
    // A handshake under way tells of it itself.
    if (this.#state.name !== 'upgrading') this.#onClosed();
  };
}
