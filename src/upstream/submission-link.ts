import type { Socket } from 'node:net';
import { errorText } from '../observability/error-text.ts';
import type { MailOrder, RcptOrder } from '../protocol/smtp/envelope.ts';
import type { Extensions } from '../protocol/smtp/extensions.ts';
import type { Reply } from '../protocol/smtp/reply.ts';
import { stepSubmission } from '../protocol/smtp/submission-client.ts';
import type {
  SubmissionEffect,
  SubmissionEvent,
  SubmissionState,
} from '../protocol/smtp/submission-state.ts';
import { startTls } from './dial.ts';
import type { UpstreamLink } from './opening.ts';
import type { SubmissionTimes } from './submission-times.ts';
import { GatheringWriter, writeBytes } from './submission-writer.ts';
import { UpstreamError, type UpstreamErrorKind } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** For the backend to read QUIT and close. */
const farewellMs = 5_000;

/** What waits for the machine: an answer, or room to write. */
interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

interface SubmissionParts {
  readonly upstream: Upstream;
  readonly socket: Socket;
  readonly state: SubmissionState;
  readonly times: SubmissionTimes;
  readonly openSignal: AbortSignal;
}

/**
 * One logged-in connection to the backend, for one transaction after the other. Orders come one at a time, but
 * {@link envelope} as often as wanted; they fail with {@link UpstreamError} once the connection is lost, with any other
 * error after a fault of ours. Only {@link finish} ends a message.
 */
export class SubmissionLink implements UpstreamLink {
  readonly #parts: Omit<SubmissionParts, 'socket' | 'state'>;
  #socket: Socket;
  #writer: GatheringWriter;
  #state: SubmissionState;
  #extensions: Extensions = new Map();
  #announced = false;
  #failure: unknown = null;
  #opening: Waiter<void> | null = null;
  /** Of the orders without a reply, the oldest first. */
  #answers: Waiter<Reply>[] = [];
  #room: Waiter<void> | null = null;
  #early: Reply | null = null;
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(parts: SubmissionParts) {
    this.#parts = parts;
    this.#socket = parts.socket;
    this.#writer = new GatheringWriter(parts.socket);
    this.#state = parts.state;
  }

  /** Keywords of the last EHLO in capitals, with their parameters. */
  get extensions(): Extensions {
    return this.#extensions;
  }

  /** The backend took the client's address by XCLIENT. */
  get isAnnounced(): boolean {
    return this.#announced;
  }

  /** No order can succeed any more. */
  get isOver(): boolean {
    return this.#state.name === 'over';
  }

  /** Since the login, commands and replies included. */
  get counts(): { readonly bytesUp: number; readonly bytesDown: number } {
    return { bytesUp: this.#bytesUp, bytesDown: this.#bytesDown };
  }

  /** Runs the dialogue up to the answer to AUTH. Once, first. */
  async open(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    await new Promise<void>((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#attach();
    });
  }

  /** MAIL, or RCPT without waiting for what went before; replies come in the same order. */
  async envelope(command: MailOrder | RcptOrder): Promise<Reply> {
    return await this.#ask({ type: 'envelope', command }, this.#parts.times.commandMs);
  }

  /** 354 in the reply opens the message; then {@link write} and {@link finish}. */
  async data(): Promise<Reply> {
    return await this.#ask({ type: 'data' }, this.#parts.times.commandMs);
  }

  /**
   * Sends a piece of the message as a message reader gives it; then {@link room} may have to be waited for. A reply: the
   * backend refused before the end, and the connection is cut. Throws what the others reject with.
   */
  write(bytes: Buffer): Reply | null {
    for (let at = 0; at < bytes.length && this.#failure === null; at += writeBytes) {
      this.#advance({ type: 'body', bytes: bytes.subarray(at, at + writeBytes) });
    }
    if (this.#early === null && this.#failure !== null) throw this.#failure;
    return this.#early;
  }

  get isFull(): boolean {
    return this.#failure === null && this.#socket.writableNeedDrain;
  }

  /** Resolves when there is room for more of the message, or nothing left to write to. */
  async room(): Promise<void> {
    if (!this.isFull) return;
    await this.#waiting<void>(this.#parts.times.commandMs, (waiter) => {
      this.#room = waiter;
    }).catch(() => undefined);
  }

