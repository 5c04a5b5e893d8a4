import type { Socket } from 'node:net';

/** The most that goes into one write: a TLS record of a backend with TLS. */
export const writeBytes = 16_384;

/**
 * Lets small writes of one turn of the event loop leave together: a pipelined envelope, or the last piece of a message
 * with its end.
 */
export class GatheringWriter {
  readonly #socket: Socket;
  #gathered = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** At most {@link writeBytes}. */
  write(bytes: Buffer): void {
    if (this.#gathered + bytes.length > writeBytes) this.flush();
    if (this.#gathered === 0) {
      this.#socket.cork();
      process.nextTick(this.flush);
    }
    this.#gathered += bytes.length;
    this.#socket.write(bytes);
  }

  readonly flush = (): void => {
    if (this.#gathered > 0) this.#socket.uncork();
    this.#gathered = 0;
  };
}
