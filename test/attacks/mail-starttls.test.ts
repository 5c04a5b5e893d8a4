import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';

/*
 * Poddebniak, Ising, Böck, Schinzel: "Why TLS is better without STARTTLS", USENIX Security 2021; CVE-2021-33515 (Dovecot).
 * Whoever stands between client and server speaks before the handshake: whole commands, half a command that the client's first
 * words in TLS complete, or a login that makes the session the attacker's. Nothing said in clear may be heard in TLS, and what
 * the client says in TLS may not be taken for an answer to it. SMTP has a file of its own.
 */

let bed: TestGateway;
let secret: string;

beforeAll(async () => {
  bed = await startTestGateway();
  secret = (await bed.issue(alice, { scopes: ['imap', 'pop3'] })).secret;
});
afterAll(() => bed.stop());

const protocols = {
  imap: {
    port: () => bed.imapStartTlsPort,
    start: 'a STARTTLS\r\n',
    agreed: /^a OK .*\r\n/m,
    whole: 'b NOOP\r\nc LOGIN attacker@example.com pw\r\n',
    answered: /^[bc] /m,
    half: 'd LOG',
    otherHalf: 'IN joe pw\r\n',
    logIn: () => `z LOGIN ${alice} ${secret}\r\n`,
    loggedIn: /^z OK .*\r\n/m,
  },
  pop3: {
    port: () => bed.pop3StartTlsPort,
    start: 'STLS\r\n',
    agreed: /^\+OK (?!.* ready).*\r\n/m,
    whole: 'CAPA\r\nUSER attacker@example.com\r\nPASS pw\r\n',
    answered: /^SASL|^-ERR|^\+OK/m,
    half: 'US',
    otherHalf: `ER ${'x'.repeat(8)}\r\n`,
    logIn: () => `USER ${alice}\r\nPASS ${secret}\r\n`,
    loggedIn: /^\+OK.*\r\n\+OK.*\r\n/m,
  },
} as const;
type Name = keyof typeof protocols;
const names = Object.keys(protocols) as readonly Name[];

/** Everything a socket says, as text. */
class Listening {
  text = '';
  #wake = () => {};

  constructor(socket: Socket) {
    socket.on('data', (bytes: Buffer) => {
      this.text += bytes.toString('latin1');
      this.#wake();
    });
    for (const event of ['close', 'error']) socket.on(event, () => this.#wake());
  }

  /** Until it matches, or until the socket has closed: then null. */
  async until(pattern: RegExp, socket: Socket): Promise<string | null> {
    while (!pattern.test(this.text)) {
      if (socket.destroyed) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.text;
  }
}

/** Connects, says `clear` in one segment, and begins TLS when STARTTLS was agreed to. */
async function upgrade(name: Name, clear: string): Promise<{ socket: TLSSocket; listening: Listening }> {
  const protocol = protocols[name];
  const raw = connect({ host: '127.0.0.1', port: protocol.port(), noDelay: true });
  const inClear = new Listening(raw);
  await inClear.until(/\r\n/, raw);
  raw.write(clear);
  await inClear.until(protocol.agreed, raw);
  raw.removeAllListeners('data');
  const socket = tlsConnect({ socket: raw, servername: 'localhost', ca: bed.ca });
  socket.on('error', () => {});
  const listening = new Listening(socket);
  await once(socket, 'secureConnect');
  return { socket, listening };
}

describe.each(names)('%s', (name) => {
  const protocol = protocols[name];

  it('wire 111, S-02: whole commands sent behind STARTTLS are not answered in TLS', async () => {
    const { socket, listening } = await upgrade(name, `${protocol.start}${protocol.whole}`);
    socket.write(protocol.logIn());
    const heard = await listening.until(protocol.loggedIn, socket);
    expect(heard?.replace(protocol.loggedIn, '')).not.toMatch(protocol.answered);
    socket.destroy();
  });

  it('wire 112, S-02: half a command is not completed by what the client says in TLS', async () => {
    const { socket, listening } = await upgrade(name, `${protocol.start}${protocol.half}`);
    socket.write(protocol.otherHalf);
    const heard = await listening.until(/\r\n/, socket);
    expect(heard).toMatch(name === 'imap' ? /^IN BAD / : /^-ERR /);
    socket.destroy();
  });

  it('wire 113: a segment of its own before the handshake leaves no session', async () => {
    const raw = connect({ host: '127.0.0.1', port: protocol.port(), noDelay: true });
    const inClear = new Listening(raw);
    await inClear.until(/\r\n/, raw);
    raw.write(protocol.start);
    await inClear.until(protocol.agreed, raw);
    raw.write(protocol.whole);
    raw.removeAllListeners('data');
    const socket = tlsConnect({ socket: raw, servername: 'localhost', ca: bed.ca });
    const failed = new Promise((resolve) => {
      socket.once('error', () => resolve('failed'));
      socket.once('close', () => resolve('failed'));
      socket.once('secureConnect', () => resolve('secured'));
    });
    expect(await failed).toBe('failed');
    socket.destroy();
  });

  it('wire 114: the session in TLS is nobody but whom the client names there', async () => {
    const before = name === 'imap' ? 'x ID ("name" "attacker")\r\n' : 'USER attacker@example.com\r\n';
    const { socket, listening } = await upgrade(name, `${before}${protocol.start}`);
    socket.write(name === 'imap' ? 'y NOOP\r\n' : `PASS ${secret}\r\n`);
    expect(await listening.until(/\r\n/, socket)).toMatch(name === 'imap' ? /^y OK / : /^-ERR /);
    socket.write(protocol.logIn());
    await listening.until(protocol.loggedIn, socket);
    const [session] = bed.gateway.parts.registry.sessions().filter(({ protocol: of }) => of === name);
    expect(session?.login.address).toBe(alice);
    socket.destroy();
  });
});
