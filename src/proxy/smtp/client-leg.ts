import type { SMTPServer } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import { isForeignProtocol } from '../../protocol/foreign-protocol.ts';
import { offeredMechanisms } from '../../protocol/sasl/offered.ts';
import { type AuthStep, beginAuth, continueAuth } from '../../protocol/smtp/auth-exchange.ts';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import type { BareNewlines } from '../../protocol/smtp/message-reader.ts';
import { type ClientReply, encodeReply } from '../../protocol/smtp/reply.ts';
import type { Connection } from '../door/door.ts';
import { CommandStream } from './command-stream.ts';
import type { MessageTransfer } from './message-transfer.ts';
import { ReplyQueue } from './reply-queue.ts';

// Here and in command-stream.ts smtp-server is bent, nowhere else (docs/wire.md). It keeps the command reader, the dispatch,
// the limits of unknown and unauthenticated commands and the time-outs; what it decodes leniently, answers by itself or
// does not tell is overridden by the methods its types declare. Its version is pinned exactly.

/** What a client leg asks of the door: one at a time, but {@link mail} and {@link rcpt} without waiting. Nothing rejects. */
export interface Conversation {
  /** `name` is the argument of EHLO or HELO as sent, Latin-1, printable or not. */
  greeted(name: string, extended: boolean): void;
  /** 235 in the reply makes the client logged in. */
  logIn(step: AuthStep & { kind: 'credentials' | 'nameless' }): Promise<ClientReply>;
  mail(line: Buffer): Promise<ClientReply>;
  rcpt(line: Buffer): Promise<ClientReply>;
  /** null: the backend waits for the message. */
  data(): Promise<ClientReply | null>;
  /** Behind 354: where the message goes. */
  message(): MessageTransfer;
  /** The list behind EHLO without AUTH. */
  announced(): Promise<readonly string[]>;
  /** RSET, and EHLO or HELO again. */
  reset(): Promise<void>;
  /** A reason to say goodbye now, between two commands. */
  goodbye(): ClientReply | null;
  /** The client is gone or going. May be called again. */
  closed(): void;
}

/** Marks an enhanced code in smtp-server's `context`, where it passes command names in capitals. */
const given = 'given:';

const tooManyErrors: ClientReply = { code: 421, enhanced: '4.7.0', text: 'Too many errors' };
const notForBrowsers: ClientReply = { code: 421, enhanced: '4.7.0', text: 'HTTP requests not allowed' };
const noChunking: ClientReply = { code: 502, enhanced: '5.5.1', text: 'CHUNKING is not offered' };

/** What all connections of a door share: one `smtp-server`, which never listens. */
export interface LegServer extends SMTPServer {
  readonly bareNewlines: BareNewlines;
}

/** The client's side of one connection. */
export class ClientLeg extends SMTPConnection {
  readonly #conversation: Conversation;
  readonly #isGreeted: boolean;
  readonly #replies: ReplyQueue;
  #transfer: MessageTransfer | null = null;

