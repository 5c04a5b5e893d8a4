import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';

export interface ServerCertificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Says what a test wants said, line by line, on a real port, and keeps every byte it was told. */
export class ScriptedBackend {
  readonly sockets: Socket[] = [];
  /** Of all connections, inside TLS where that stands. */
  received = '';
  /** Of each new connection; null: nothing. A function decides anew each time. */
  greeting: string | null | (() => string | null) = '* OK [CAPABILITY IMAP4rev1 SASL-IR] ready\r\n';
  /** What to answer to a line; null: nothing. */
  answer: (line: string, socket: Socket) => string | null = logsIn;
  /** Called for a connection before anything is said, in place of the greeting. */
  onConnection: ((socket: Socket) => void) | null = null;
  readonly #server: Server;
  readonly #tls: ServerCertificate | null;

  private constructor(server: Server, tls: ServerCertificate | null) {
    this.#server = server;
    this.#tls = tls;
    server.on('connection', (socket) => {
      this.sockets.push(socket);
      socket.on('error', () => {});
      if (this.onConnection !== null) this.onConnection(socket);
      else if (tls === null) this.#converse(socket, true);
      else this.secure(socket, true);
    });
  }

  static async open(
    options: { readonly tls?: ServerCertificate; readonly host?: string; readonly port?: number } = {},
  ): Promise<ScriptedBackend> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedBackend(server, options.tls ?? null);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Begins TLS on a connection and goes on with the conversation in it. */
  secure(socket: Socket, greets: boolean, certificate = this.#tls): void {
    if (certificate === null) throw new Error('no certificate');
    socket.removeAllListeners('data');
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: createSecureContext(certificate),
    });
    secured.on('error', () => {});
    this.#converse(secured, greets);
  }

  #converse(socket: Socket, greets: boolean): void {
    let pending = '';
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.toString('latin1');
      pending += bytes.toString('latin1');
      for (;;) {
        const end = pending.indexOf('\r\n');
        if (end < 0) return;
        const line = pending.slice(0, end);
        pending = pending.slice(end + 2);
        const answer = this.answer(line, socket);
        if (answer !== null && socket.writable) socket.write(answer, 'latin1');
      }
    });
    const greeting = typeof this.greeting === 'function' ? this.greeting() : this.greeting;
    if (greets && greeting !== null) socket.write(greeting, 'latin1');
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A backend that takes every login. */
export function logsIn(line: string): string | null {
  const [tag = '', command = ''] = line.split(' ');
  switch (command.toUpperCase()) {
    case 'CAPABILITY':
      return `* CAPABILITY IMAP4rev1 SASL-IR\r\n${tag} OK done\r\n`;
    case 'ID':
      return `* ID NIL\r\n${tag} OK done\r\n`;
    case 'AUTHENTICATE':
      return `${tag} OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n`;
    case 'LOGOUT':
      return `* BYE\r\n${tag} OK done\r\n`;
    default:
      return `${tag} BAD what\r\n`;
  }
}
