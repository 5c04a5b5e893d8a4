import { SMTPServer } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import type { SMTPServerDataStream } from 'smtp-server/lib/types.js';
import { offeredMechanisms } from '../../protocol/sasl/offered.ts';
import { type AuthStep, beginAuth, continueAuth } from '../../protocol/smtp/auth-exchange.ts';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import { type ClientReply, encodeReply } from '../../protocol/smtp/reply.ts';
import type { Connection } from '../door/door.ts';

// The one place where smtp-server is bent (docs/wire.md). It keeps the command reader, the dispatch, the data reader, the
// limits of unknown and unauthenticated commands and the time-outs; what it decodes leniently, answers by itself or
// does not tell is overridden here by the methods its types declare. Its version is pinned exactly.

/** What a client leg asks of the door, one at a time. Nothing rejects. */
export interface Conversation {
  /** `name` is the argument of EHLO or HELO as sent, Latin-1, printable or not. */
  greeted(name: string, extended: boolean): void;
  /** 235 in the reply makes the client logged in. */
  logIn(step: AuthStep & { kind: 'credentials' | 'nameless' }): Promise<ClientReply>;
  mail(line: Buffer): Promise<ClientReply>;
  rcpt(line: Buffer): Promise<ClientReply>;
  /** null: the backend waits for the message. */
  data(): Promise<ClientReply | null>;
  /** Reads the message to its end, whatever it decides. null: nobody is left to be answered. */
  message(content: SMTPServerDataStream): Promise<ClientReply | null>;
  /** RSET, and EHLO or HELO again. */
  reset(): Promise<void>;
  /** A reason to say goodbye now, between two commands. */
  goodbye(): ClientReply | null;
  /** The client is gone or going. May be called again. */
  closed(): void;
}

/** Marks an enhanced code in smtp-server's `context`, where it passes command names in capitals. */
const given = 'given:';

/** As smtp-server counts unknown commands. */
const errorsBeforeClose = 10;
const tooManyErrors: ClientReply = { code: 421, enhanced: '4.7.0', text: 'Too many errors' };

/** RFC 5321 4.5.3.2.7: a server waits at least this long for a command. */
const idleMs = 5 * 60_000;

/** One `smtp-server` for all connections; it never listens. */
export class ClientLegs extends SMTPServer {
  constructor(options: { readonly hostname: string; readonly messageBytes: number }) {
    super({
      name: options.hostname,
      // TLS is the listener's: `secured` says that it is done.
      secure: true,
      secured: true,
      logger: false,
      size: options.messageBytes,
      socketTimeout: idleMs,
      authMethods: [...offeredMechanisms],
      authOptional: false,
      authRequiredMessage: 'Authentication required',
      heloResponse: '%s',
      hideENHANCEDSTATUSCODES: false,
      // Announced only when every backend has them and they are relayed (wire 73).
      hideSMTPUTF8: true,
      hideDSN: true,
      hideREQUIRETLS: true,
      // PTR names are the client's to choose, and asking for them delays the greeting (wire 89).
      disableReverseLookup: true,
      // It also counts the lines of an AUTH exchange; failed logins have their own, lower limit.
      maxAllowedUnauthenticatedCommands: 30,
      disabledCommands: ['HELP', 'WIZ', 'SHELL', 'KILL', 'LHLO', 'XCLIENT', 'XFORWARD'],
    });
    // Of single connections, long gone; the door hears of them by `closed`.
    this.on('error', () => {});
  }

  /** Greets the client and serves it from then on. */
  admit(connection: Connection, conversation: Conversation): ClientLeg {
    const leg = new ClientLeg(this, connection, conversation);
    this.connections.add(leg);
    leg.on('error', (error) => this._onError(error));
    leg.init();
    return leg;
  }
}

/** The client's side of one connection. */
export class ClientLeg extends SMTPConnection {
  readonly #conversation: Conversation;

  constructor(server: ClientLegs, { socket, peer, sessionId }: Connection, conversation: Conversation) {
    super(server, socket, {
      id: sessionId,
      remoteAddress: peer.address,
      remotePort: peer.port,
      localAddress: peer.localAddress,
      localPort: peer.localPort,
    });
    this.#conversation = conversation;
  }

  /** Answers outside of a command; 421 closes. Nothing once the client is gone. */
  say(reply: ClientReply): void {
    if (this._closing || this._closed) return;
    this.send(reply.code, reply.text, `${given}${reply.enhanced}`);
  }

  /** Both directions, at once. */
  destroy(): void {
    this._socket.destroy();
  }

  // smtp-server 13: no pause before the greeting; scanners give up early and it costs every message 100 ms.
  override init(): void {
    this._setListeners(() => this.connectionReady());
  }

