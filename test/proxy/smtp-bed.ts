import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as netConnect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { expect } from '@jest/globals';
import type { Backend, Config } from '../../src/config/schema.ts';
import { mailTls } from '../../src/config/server-tls.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import type { Door } from '../../src/proxy/door/door.ts';
import { createSmtpDoor } from '../../src/proxy/door/smtp.ts';
import { type Listener, listen } from '../../src/proxy/listener.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import { Secret } from '../../src/secret.ts';
import type { Upstreams } from '../../src/upstream/upstreams.ts';
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
  const port = await sink.listen();
  if (options.backendDown === true) await sink.close();
  const config = {
    ...credentials.config,
    limits: { ...credentials.config.limits, ...options.limits },
  };
  const registry = new SessionRegistry(config.limits);
  credentials.revocations.onRevoked(({ credentialId, accountId, reason }) => {
    if (options.isDeaf === true) return;
    if (credentialId === null) registry.endAccount(accountId, reason);
    else registry.endCredential(credentialId, reason);
  });
  const door = createSmtpDoor({
    config,
    verifier: credentials.verifier,
    upstreams: upstreams(options.backendPort ?? port, options),
    registry,
    replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: credentials.clock.now }),
    metrics: credentials.metrics,
    now: credentials.clock.now,
  });
  const log: string[] = [];
  const listener = await listen({
    protocol: 'smtp',
    host: '127.0.0.1',
    port: 0,
    tls: mailTls(config.tls, certificate),
    door,
    connectionsPerNetwork: config.limits.connectionsPerNetwork,
    logger: createLogger('trace', lines(log)),
  });
  const alice = await credentials.account('alice@example.com');
  const { id, password } = await credentials.issue(alice);
  const clients: Client[] = [];

  return {
    credentials,
    sink,
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
    /** A client that has said EHLO and logged in as alice. */
    logIn: async function () {
      const client = await this.connect();
      await client.ask('EHLO laptop');
      expect(await client.ask(plain('alice@example.com', password))).toBe(
        '235 2.7.0 Authentication successful',
      );
      return client;
    },
    close: () => closeAll({ clients, door, listener, sink, credentials }),
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

/** A client that reads SMTP replies from a raw TLS socket. */
export class Client {
  readonly socket: TLSSocket;
  readonly #tcp: Socket;
  #input = '';
  #hasEnded = false;
  #wake: () => void = () => {};

  static async connect(port: number, ca: Buffer): Promise<Client> {
    const tcp = netConnect({ host: '127.0.0.1', port });
    await once(tcp, 'connect');
    const socket = connect({ socket: tcp, ca, servername: 'mail.example.com' });
    const client = new Client(socket, tcp);
    await once(socket, 'secureConnect');
    return client;
  }

  private constructor(socket: TLSSocket, tcp: Socket) {
    this.socket = socket;
    this.#tcp = tcp;
    tcp.on('error', () => {});
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      this.#input += bytes.toString('latin1');
      this.#wake();
    });
    socket.on('close', () => {
      this.#hasEnded = true;
      this.#wake();
    });
    socket.on('end', () => {
      this.#hasEnded = true;
      this.#wake();
    });
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

function upstreams(port: number, options: SmtpBedOptions): Upstreams {
  const endpoint = { host: '127.0.0.1', port, tls: 'none', caFile: null, serverName: '127.0.0.1' } as const;
  const backend: Backend = {
    name: 'office',
    imap: endpoint,
    smtp: endpoint,
    login: { method: 'master', user: 'gateway' },
    forward: { imapId: false, xclient: options.xclient ?? false },
    denyUsers: [],
  };
  const password = Secret.fromText(options.masterPassword ?? 'master-password');
  return new Map([['office', { backend, password, imapTls: null, smtpTls: null }]]);
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
