import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type Socket, connect as tcpConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { CertificateFiles } from '../config/certificate.ts';
import type { ListenSettings } from '../config/listen-schema.ts';
import type { Secret } from '../secret.ts';

/** One of the gateway's own ports, as it is open now. */
export interface OpenDoor extends Pick<ListenSettings, 'door' | 'host' | 'tls' | 'legacyTls'> {
  readonly port: number;
  readonly certificates: readonly CertificateFiles[];
}

/** `unavailable`: neither let in nor refused. */
export type LoginAnswer = 'accepted' | 'refused' | 'unavailable';

/** More than a door says to a login. */
const mostBytes = 64 * 1024;

/**
 * Logs in at a door as a mail program does, by AUTH PLAIN and inside TLS, and out again. Rejects where the door does not
 * answer, or shows another certificate than it was given.
 */
export async function tryLogin(
  door: OpenDoor,
  login: { readonly account: string; readonly password: Secret | null; readonly hostname: string },
  signal: AbortSignal,
): Promise<LoginAnswer> {
  const talk = new Talk(signal);
  try {
    await talk.open(door);
    const { account, password, hostname } = login;
    const words = [Buffer.from(`\0${account}\0`), password?.bytes() ?? Buffer.alloc(0)];
    return await dialogues[door.door](talk, door, Buffer.concat(words).toString('base64'), hostname);
  } finally {
    talk.close();
  }
}

type Dialogue = (talk: Talk, door: OpenDoor, plain: string, hostname: string) => Promise<LoginAnswer>;

const dialogues: Readonly<Record<OpenDoor['door'], Dialogue>> = {
  async imap(talk, door, plain) {
    await talk.line();
    if (door.tls === 'starttls') await talk.secure(door, 'S STARTTLS', /^S OK/);
    const answer = await talk.ask(`A AUTHENTICATE PLAIN ${plain}`, /^A |^\* BYE/);
    if (answer.startsWith('A OK')) {
      await talk.ask('L LOGOUT', /^L /);
      return 'accepted';
    }
    // RFC 5530: these two alone are about the credentials.
    return /^A (?:NO \[(?:AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|EXPIRED)\]|BAD)/.test(answer)
      ? 'refused'
      : 'unavailable';
  },
  async pop3(talk, door, plain) {
    await talk.line();
    if (door.tls === 'starttls') await talk.secure(door, 'STLS', /^\+OK/);
    const answer = await talk.ask(`AUTH PLAIN ${plain}`, /^[+-]/);
    if (answer.startsWith('+OK')) {
      await talk.ask('QUIT', /^[+-]/);
      return 'accepted';
    }
    return /^-ERR \[(?:SYS\/|IN-USE|LOGIN-DELAY)/.test(answer) ? 'unavailable' : 'refused';
  },
  async smtp(talk, door, plain, hostname) {
    const isLast = /^\d{3} /;
    await talk.until(isLast);
    await talk.ask(`EHLO ${hostname}`, isLast);
    if (door.tls === 'starttls') {
      await talk.secure(door, 'STARTTLS', /^220 /);
      await talk.ask(`EHLO ${hostname}`, isLast);
    }
    const answer = await talk.ask(`AUTH PLAIN ${plain}`, isLast);
    if (answer.startsWith('235')) {
      await talk.ask('QUIT', isLast);
      return 'accepted';
    }
    return answer.startsWith('5') ? 'refused' : 'unavailable';
  },
};

/** Lines to and from a door. */
class Talk {
  readonly #signal: AbortSignal;
  #socket: Socket | null = null;
  #received = '';
  #bytes = 0;
  #failure: Error | null = null;
  #wake: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  async open(door: OpenDoor): Promise<void> {
    const isEverywhere = door.host === '::' || door.host === '0.0.0.0';
    const socket = tcpConnect({ host: isEverywhere ? '127.0.0.1' : door.host, port: door.port });
    this.#use(socket);
    await once(socket, 'connect', { signal: this.#signal });
    if (door.tls === 'implicit') await this.#startTls(door, socket);
    else this.#listen(socket);
  }

  /** Sends a line and answers the first that fits. */
  async ask(line: string, isAnswer: RegExp): Promise<string> {
    this.#socket?.write(`${line}\r\n`);
    return await this.until(isAnswer);
  }

  async secure(door: OpenDoor, command: string, isAgreed: RegExp): Promise<void> {
    await this.ask(command, isAgreed);
    const socket = this.#socket;
    if (socket === null) throw new Error('not connected');
    socket.removeAllListeners('data').pause();
    await this.#startTls(door, socket);
  }

  async until(isLast: RegExp): Promise<string> {
    for (;;) {
      const line = await this.line();
      if (isLast.test(line)) return line;
    }
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf('\r\n');
      if (end >= 0) {
        const line = this.#received.slice(0, end);
        this.#received = this.#received.slice(end + 2);
        return line;
      }
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#socket?.destroy();
  }

  readonly #onAbort = (): void => this.#fail(new Error('no answer in time'));

  /** Trusts the door's own certificate and no other, whoever signed it and whatever names it carries. */
  async #startTls({ certificates }: OpenDoor, socket: Socket): Promise<void> {
    const own = certificates.map(({ cert }) => new X509Certificate(cert));
    const secured = tlsConnect({
      socket,
      minVersion: 'TLSv1.2',
      ca: certificates.map(({ cert }) => cert),
      allowPartialTrustChain: true,
      checkServerIdentity: (_, peer) =>
        own.some(({ raw }) => raw.equals(peer.raw))
          ? undefined
          : new Error('not the certificate of this door'),
    });
    this.#use(secured);
    await once(secured, 'secureConnect', { signal: this.#signal });
    this.#listen(secured);
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('closed by the door')));
  }

  #listen(socket: Socket): void {
    socket.on('data', (bytes: Buffer) => {
      this.#bytes += bytes.length;
      if (this.#bytes > mostBytes) this.#fail(new Error('too much data'));
      else this.#received += bytes.toString('latin1');
      this.#wake();
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket?.destroy();
    this.#wake();
  }
}