  // A line and a read at most are held of a client that has not logged in (S-03).
  override _createParser(): SMTPStream {
    const parser = new SMTPStream({ maxCommandLength: smtpLimits.inputLineBytes, highWaterMark: 16_384 });
    parser.oncommand = (command, callback) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, error.message));
    // Its own listener would run the line that a vanished client did not finish.
    parser.removeAllListeners('finish');
    parser.on('finish', () => {
      if (parser._dataMode) this.destroy();
      else this.close();
    });
    return parser;
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
    const closing = `${given}${lines[0]?.startsWith('Timeout') ? '4.4.2' : '4.7.0'}`;
    const enhanced = this._getEnhancedStatusCode(code, code === 421 && !isOwn ? closing : context);
    if (this._socket.writable) this._socket.write(encodeReply(code, enhanced, lines));
    if (code === 421) this.close();
  }

  // smtp-server 9, wire 80: scanners and printers send no name, or one with spaces.
  override handler_EHLO(command: Buffer, callback: () => void): void {
    this.#greet(command, (line) => super.handler_EHLO(line, callback));
  }

  override handler_HELO(command: Buffer, callback: () => void): void {
    this.#greet(command, (line) => super.handler_HELO(line, callback));
  }

  // smtp-server 11: strict base64, bytes instead of UTF-8, the authcid and nothing in its place.
  override handler_AUTH(command: Buffer, callback: () => void): void {
    if (this.session.user) {
      this.#answer(
        Promise.resolve({ code: 503, enhanced: '5.5.1', text: 'Already authenticated' }),
        callback,
      );
      return;
    }
    this.#authenticate(beginAuth(command), callback);
  }

  // smtp-server 4, 8: the backend's own reply, and the address as the client wrote it.
  override handler_MAIL(command: Buffer, callback: () => void): void {
    this.#answer(this.#conversation.mail(command), callback);
  }

  override handler_RCPT(command: Buffer, callback: () => void): void {
    this.#answer(this.#conversation.rcpt(command), callback);
  }

  // smtp-server 5: 354 only after the backend's.
  override handler_DATA(_command: Buffer, callback: () => void): void {
    void this.#conversation.data().then((refusal) => {
      if (refusal !== null) this.#answer(Promise.resolve(refusal), callback);
      else void this.#receive(callback);
    });
  }

  // smtp-server 12, RFC 5321 7.3: neither yes nor no.
  override handler_VRFY(_command: Buffer, callback: () => void): void {
    this.#answer(Promise.resolve({ code: 252, enhanced: '2.0.0', text: 'Cannot verify' }), callback);
  }

  // smtp-server 6: the backend is told.
  override handler_RSET(command: Buffer, callback: () => void): void {
    void this.#conversation.reset().then(() => super.handler_RSET(command, () => this.#next(callback)));
  }

  override close(): void {
    super.close();
    this.#conversation.closed();
  }

  override _onClose(): void {
    super._onClose();
    this.#conversation.closed();
  }

  #greet(command: Buffer, proceed: (line: Buffer) => void): void {
    const [, verb = '', name = ''] = /^(\S+)\s*(.*)$/s.exec(command.toString('latin1').trimEnd()) ?? [];
    const extended = verb.toUpperCase() === 'EHLO';
    this.#conversation.greeted(name.slice(0, smtpLimits.heloBytes), extended);
    const word = name.replace(/[^\x21-\x7e]/g, '-').slice(0, smtpLimits.heloBytes);
    void this.#conversation
      .reset()
      .then(() => proceed(Buffer.from(`${verb} ${word === '' ? 'unknown' : word}`)));
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
        this.say(this._unrecognizedCommands < errorsBeforeClose ? step.reply : tooManyErrors);
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
    const parser = this._parser;
    if (parser === false || this._closing) {
      callback();
      return;
    }
    const content = parser.startDataMode();
    this._dataStream = content;
    this.send(354, 'End data with <CR><LF>.<CR><LF>');
    callback();
    const reply = await this.#conversation.message(content);
    this._dataStream = false;
    if (reply !== null) this.say(reply);
    this._unrecognizedCommands = 0;
    this._resetSession();
    this.#next(() => {
      if (this._parser) this._parser.continue();
    });
  }

  #answer(reply: Promise<ClientReply>, callback: () => void): void {
    void reply.then((said) => {
      this.say(said);
      this.#next(callback);
    });
  }

  /** Lets the next command in, unless it is time to go. */
  #next(callback: () => void): void {
    const goodbye = this.#conversation.goodbye();
    if (goodbye !== null) this.say(goodbye);
    callback();
  }
}