  /** Ends the message. A rejection leaves open whether the backend has it. */
  async finish(): Promise<Reply> {
    if (this.#early !== null) return this.#early;
    return await this.#ask({ type: 'end-of-body' }, this.#parts.times.finalMs);
  }

  async reset(): Promise<Reply> {
    return await this.#ask({ type: 'reset' }, this.#parts.times.commandMs);
  }

  /** Says goodbye and closes; {@link cut} where an answer or the end of a message is still due. */
  quit(): void {
    if (this.#failure !== null) return;
    if (this.#state.name !== 'idle') {
      this.cut();
      return;
    }
    this.#advance({ type: 'quit' });
    this.#socket.setTimeout(farewellMs, () => this.#socket.destroy());
  }

  /** Closes at once. A message under way is not ended, so that the backend drops it (wire 100, S-57). */
  cut(error = this.#error('closed', 'cut by the gateway')): void {
    this.#fail(error);
  }

  async #ask(event: SubmissionEvent, timeMs: number): Promise<Reply> {
    if (this.#failure !== null) throw this.#failure;
    return await this.#waiting<Reply>(timeMs, (waiter) => {
      this.#answers.push(waiter);
      this.#advance(event);
    });
  }

  #waiting<T>(timeMs: number, begin: (waiter: Waiter<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail(this.#error('timeout', 'the backend did not answer in time'));
      }, timeMs);
      begin({
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });
  }

  #advance(event: SubmissionEvent): void {
    try {
      const next = stepSubmission(this.#state, event);
      this.#state = next.state;
      for (const effect of next.effects) this.#perform(effect);
    } catch (error) {
      // A fault of ours must end this connection, not the process (S-14), and not blame the backend.
      this.#fail(error);
    }
  }

  #perform(effect: SubmissionEffect): void {
    switch (effect.type) {
      case 'send':
        this.#bytesUp += effect.bytes.length;
        this.#writer.write(effect.bytes);
        return;
      case 'start-tls':
        this.#startTls();
        return;
      case 'ready':
        this.#extensions = effect.extensions;
        this.#announced = effect.announced;
        this.#bytesUp = 0;
        this.#bytesDown = 0;
        this.#opening?.resolve();
        this.#opening = null;
        return;
      case 'replied':
        this.#replied(effect.reply);
        return;
      case 'failed':
        this.#fail(this.#error(effect.kind, effect.detail));
        return;
      case 'end':
        this.#socket.end();
        return;
      default:
        effect satisfies never;
    }
  }

  #replied(reply: Reply): void {
    const answer = this.#answers.shift();
    if (answer !== undefined) {
      answer.resolve(reply);
      if (this.isOver) this.cut();
      return;
    }
    this.#early = reply;
    this.#room?.resolve();
    this.#room = null;
    this.cut();
  }

  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#state = { name: 'over' };
    this.#detach();
    // A socket destroyed here may still report; nobody is left to hear it.
    this.#socket.on('error', () => {});
    this.#socket.destroy();
    for (const waiter of [this.#opening, ...this.#answers, this.#room]) waiter?.reject(error);
    this.#opening = null;
    this.#answers = [];
    this.#room = null;
  }

  #startTls(): void {
    this.#detach();
    startTls(this.#socket, this.#parts.upstream, 'smtp', { signal: this.#parts.openSignal }).then(
      (secured) => {
        if (this.#failure !== null) {
          secured.destroy();
          return;
        }
        this.#socket = secured;
        this.#writer = new GatheringWriter(secured);
        this.#attach();
        this.#advance({ type: 'tls-established' });
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #error(kind: UpstreamErrorKind, message: string, cause?: unknown): UpstreamError {
    return new UpstreamError(this.#parts.upstream.backend.name, kind, message, { cause });
  }

  readonly #onData = (bytes: Buffer): void => {
    this.#bytesDown += bytes.length;
    this.#advance({ type: 'received', bytes });
  };
  readonly #onEnd = (): void => this.#advance({ type: 'ended' });
  readonly #onError = (error: Error): void => this.#fail(this.#error('closed', errorText(error), error));
  readonly #onDrain = (): void => {
    this.#room?.resolve();
    this.#room = null;
  };

  #attach(): void {
    this.#socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('close', this.#onEnd)
      .on('error', this.#onError)
      .on('drain', this.#onDrain);
    this.#socket.resume();
  }

  #detach(): void {
    this.#writer.flush();
    this.#socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('close', this.#onEnd)
      .off('error', this.#onError)
      .off('drain', this.#onDrain);
    this.#socket.pause();
  }
}
