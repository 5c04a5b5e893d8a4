import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as netConnect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { connect } from 'node:tls';
import { expect } from '@jest/globals';
import type { Backend, Config } from '../../src/config/schema.ts';
import { mailTls } from '../../src/config/server-tls.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { BareNewlines } from '../../src/protocol/smtp/message-reader.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import type { Door } from '../../src/proxy/door/door.ts';
import { createSmtpDoor } from '../../src/proxy/door/smtp.ts';
import { type Listener, listen } from '../../src/proxy/listener.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import type { SubmissionPolicies } from '../../src/proxy/smtp/submission-policy.ts';
import { Secret } from '../../src/secret.ts';
import type { Upstream } from '../../src/upstream/upstreams.ts';
import { type Bed, openBed } from '../credentials/bed.ts';
import { Sink } from './smtp-sink.ts';

export interface SmtpBedOptions {
  readonly limits?: Partial<Config['limits']>;
  readonly xclient?: boolean;
  readonly masterPassword?: string;
  /** Revocations end no session, as if the news came late. */
  readonly isDeaf?: boolean;
  /** Instead of the sink: clear text on 127.0.0.1. */
  readonly backendPort?: number;
  /** Nothing listens where the backend should be. */
  readonly backendDown?: boolean;
  /** What the sink lists from the start; a second backend, of nobody, lists the other. */
  readonly extensions?: readonly string[];
  readonly otherExtensions?: readonly string[];
  readonly bareNewlines?: BareNewlines;
  readonly idleMs?: number;
  readonly mode?: 'implicit' | 'starttls';
  readonly policies?: (credentials: Bed) => SubmissionPolicies;
}

export type SmtpBed = Awaited<ReturnType<typeof openSmtpBed>>;

let certificates: ReturnType<typeof makeCertificates> | null = null;

/** One authority and certificate for the tests of a file. */
export function testCertificates() {
  certificates ??= makeCertificates();
  return certificates;
}

/** A real door behind a real TLS listener, the real credentials layer, and a sink for a backend. */
export async function openSmtpBed(options: SmtpBedOptions = {}) {
  const credentials = await openBed();
  const { ca, ...certificate } = await testCertificates();
  const sink = new Sink();
  const other = options.otherExtensions === undefined ? null : new Sink();
  sink.extensions = options.extensions ?? sink.extensions;
  if (other !== null) other.extensions = options.otherExtensions ?? [];
  const port = await sink.listen();
  if (options.backendDown === true) await sink.close();
  const config = {
    ...credentials.config,
    limits: { ...credentials.config.limits, ...options.limits },
    smtp: { ...credentials.config.smtp, bareNewlines: options.bareNewlines ?? 'normalize' },
  };
  const registry = new SessionRegistry(config.limits);
  credentials.revocations.onRevoked(({ credentialId, accountId, reason }) => {
    if (options.isDeaf === true) return;
    if (credentialId === null) registry.endAccount(accountId, reason);
    else registry.endCredential(credentialId, reason);
  });
  const door = createSmtpDoor(
    {
      config,
      verifier: credentials.verifier,
      upstreams: new Map([
        ['office', upstream(options.backendPort ?? port, options)],
        ...(other === null ? [] : [['other', upstream(await other.listen(), options)] as const]),
      ]),
      registry,
      loginLog: null,
      replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: credentials.clock.now }),
      metrics: credentials.metrics,
      now: credentials.clock.now,
    },
    {
      ...(options.policies === undefined ? {} : { policies: options.policies(credentials) }),
      ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
    },
  );
  const asked = [...(options.backendDown === true || options.backendPort !== undefined ? [] : [sink]), other];
  // The door asks its backends what they offer; of that a test sees nothing.
  for (const each of asked.filter((one) => one !== null)) {
    await until(() => each.commands.includes('QUIT') && each.open === 0, 'backend asked');
    each.commands.length = 0;
    each.sessions.length = 0;
  }
  const log: string[] = [];
  const listener = await listen({
    protocol: 'smtp',
    host: '127.0.0.1',
    port: 0,
    tls: mailTls(config.tls, certificate),
    mode: options.mode ?? 'implicit',
    door,
    connectionsPerNetwork: config.limits.connectionsPerNetwork,
    // All clients of a test are one network.
    handshakesPerSecond: 10_000,
    handshakeBurst: 10_000,
    logger: createLogger('trace', lines(log)),
  });
  const alice = await credentials.account('alice@example.com');
  const { id, password } = await credentials.issue(alice);
  const clients: Client[] = [];

  return {
    credentials,
    sink,
    backendPort: port,
    door,
    registry,
    listener,
    /** Log lines of the door. */
    log,
    alice,
    credentialId: id,
    password,
    /** Connects and reads the greeting. */
    connect: async () => {
      const client = await Client.connect(listener.port, ca);
      clients.push(client);
      expect(await client.reply()).toBe('220 mail.example.com ESMTP');
      return client;
    },
    /** Connects in clear and reads the greeting; {@link Client.startTls} follows STARTTLS. */
    connectClear: async () => {
      const client = await Client.connectClear(listener.port);
      clients.push(client);
      expect(await client.reply()).toBe('220 mail.example.com ESMTP');
      return client;
    },
    ca,
    /** A client that has said EHLO and logged in as alice. */
    logIn: async function () {
      const client = await this.connect();
      await client.ask('EHLO laptop');
      expect(await client.ask(plain('alice@example.com', password))).toBe(
        '235 2.7.0 Authentication successful',
      );
      return client;
    },
    close: async () => {
      await closeAll({ clients, door, listener, sink, credentials });
      await other?.close();
    },
  };
}

