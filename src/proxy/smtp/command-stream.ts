import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import {
  type BareNewlines,
  type MessageReader,
  type ReadMessage,
  readMessage,
  startMessage,
} from '../../protocol/smtp/message-reader.ts';

/** Takes a message piece by piece; a promise asks for a pause and does not reject. */
export interface MessageSink {
  take(read: ReadMessage): Promise<void> | null;
}

type Next = (error?: Error | null) => void;

/**
 * The seam to smtp-server's byte path: it reads the commands, ours reads messages. smtp-server 18: its own data reader
 * un-stuffs behind a bare LF, hands on bare line ends, and costs three times as much.
 */
export class CommandStream extends SMTPStream {
  readonly #bareNewlines: BareNewlines;
  #reader: MessageReader;
  #sink: MessageSink | null = null;
  #isPaused = false;
  #continue: (() => void) | null = null;

  constructor(bareNewlines: BareNewlines) {
    // A line and a read at most are held of a client that has not logged in (S-03).
    super({ maxCommandLength: smtpLimits.inputLineBytes, highWaterMark: 16_384 });
    this.#bareNewlines = bareNewlines;
    this.#reader = startMessage(bareNewlines);
  }

  /** The client owes the rest of a message. */
  get isInMessage(): boolean {
    return this.#sink !== null;
  }

  /** It is not the client that we wait for: the sink has no room, or the message is complete. */
  get isWaitingForSink(): boolean {
    return this.#isPaused || this.#continue !== null;
  }

  /** From here on the client's bytes are a message; behind its end nothing is read before {@link continue}. */
  receive(sink: MessageSink): void {
    this.#sink = sink;
    this.#reader = startMessage(this.#bareNewlines);
    // Makes the reader of commands hand over what it has read behind DATA.
    this._dataMode = true;
  }

  override continue(): void {
    const next = this.#continue;
    this.#continue = null;
    next?.();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding | 'buffer', next: Next): void {
    if (this.#sink === null) super._write(chunk, encoding, next);
    else if (this.isClosed) next();
    else this.#read(this.#sink, chunk, next);
  }

  #read(sink: MessageSink, chunk: Buffer, next: Next): void {
    const read = readMessage(this.#reader, chunk);
    this.#reader = read.reader;
    const { rest } = read;
    const pause = sink.take(read);
    if (rest !== null) {
      this.#sink = null;
      this._dataMode = false;
      this.#continue = () => super._write(rest, 'buffer', next);
      return;
    }
    if (pause === null) {
      next();
      return;
    }
    this.#isPaused = true;
    void pause.then(() => {
      this.#isPaused = false;
      next();
    });
  }
}
