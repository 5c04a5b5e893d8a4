import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Config } from '../../src/config/schema.ts';
import { mailTls } from '../../src/config/server-tls.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import type { Door } from '../../src/proxy/door/door.ts';
import { createImapDoor } from '../../src/proxy/door/imap.ts';
import { type Listener, listen } from '../../src/proxy/listener.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import { Secret } from '../../src/secret.ts';
import { type Bed, openBed } from '../credentials/bed.ts';
import { tester } from '../support/journal.ts';

const temporary = 'NO [UNAVAILABLE] Temporary authentication failure.';
let certificates: ThrowAwayCertificates;
let certificate: { cert: Buffer; key: Buffer };
let bed: Bed;
let backend: ScriptedBackend;
let door: Door;
let listener: Listener;
let registry: SessionRegistry;
let password: string;
let credentialId: Buffer;
/** Log lines of the door. */
const log: Record<string, unknown>[] = [];
const clients: { readonly socket: TLSSocket }[] = [];

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-door-'));
  certificates = await makeThrowAwayCertificates(folder);
  certificate = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  bed = await openBed();
  const issued = await bed.issue(await bed.account('joe@example.com'));
  password = issued.password.replaceAll(' ', '');
  credentialId = issued.id;
  backend = await ScriptedBackend.open();
  await openDoor({});
});

afterEach(async () => {
  log.length = 0;
  for (const client of clients.splice(0)) client.socket.destroy();
  door.close();
  listener.close();
  backend.close();
  await bed.close();
});

/** A backend that says exactly what a test wants said, on a real port, and keeps what it was told. */
class ScriptedBackend {
  readonly received: string[] = [];
  readonly sockets: Socket[] = [];
  greeting = '* OK [CAPABILITY IMAP4rev1 SASL-IR] backend ready\r\n';
  answer: (line: string, socket: Socket) => void = (line, socket) => {
    const [tag] = line.split(' ');
    socket.write(`${tag} OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n`);
  };
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.sockets.push(socket);
      socket.on('error', () => {});
      socket.write(this.greeting);
      socket.on('data', (bytes: Buffer) => {
        this.received.push(bytes.toString());
        if (this.received.length === 1) this.answer(bytes.toString(), socket);
      });
    });
  }

  static async open(): Promise<ScriptedBackend> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedBackend(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

async function openDoor(limits: Partial<Config['limits']>, backendName = 'office'): Promise<void> {
  door?.close();
  listener?.close();
  const leg = {
    host: '127.0.0.1',
    port: backend.port,
    tls: 'none',
    caFile: null,
    serverName: '127.0.0.1',
  } as const;
  const config: Config = { ...bed.config, limits: { ...bed.config.limits, ...limits } };
  registry = new SessionRegistry(config.limits);
  bed.revocations.onRevoked(({ credentialId: id, reason }) => {
    if (id !== null) registry.endCredential(id, reason);
  });
  door = createImapDoor({
    config,
    verifier: bed.verifier,
    upstreams: new Map([
      [
        backendName,
        {
          backend: {
            name: 'office',
            imap: leg,
            smtp: leg,
            pop3: null,
            login: { method: 'master', user: 'gateway' },
            forward: { imapId: false, xclient: false, proxyProtocol: 'none' },
            denyUsers: [],
          },
          password: Secret.fromText('master-secret'),
          imapTls: null,
          smtpTls: null,
          pop3Tls: null,
        },
      ],
    ]),
    registry,
    loginLog: null,
    replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now }),
    metrics: bed.metrics,
    now: bed.clock.now,
  });
  listener = await listen({
    protocol: 'imap',
    host: '127.0.0.1',
    port: 0,
    tls: mailTls({ minVersion: 'TLSv1.2' }, certificate),
    door,
    connectionsPerNetwork: 200,
    logger: createLogger('info', logLines),
  });
}

const logLines = new Writable({
  write(chunk: Buffer, _encoding, done) {
    log.push(JSON.parse(chunk.toString()));
    done();
  },
});

/** A client that waits for lines. */
class Client {
  readonly socket: TLSSocket;
  #text = '';

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString();
    });
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf('\r\n');
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return line;
      }
      if (this.socket.readableEnded || this.socket.destroyed) return '<closed>';
      const waiting = new AbortController();
      const events = ['data', 'end', 'close'];
      await Promise.race(events.map((event) => once(this.socket, event, { signal: waiting.signal })));
      waiting.abort();
    }
  }

  async say(text: string): Promise<string> {
    this.socket.write(`${text}\r\n`);
    return await this.line();
  }
}