/** An AUTH PLAIN line. */
export function plain(name: string, password: string, authzid = ''): string {
  return `AUTH PLAIN ${Buffer.from(`${authzid}\0${name}\0${password}`, 'latin1').toString('base64')}`;
}

/** Waits for what happens on its own; fails after `withinMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 5_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A client that reads SMTP replies from a raw socket. */
export class Client {
  socket: Socket;
  readonly #tcp: Socket;
  #input = '';
  #hasEnded = false;
  #wake: () => void = () => {};

  static async connect(port: number, ca: Buffer): Promise<Client> {
    const client = await Client.connectClear(port);
    await client.startTls(ca);
    return client;
  }

  static async connectClear(port: number): Promise<Client> {
    const tcp = netConnect({ host: '127.0.0.1', port, noDelay: true });
    await once(tcp, 'connect');
    return new Client(tcp);
  }

  private constructor(tcp: Socket) {
    this.#tcp = tcp;
    this.socket = tcp;
    this.#attach();
  }

  /** Everything read so far is taken. */
  async startTls(ca: Buffer): Promise<void> {
    this.#tcp.removeAllListeners('data').removeAllListeners('end');
    const socket = connect({ socket: this.#tcp, ca, servername: 'mail.example.com' });
    this.socket = socket;
    this.#attach();
    await once(socket, 'secureConnect');
  }

  #attach(): void {
    const end = () => {
      this.#hasEnded = true;
      this.#wake();
    };
    this.socket
      .on('error', () => {})
      .on('data', (bytes: Buffer) => {
        this.#input += bytes.toString('latin1');
        this.#wake();
      })
      .on('close', end)
      .on('end', end);
  }

  /** Came, and no reply took it. */
  get unread(): string {
    return this.#input;
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, 'latin1'));
  }

  /** Vanishes: TCP reset. */
  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  /** Sends a line and gives the whole reply, lines joined by LF. */
  async ask(line: string): Promise<string> {
    this.send(`${line}\r\n`);
    return await this.reply();
  }

  /** `closed` where the server closed instead. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(this.#input);
      if (match !== null) {
        this.#input = this.#input.slice(match[0].length);
        return match[0].trimEnd().replaceAll('\r\n', '\n') + (match[0].startsWith('334 \r') ? ' ' : '');
      }
      if (this.#hasEnded) return this.#input === '' ? 'closed' : `odd: ${JSON.stringify(this.#input)}`;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async replies(count: number): Promise<readonly string[]> {
    const all: string[] = [];
    while (all.length < count) all.push(await this.reply());
    return all;
  }

  /** Everything that still comes until the server closes. */
  async rest(): Promise<string> {
    const all: string[] = [];
    for (;;) {
      const reply = await this.reply();
      if (reply === 'closed') return all.join('\n');
      all.push(reply);
    }
  }
}

function upstream(port: number, options: SmtpBedOptions): Upstream {
  const endpoint = { host: '127.0.0.1', port, tls: 'none', caFile: null, serverName: '127.0.0.1' } as const;
  const backend: Backend = {
    name: 'office',
    imap: endpoint,
    smtp: endpoint,
    pop3: null,
    login: { method: 'master', user: 'gateway' },
    forward: { imapId: false, xclient: options.xclient ?? false, proxyProtocol: 'none' },
    denyUsers: [],
  };
  const password = Secret.fromText(options.masterPassword ?? 'master-password');
  return { backend, password, imapTls: null, smtpTls: null, pop3Tls: null };
}

function lines(log: string[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk.toString());
      done();
    },
  });
}

async function closeAll(parts: {
  clients: readonly Client[];
  door: Door;
  listener: Listener;
  sink: Sink;
  credentials: Bed;
}): Promise<void> {
  parts.listener.close();
  parts.door.close();
  for (const { socket } of parts.clients) socket.destroy();
  await parts.sink.close();
  await parts.credentials.close();
}

async function makeCertificates() {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-smtp-'));
  try {
    const files = await makeThrowAwayCertificates(folder);
    return { ca: files.ca, cert: await readFile(files.certFile), key: await readFile(files.keyFile) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
