import { once } from 'node:events';
import * as net from 'node:net';
import { connect, type TLSSocket } from 'node:tls';

const replyMs = 40_000;

/** A client that speaks lines over TLS, for dialogues whose exact words count. */
export class LineClient {
  readonly #socket: TLSSocket;
  #received = '';
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on('error', () => {});
  }

  /** `from`: another loopback address than 127.0.0.1 to come from. */
  static async connect(port: number, ca: Buffer, from = '127.0.0.1'): Promise<LineClient> {
    const tcp = net.connect({ port, host: '127.0.0.1', localAddress: from });
    const socket = connect({ socket: tcp, servername: 'localhost', ca });
    await once(socket, 'secureConnect');
    return new LineClient(socket);
  }

  send(line: string): void {
    this.#socket.write(`${line}\r\n`, 'latin1');
  }

  /** The next line without its CRLF; null once the server has closed. Throws where neither comes. */
  async line(): Promise<string | null> {
    const deadline = AbortSignal.timeout(replyMs);
    for (;;) {
      const end = this.#received.indexOf('\r\n');
      if (end >= 0) {
        const line = this.#received.slice(0, end);
        this.#received = this.#received.slice(end + 2);
        return line;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve;
        deadline.addEventListener(
          'abort',
          () => reject(new Error(`no line came; so far ${this.#received}`)),
          {
            once: true,
          },
        );
      });
    }
  }

  /** Sends an IMAP command and answers all lines up to its tagged response. */
  async imap(tag: string, command: string): Promise<readonly string[]> {
    this.send(`${tag} ${command}`);
    return await this.linesUntil((line) => line.startsWith(`${tag} `));
  }

  /** Sends an SMTP command and answers all lines of its reply. */
  async smtp(command: string): Promise<readonly string[]> {
    this.send(command);
    return await this.linesUntil((line) => /^\d{3} /.test(line));
  }

  /** Lines up to and with the first that fits; what came before the server closed when none does. */
  async linesUntil(isLast: (line: string) => boolean): Promise<readonly string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      if (line === null) return lines;
      lines.push(line);
      if (isLast(line)) return lines;
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
