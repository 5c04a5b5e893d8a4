import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';

/** A message as it stood on the wire: everything behind 354 up to and including the end of data. */
export interface SunkMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
}

/** A line for the command, or what else to do. `MESSAGE` stands for the end of data. */
export type SinkAnswer = string | 'cut' | 'nothing' | null;

export interface SinkTls {
  readonly mode: 'implicit' | 'starttls';
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A submission server that speaks SMTP, keeps every byte, and misbehaves when told. Loopback only. */
export class Sink {
  readonly messages: SunkMessage[] = [];
  /** Command lines of all connections, in order; AUTH without its argument. */
  readonly commands: string[] = [];
  readonly authzids: string[] = [];
  readonly sessions: SinkSession[] = [];
  extensions: readonly string[] = ['PIPELINING', 'SIZE 100000000', '8BITMIME', 'AUTH PLAIN LOGIN'];
  /** null takes the usual answer. May wait. */
  answer: (command: string, session: SinkSession) => SinkAnswer | Promise<SinkAnswer> = () => null;
  readonly tls: SinkTls | null;
  readonly #server: Server;
  /** Those that failed at TLS too. */
  readonly #raw: Socket[] = [];

  constructor(tls: SinkTls | null = null) {
    this.tls = tls;
    const accept = (socket: Socket) => {
      this.sessions.push(new SinkSession(this, socket));
    };
    this.#server =
      tls?.mode === 'implicit'
        ? createTlsServer({ allowHalfOpen: true, noDelay: true, cert: tls.cert, key: tls.key }, accept)
        : createServer({ allowHalfOpen: true, noDelay: true }, accept);
    this.#server.on('connection', (socket: Socket) => this.#raw.push(socket));
  }

  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are still open. */
  get open(): number {
    return this.sessions.filter((session) => !session.socket.closed).length;
  }

  async close(): Promise<void> {
    for (const socket of this.#raw) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export class SinkSession {
  socket: Socket;
  readonly #sink: Sink;
  #input = '';
  #inMessage = false;
  #from = '';
  #to: string[] = [];
  #isBusy = false;
  #next: ((line: string) => string) | null = null;
  /** Behind the last `AUTH PLAIN`. */
  authArgument = '';

  constructor(sink: Sink, socket: Socket) {
    this.#sink = sink;
    this.socket = socket;
    this.#attach();
    void this.#say('CONNECT', '220 sink ESMTP');
  }

  #attach(): void {
    const { socket } = this;
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (bytes) => {
      this.#input += bytes.toString('latin1');
      void this.#work();
    });
  }

  #secure(): void {
    const { tls } = this.#sink;
    if (tls === null) return;
    this.socket.removeAllListeners('data');
    this.socket = new TLSSocket(this.socket, { isServer: true, cert: tls.cert, key: tls.key });
    this.#attach();
  }

  /** Command lines that wait behind the one that is being answered. */
  get waiting(): string {
    return this.#inMessage ? '' : this.#input;
  }

  /** The next line is no command, and answered so. */
  expect(answer: (line: string) => string): void {
    this.#next = answer;
  }

  /** What has come of a message that has no end yet. */
  get unfinished(): string {
    return this.#inMessage ? this.#input : '';
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#inMessage ? await this.#message() : await this.#command());
    this.#isBusy = false;
  }

  async #message(): Promise<boolean> {
    const end = this.#input.startsWith('.\r\n') ? 0 : this.#input.indexOf('\r\n.\r\n') + 2;
    if (end === 1) return false;
    const raw = this.#input.slice(0, end + 3);
    this.#input = this.#input.slice(raw.length);
    this.#inMessage = false;
    const { messages } = this.#sink;
    const message = { from: this.#from, to: this.#to, raw };
    if (await this.#say('MESSAGE', `250 2.0.0 Ok: queued as Q${messages.length + 1}`)) messages.push(message);
    return true;
  }

  async #command(): Promise<boolean> {
    const end = this.#input.indexOf('\r\n');
    if (end === -1) return false;
    const line = this.#input.slice(0, end);
    this.#input = this.#input.slice(end + 2);
    if (this.#next !== null) {
      this.socket.write(`${this.#next(line)}\r\n`);
      this.#next = null;
      return true;
    }
    const verb = line.split(/[ :]/)[0]?.toUpperCase() ?? '';
    this.#sink.commands.push(verb === 'AUTH' ? 'AUTH' : line);
    switch (verb) {
      case 'EHLO':
        await this.#say(
          line,
          ['sink', ...this.#sink.extensions]
            .map((text, i, { length }) => `250${i + 1 < length ? '-' : ' '}${text}`)
            .join('\r\n'),
        );
        break;
      case 'AUTH': {
        this.authArgument = line.split(' ')[2] ?? '';
        const fields = Buffer.from(line.split(' ')[2] ?? '', 'base64')
          .toString()
          .split('\0');
        this.#sink.authzids.push(fields[0] ?? '');
        const isRight = fields[1] === 'gateway' && fields[2] === 'master-password';
        await this.#say('AUTH', isRight ? '235 2.7.0 ok' : '535 5.7.8 Error: authentication failed');
        break;
      }
      case 'STARTTLS':
        if (await this.#say(line, '220 2.0.0 Ready')) this.#secure();
        break;
      case 'XCLIENT':
        await this.#say(line, '220 sink ESMTP');
        break;
      case 'MAIL':
        if (await this.#say(line, '250 2.1.0 Sender ok')) this.#from = line.slice(10);
        break;
      case 'RCPT':
        if (await this.#say(line, '250 2.1.5 Recipient ok')) this.#to = [...this.#to, line.slice(8)];
        break;
      case 'RSET':
        this.#to = [];
        await this.#say(line, '250 2.0.0 Ok');
        break;
      case 'DATA':
        this.#inMessage = await this.#say(line, '354 End data with <CR><LF>.<CR><LF>');
        break;
      case 'QUIT':
        await this.#say(line, '221 2.0.0 Bye');
        this.socket.end();
        break;
      default:
        await this.#say(line, '500 5.5.2 what?');
    }
    return true;
  }

  /** Answers; true where the answer is the usual one. */
  async #say(command: string, usual: string): Promise<boolean> {
    const answer = await this.#sink.answer(command, this);
    if (answer === 'cut') this.socket.destroy();
    else if (answer !== 'nothing' && !this.socket.destroyed) this.socket.write(`${answer ?? usual}\r\n`);
    if (command === 'MESSAGE') this.#to = [];
    return answer === null;
  }
}