  constructor(
    server: LegServer,
    { socket, peer, sessionId }: Connection,
    conversation: Conversation,
    isGreeted: boolean,
  ) {
    super(server, socket, {
      id: sessionId,
      remoteAddress: peer.address,
      remotePort: peer.port,
      localAddress: peer.localAddress,
      localPort: peer.localPort,
    });
    this.#conversation = conversation;
    this.#isGreeted = isGreeted;
    this.#replies = new ReplyQueue(smtpLimits.pipelinedCommands, (reply) => {
      this.say(reply);
      if (this.#replies.isEmpty) this.#sayGoodbye();
    });
  }

  /** Answers outside of a command; 421 closes. Nothing once the client is gone. */
  say(reply: ClientReply): void {
    if (this._closing || this._closed) return;
    this.send(reply.code, reply.text, `${given}${reply.enhanced}`);
  }

  destroy(): void {
    this._socket.destroy();
  }

  // smtp-server 13: no pause before the greeting; scanners give up early and it costs every message 100 ms.
  override init(): void {
    this._setListeners(() => this.connectionReady());
  }

  override _sendGreeting(): void {
    if (!this.#isGreeted) super._sendGreeting();
  }

  override _createParser(): CommandStream {
    // Called by the constructor of the base, when nothing of ours is set.
    const parser = new CommandStream((this._server as LegServer).bareNewlines);
    parser.oncommand = (command, callback) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, error.message));
    // Its own listener would run the line that a vanished client did not finish.
    parser.removeAllListeners('finish');
    parser.on('finish', () => {
      if (parser.isInMessage) this.destroy();
      else this.close();
    });
    return parser;
  }

  // smtp-server 7: MAIL and RCPT that came together go to the backend together; whatever else comes waits for their replies.
  override _onCommand(command: Buffer, callback?: () => void): void {
    if (isForeignProtocol(command)) {
      this.say(notForBrowsers);
      return;
    }
    const verb = command.toString('latin1', 0, 5).toUpperCase();
    if (this._nextHandler === false && verb === 'BDAT ') {
      // What follows it is not a command (smtp-server 1).
      this.say(noChunking);
      this.close();
      return;
    }
    const isEnvelope = verb === 'MAIL ' || verb === 'RCPT ';
    if (isEnvelope && this.session.user) super._onCommand(command, callback);
    else this.#replies.whenEmpty(() => super._onCommand(command, callback));
  }

  // RFC 5321 4.5.3.2: the clock of the client stands while it waits for us.
  override _onTimeout(): void {
    const isOurTurn =
      this._handlerPending || !this.#replies.isEmpty || this.#stream?.isWaitingForSink === true;
    if (this._closing) super._onTimeout();
    else if (isOurTurn) this._armTimeout();
    else this.say({ code: 421, enhanced: '4.4.2', text: 'Timeout' });
  }

  // smtp-server 3, wire 83: the enhanced code of a reply of ours is said, and said once.
  override _getEnhancedStatusCode(code: number, context?: string | false): string {
    if (typeof context === 'string' && context.startsWith(given)) return context.slice(given.length);
    // Else it may be a word of the client's, which would be looked up among names of codes.
    return super._getEnhancedStatusCode(code, context === false ? false : undefined);
  }

  // Every byte to the client goes through here (S-10). smtp-server's own would not answer a client that has closed its
  // sending side and waits for the reply to its message, and says 4.4.2 for every 421 (wire 82).
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const lines = Array.isArray(data) ? data : [data ?? ''];
    const isOwn = typeof context === 'string' && context.startsWith(given);
    const enhanced = this._getEnhancedStatusCode(code, code === 421 && !isOwn ? `${given}4.7.0` : context);
    if (this._socket.writable) this._socket.write(encodeReply(code, enhanced, lines));
    if (code === 421) this.close();
  }

  // smtp-server 2, 9, wire 80: the list of every moment; scanners and printers send no name, or one with spaces.
  override handler_EHLO(command: Buffer, callback: () => void): void {
    void this.#greet(command, 'EHLO').then(async () => {
      const auth = this.session.user ? [] : [`AUTH ${offeredMechanisms.join(' ')}`];
      const announced = await this.#conversation.announced();
      this.send(250, [this.name, ...announced, ...auth], false);
      this.#next(callback);
    });
  }

  override handler_HELO(command: Buffer, callback: () => void): void {
    void this.#greet(command, 'HELO').then(() => {
      this.send(250, this.name, false);
      this.#next(callback);
    });
  }

  // smtp-server 11: strict base64, bytes instead of UTF-8, the authcid and nothing in its place.
  override handler_AUTH(command: Buffer, callback: () => void): void {
    if (this.session.user) {
      this.#answer({ code: 503, enhanced: '5.5.1', text: 'Already authenticated' }, callback);
    } else {
      this.#authenticate(beginAuth(command), callback);
    }
  }

  // smtp-server 4, 8: the backend's own reply, and the address as the client wrote it.
  override handler_MAIL(command: Buffer, callback: () => void): void {
    this.#replies.add(this.#conversation.mail(command), callback);
  }

  override handler_RCPT(command: Buffer, callback: () => void): void {
    this.#replies.add(this.#conversation.rcpt(command), callback);
  }

  // smtp-server 5: 354 only after the backend's.
  override handler_DATA(_command: Buffer, callback: () => void): void {
    void this.#conversation.data().then((refusal) => {
      if (refusal !== null) this.#answer(refusal, callback);
      else void this.#receive(callback);
    });
  }

  // smtp-server 12, RFC 5321 7.3: neither yes nor no.
  override handler_VRFY(_command: Buffer, callback: () => void): void {
    this.#answer({ code: 252, enhanced: '2.0.0', text: 'Cannot verify' }, callback);
  }

  // smtp-server 6: the backend is told.
  override handler_RSET(command: Buffer, callback: () => void): void {
    void this.#conversation.reset().then(() => super.handler_RSET(command, () => this.#next(callback)));
  }

  override close(): void {
    super.close();
    this.#gone();
  }

  override _onClose(): void {
    super._onClose();
    this.#gone();
  }

  get #stream(): CommandStream | null {
    return this._parser instanceof CommandStream ? this._parser : null;
  }

  #gone(): void {
    this.#transfer?.abandon();
    this.#conversation.closed();
  }

  async #greet(command: Buffer, verb: 'EHLO' | 'HELO'): Promise<void> {
    const name = command.toString('latin1', verb.length).trim().slice(0, smtpLimits.heloBytes);
    this.#conversation.greeted(name, verb === 'EHLO');
    this.hostNameAppearsAs = name === '' ? 'unknown' : name;
    await this.#conversation.reset();
    this._resetSession();
  }

  #authenticate(step: AuthStep, callback: () => void): void {
    switch (step.kind) {
      case 'challenge':
        this._nextHandler = (line, proceed) => this.#authenticate(continueAuth(step.exchange, line), proceed);
        this.send(334, step.text);
        callback();
        return;
      case 'refused':
        // smtp-server 10: free to send, so they count like unknown commands.
        this._unrecognizedCommands++;
        this.say(this._unrecognizedCommands < smtpLimits.errors ? step.reply : tooManyErrors);
        callback();
        return;
      case 'credentials':
      case 'nameless':
        this.#answer(
          this.#conversation.logIn(step).then((reply) => {
            if (reply.code === 235) this.session.user = this.id;
            return reply;
          }),
          callback,
        );
        return;
      default:
        step satisfies never;
    }
  }

  async #receive(callback: () => void): Promise<void> {
    const stream = this.#stream;
    if (stream === null || this._closing) {
      callback();
      return;
    }
    const transfer = this.#conversation.message();
    this.#transfer = transfer;
    stream.receive(transfer);
    this.send(354, 'End data with <CR><LF>.<CR><LF>');
    callback();
    const reply = await transfer.done;
    this.#transfer = null;
    if (reply !== null) this.say(reply);
    this._unrecognizedCommands = 0;
    this._resetSession();
    this.#next(() => stream.continue());
  }

  #answer(reply: ClientReply | Promise<ClientReply>, callback: () => void): void {
    void Promise.resolve(reply).then((said) => {
      this.say(said);
      this.#next(callback);
    });
  }

  #next(callback: () => void): void {
    this.#sayGoodbye();
    callback();
  }

  #sayGoodbye(): void {
    const goodbye = this.#conversation.goodbye();
    if (goodbye !== null) this.say(goodbye);
  }
}