/** A client that reads nothing and has more to read than fits the way to it. */
async function dialUnread(): Promise<{ readonly socket: TLSSocket }> {
  const { accept } = door;
  door.accept = (connection) => {
    connection.socket.write(Buffer.alloc(32 << 20));
    accept(connection);
  };
  const socket = tlsConnect({ host: '127.0.0.1', port: listener.port, ca: certificates.ca });
  clients.push({ socket: socket.on('error', () => {}) });
  await once(socket, 'secureConnect');
  return { socket };
}

async function dial(): Promise<Client> {
  const client = new Client(
    tlsConnect({ host: '127.0.0.1', port: listener.port, ca: certificates.ca, servername: 'localhost' }),
  );
  clients.push(client);
  expect(await client.line()).toMatch(/^\* OK \[CAPABILITY IMAP4rev1 /);
  return client;
}

/** Resolves once the backend has our login, which it does not answer. */
async function logInUnanswered(client: Client): Promise<void> {
  backend.answer = () => {};
  client.socket.write(`${logInLine()}\r\n`);
  while (backend.received.length === 0) await new Promise(setImmediate);
}

/** Resolves once the backend's side of the only login is over. */
async function backendLeft(): Promise<void> {
  const [socket] = backend.sockets;
  if (socket?.readableEnded !== true && socket?.destroyed !== true) await once(socket as Socket, 'end');
}

const logInLine = () => `a LOGIN joe@example.com ${password}`;

describe('a login', () => {
  it("wire 42, 43: ends in the client's tag and the backend's capabilities", async () => {
    const client = await dial();
    expect(await client.say(logInLine())).toBe('a OK [CAPABILITY IMAP4rev1 IDLE] Logged in');
    const [line] = backend.received;
    const message = Buffer.from(line?.trim().split(' ')[3] ?? '', 'base64').toString();
    expect(message).toBe('joe@example.com\0gateway\0master-secret');
    expect(registry.size).toBe(1);
  });

  it('wire 56, 45: what was pipelined behind it and what the backend sent behind its OK arrive in order', async () => {
    backend.answer = (line, socket) =>
      socket.write(`${line.split(' ')[0]} OK [CAPABILITY IMAP4rev1] in\r\n* 1 EXISTS\r\n`);
    const client = await dial();
    client.socket.write(`${logInLine()}\r\nb SELECT INBOX\r\nc NOOP\r\n`);
    expect([await client.line(), await client.line()]).toEqual([
      'a OK [CAPABILITY IMAP4rev1] Logged in',
      '* 1 EXISTS',
    ]);
    while (backend.received.length < 2) await once(backend.sockets[0] as Socket, 'data');
    expect(backend.received.slice(1).join('')).toBe('b SELECT INBOX\r\nc NOOP\r\n');
  });

  it('wire 65: a client that says LOGOUT and closes its side still reads the answer', async () => {
    const client = await dial();
    await client.say(logInLine());
    const [socket] = backend.sockets;
    socket?.once('end', () => socket.end('* BYE\r\nx OK\r\n'));
    client.socket.end('x LOGOUT\r\n');
    expect([await client.line(), await client.line()]).toEqual(['* BYE', 'x OK']);
    expect(backend.received.at(-1)).toBe('x LOGOUT\r\n');
  });

  it('wire 57: what was pipelined behind a refused one stays here, another login too', async () => {
    const client = await dial();
    client.socket.write(
      `a LOGIN joe@example.com aaaaaaaaaaaaaaar\r\nb SELECT INBOX\r\nc LOGIN joe@example.com ${password}\r\nd SELECT INBOX\r\n`,
    );
    expect(await client.line()).toBe('a NO [AUTHENTICATIONFAILED] Authentication failed.');
    expect(await client.line()).toMatch(/^b BAD /);
    expect(await client.line()).toMatch(/^c OK /);
    while (backend.received.length < 2) await once(backend.sockets[0] as Socket, 'data');
    expect(backend.received[1]).toBe('d SELECT INBOX\r\n');
  });

  it("S-05: somebody else's authzid is refused and the backend never dialed", async () => {
    const client = await dial();
    const response = Buffer.from(`boss@example.com\0joe@example.com\0${password}`).toString('base64');
    expect(await client.say(`a AUTHENTICATE PLAIN ${response}`)).toBe(
      'a NO [AUTHORIZATIONFAILED] Not allowed.',
    );
    expect(backend.sockets).toHaveLength(0);
  });
});

describe('a login that is refused', () => {
  it.each([
    ['wire 86: without a name', Buffer.from('joe\0\0pw').toString('base64')],
    ['wire 24: with a line end', Buffer.from('\0joe\0pw\r\nb NOOP').toString('base64')],
  ])('%s is told, counted and logged like a wrong password', async (_, response) => {
    const client = await dial();
    expect(await client.say(`a AUTHENTICATE PLAIN ${response}`)).toBe(
      'a NO [AUTHENTICATIONFAILED] Authentication failed.',
    );
    expect(await client.say('b NOOP')).toBe('b OK NOOP completed.');
    expect(await bed.value('sallyport_logins_total', { protocol: 'imap', outcome: 'rejected' })).toBe(1);
    expect(log.at(-1)).toMatchObject({
      msg: 'login refused',
      protocol: 'imap',
      reason: 'malformed-name',
      mechanism: 'PLAIN',
    });
    expect(backend.sockets).toHaveLength(0);
  });

  it('by a fault of ours is told as one and leaves nothing behind', async () => {
    await openDoor({}, 'elsewhere');
    const client = await dial();
    for (const tag of ['a', 'b', 'c', 'd', 'e']) {
      client.socket.write(`${tag} LOGIN joe@example.com ${password}\r\n`);
      expect(await client.line()).toBe(`${tag} NO [SERVERBUG] Internal error.`);
    }
    expect(registry.size).toBe(0);
    expect(await bed.value('sallyport_logins_total', { outcome: 'bug' })).toBe(5);
    expect(log.map(({ msg }) => msg).slice(-2)).toEqual(['login failed by a fault', 'login refused']);
  });
});

describe('wire 47: an outage is never told as a wrong password', () => {
  it.each([
    ['PREAUTH', '* PREAUTH you are in\r\n'],
    ['BYE', '* BYE too busy\r\n'],
    ['another protocol', '220 smtp.example ESMTP\r\n'],
    ['nothing but an end', ''],
  ])('wire 69: greeting is %s', async (_, greeting) => {
    backend.greeting = greeting;
    if (greeting === '') backend.answer = () => {};
    const client = await dial();
    client.socket.write(`${logInLine()}\r\n`);
    if (greeting === '') {
      while (backend.sockets.length === 0) await new Promise(setImmediate);
      backend.sockets[0]?.destroy();
    }
    expect(await client.line()).toBe(`a ${temporary}`);
    expect(backend.received).toEqual([]);
    expect(await client.say('b NOOP')).toBe('b OK NOOP completed.');
  });

  it('wire 47: nobody listens at the backend', async () => {
    backend.close();
    const client = await dial();
    expect(await client.say(logInLine())).toBe(`a ${temporary}`);
    expect(await bed.value('sallyport_upstream_errors_total', { kind: 'connect' })).toBe(1);
  });

  it('wire 49: the backend refuses our own credential', async () => {
    backend.answer = (line, socket) => socket.write(`${line.split(' ')[0]} NO [AUTHENTICATIONFAILED] no\r\n`);
    const client = await dial();
    expect(await client.say(logInLine())).toBe(`a ${temporary}`);
    expect(await bed.value('sallyport_upstream_errors_total', { kind: 'refused-us' })).toBe(1);
  });

  it('wire 49: the backend turns the mailbox away, with its own code', async () => {
    backend.answer = (line, socket) => socket.write(`${line.split(' ')[0]} NO [LIMIT] Too many of you\r\n`);
    const client = await dial();
    expect(await client.say(logInLine())).toMatch(/^a NO \[LIMIT\] /);
    expect(log.at(-1)).toMatchObject({ outcome: 'unavailable', reason: 'mailbox-refused', cause: 'LIMIT' });
    expect(registry.size).toBe(0);
  });
});

describe('revocation', () => {
  it("S-55: ends a live session, the backend's side too", async () => {
    const client = await dial();
    await client.say(logInLine());
    const ended = once(backend.sockets[0] as Socket, 'end');
    const [account] = await bed.database.selectFrom('account').selectAll().execute();
    await bed.appPasswords.revoke(account?.id as Buffer, credentialId, 'lost', tester);
    expect(await client.line()).toBe('<closed>');
    await ended;
    expect(registry.size).toBe(0);
  });

  it('S-54: while the backend is logging in, the client never hears success', async () => {
    let release: () => void = () => {};
    backend.answer = (line, socket) => {
      release = () => socket.write(`${line.split(' ')[0]} OK [CAPABILITY IMAP4rev1] in\r\n`);
    };
    const client = await dial();
    client.socket.write(`${logInLine()}\r\n`);
    while (backend.received.length === 0) await new Promise(setImmediate);
    const [account] = await bed.database.selectFrom('account').selectAll().execute();
    await bed.appPasswords.revoke(account?.id as Buffer, credentialId, 'lost', tester);
    release();
    expect(await client.line()).toBe('a NO [AUTHENTICATIONFAILED] Authentication failed.');
    expect(registry.size).toBe(0);
  });
});

describe('a login that is still being decided', () => {
  it('wire 66: ends at the deadline, and the backend is left', async () => {
    await openDoor({ loginTimeMs: 200 });
    const client = await dial();
    await logInUnanswered(client);
    expect(await client.line()).toBe('* BYE Disconnected for inactivity.');
    expect(await client.line()).toBe('<closed>');
    await backendLeft();
    expect(registry.size).toBe(0);
    expect(await bed.value('sallyport_logins_total', { outcome: 'gone' })).toBe(1);
    expect(await bed.value('sallyport_upstream_errors_total')).toBe(0);
  });

  it('wire 68: ends with a drain, and the backend is left', async () => {
    const client = await dial();
    await logInUnanswered(client);
    door.drain();
    expect(await client.line()).toBe('* BYE [UNAVAILABLE] Server shutting down.');
    await backendLeft();
    expect(registry.size).toBe(0);
  });

  it('wire 68: is given up at once, not when a client that reads nothing has closed', async () => {
    const { socket } = await dialUnread();
    socket.write(`${logInLine()}\r\n`);
    backend.answer = () => {};
    while (backend.received.length === 0) await new Promise(setImmediate);
    door.drain();
    backend.sockets[0]?.write('L OK [CAPABILITY IMAP4rev1] Logged in\r\n');
    await backendLeft();
    expect(registry.size).toBe(0);
    expect(log.map(({ msg }) => msg)).not.toContain('session begins');
  });

  it('is given up when the client leaves', async () => {
    const client = await dial();
    await logInUnanswered(client);
    client.socket.destroy();
    await backendLeft();
    expect(registry.size).toBe(0);
    expect(log.map(({ msg }) => msg)).not.toContain('login refused');
  });

  it('that an operator ends is told as an outage: its password is right', async () => {
    const client = await dial();
    await logInUnanswered(client);
    expect(registry.endCredential(credentialId, 'ended by the operator')).toBe(1);
    expect(await client.line()).toBe(`a ${temporary}`);
    expect(log.at(-1)).toMatchObject({ cause: 'session ended: ended by the operator' });
    await backendLeft();
    expect(await client.say('b NOOP')).toBe('b OK NOOP completed.');
  });

  it('S-58: counts among the sessions of its credential, so that the backend gets no more logins', async () => {
    await openDoor({ sessionsPerCredential: 1 });
    await logInUnanswered(await dial());
    const second = await dial();
    expect(await second.say(logInLine())).toBe('a NO [LIMIT] Too many connections.');
    expect(backend.sockets).toHaveLength(1);
  });
});

describe('limits and life', () => {
  it('wire 66, 151: a connection without a login ends at the deadline, told why', async () => {
    await openDoor({ loginTimeMs: 60 });
    const client = await dial();
    expect(await client.line()).toBe('* BYE Disconnected for inactivity.');
    expect(await client.line()).toBe('<closed>');
  });

  it('wire 68: drain says BYE before login and leaves sessions alone', async () => {
    const [stranger, joe] = [await dial(), await dial()];
    await joe.say(logInLine());
    door.drain();
    expect(await stranger.line()).toBe('* BYE [UNAVAILABLE] Server shutting down.');
    backend.sockets[0]?.write('* 2 EXISTS\r\n');
    expect(await joe.line()).toBe('* 2 EXISTS');
  });

  it('wire 55, S-58: sessions over the cap of a credential are told LIMIT', async () => {
    await openDoor({ sessionsPerCredential: 1 });
    backend.answer = (line, socket) => socket.write(`${line.split(' ')[0]} OK [CAPABILITY IMAP4rev1] in\r\n`);
    const first = await dial();
    expect(await first.say(logInLine())).toMatch(/^a OK/);
    backend.received.length = 0;
    const second = await dial();
    expect(await second.say(logInLine())).toBe('a NO [LIMIT] Too many connections.');
    expect(registry.size).toBe(1);
  });

  it('wire 58: a client that pours during the login is held back and nothing is lost', async () => {
    let release: () => void = () => {};
    backend.answer = (line, socket) => {
      release = () => socket.write(`${line.split(' ')[0]} OK [CAPABILITY IMAP4rev1] in\r\n`);
    };
    const client = await dial();
    client.socket.write(`${logInLine()}\r\n`);
    while (backend.received.length === 0) await new Promise(setImmediate);
    const poured = Buffer.alloc(8 << 20, 'x');
    client.socket.write(poured);
    for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
    expect(client.socket.writableLength).toBeGreaterThan(1 << 20);
    release();
    expect(await client.line()).toMatch(/^a OK/);
    const arrived = () => backend.received.slice(1).reduce((sum, text) => sum + text.length, 0);
    while (arrived() < poured.length) await once(backend.sockets[0] as Socket, 'data');
    expect(arrived()).toBe(poured.length);
  });
});
