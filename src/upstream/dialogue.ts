import type { Socket } from 'node:net';
import { errorText } from '../observability/error-text.ts';
import { dial, startTls } from './dial.ts';
import { endpointOf, type Leg } from './leg.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** What a server may say in all. */
const dialogueBytes = 64 * 1024;

/** A conversation in lines with one leg of a backend, for a few questions: nobody is logged in. */
export class Dialogue {
  readonly #upstream: Upstream;
  readonly #leg: Leg;
  readonly #signal: AbortSignal;
  #socket: Socket;
  #received = '';
  #bytes = 0;
  #failure: UpstreamError | null = null;
  #wake: () => void = () => {};

  private constructor(upstream: Upstream, leg: Leg, socket: Socket, signal: AbortSignal) {
    this.#upstream = upstream;
    this.#leg = leg;
    this.#signal = signal;
    this.#socket = socket;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#listen(socket);
  }

  /** Rejects with {@link UpstreamError}. */
  static async open(upstream: Upstream, leg: Leg, signal: AbortSignal): Promise<Dialogue> {
    return new Dialogue(upstream, leg, await dial(upstream, leg, { signal }), signal);
  }

  get isToBeSecured(): boolean {
    return endpointOf(this.#upstream, this.#leg).tls === 'starttls';
  }

  /** The next line without its end. Rejects with {@link UpstreamError} where none comes. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf('\n');
      if (end >= 0) {
        const line = this.#received.slice(0, end).replace(/\r$/, '');
        this.#received = this.#received.slice(end + 1);
        return line;
      }
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Lines up to and with the first that fits. */
  async linesUntil(isLast: (line: string) => boolean): Promise<readonly string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      lines.push(line);
      if (isLast(line)) return lines;
    }
  }

  /** `command` holds nothing of anybody else. */
  say(command: string): void {
    this.#socket.write(`${command}\r\n`, 'latin1');
  }

  /** After the server agreed. Rejects where more than that was said (wire 70), and where the certificate is not the right one. */
  async secure(): Promise<void> {
    if (this.#received !== '') throw this.#error('protocol', 'bytes behind the agreement to TLS');
    this.#socket.removeAllListeners('data').removeAllListeners('close').pause();
    this.#socket = await startTls(this.#socket, this.#upstream, this.#leg, { signal: this.#signal });
    this.#listen(this.#socket);
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#socket.destroy();
  }

  readonly #onAbort = (): void => this.#fail(this.#error('timeout', 'no answer in time'));

  #listen(socket: Socket): void {
    socket
      .on('data', (bytes: Buffer) => {
        this.#bytes += bytes.length;
        if (this.#bytes > dialogueBytes) this.#fail(this.#error('protocol', 'too much data'));
        else this.#received += bytes.toString('latin1');
        this.#wake();
      })
      .on('error', (error) => this.#fail(this.#error('closed', errorText(error))))
      .on('close', () => this.#fail(this.#error('closed', 'closed by the backend')))
      .on('end', () => this.#fail(this.#error('closed', 'closed by the backend')))
      .resume();
  }

  #fail(error: UpstreamError): void {
    this.#failure ??= error;
    this.#socket.destroy();
    this.#wake();
  }

  #error(kind: 'timeout' | 'closed' | 'protocol', message: string): UpstreamError {
    return new UpstreamError(this.#upstream.backend.name, kind, message);
  }
}
