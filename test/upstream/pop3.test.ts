import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ImapFlow } from 'imapflow';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { Secret } from '../../src/secret.ts';
import { openPop3, type Pop3Link } from '../../src/upstream/pop3.ts';
import type { Upstream } from '../../src/upstream/upstreams.ts';
import {
  credentialBytes,
  masterPassword,
  outcomeOf,
  peer,
  type UpstreamOptions,
  upstreamOf,
  verifiedAlice,
} from './bed.ts';
import { ScriptedBackend, type ServerCertificate } from './scripted-backend.ts';

let scratch: ScratchFolder;
let certificates: ThrowAwayCertificates;
let certificate: ServerCertificate;
let login: VerifiedLogin;
let forgetAlice: () => Promise<void>;

beforeAll(async () => {
  scratch = await makeScratchFolder();
  certificates = await makeThrowAwayCertificates(scratch.path);
  certificate = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
  const alice = await verifiedAlice();
  login = alice.login;
  forgetAlice = alice.close;
});

afterAll(async () => {
  await forgetAlice();
  await scratch.remove();
});

const options = () => ({ peer, signal: new AbortController().signal });

function withXclient(upstream: Upstream): Upstream {
  const { backend } = upstream;
  return { ...upstream, backend: { ...backend, forward: { ...backend.forward, xclient: true } } };
}

async function opened(upstream: Upstream, as = options()): Promise<Pop3Link> {
  const opening = await openPop3(upstream, login, as);
  if (opening.kind !== 'open') throw new Error(opening.text);
  return opening.link;
}

describe('a real Dovecot', () => {
  let dovecot: Dovecot;

  beforeAll(async () => {
    dovecot = await startDovecot({
      folder: scratch.path,
      users: { 'alice@example.com': 'her main password' },
      master: { user: 'gateway', password: masterPassword },
      certificate: { cert: certificates.certFile, key: certificates.keyFile },
    });
    const imap = new ImapFlow({
      host: 'localhost',
      port: dovecot.imapsPort,
      secure: true,
      tls: { ca: certificates.ca },
      auth: { user: 'alice@example.com', pass: 'her main password' },
      logger: false,
    });
    await imap.connect();
    await imap.append('INBOX', 'Subject: one\r\n\r\nbody\r\n');
    await imap.logout();
  });

  afterAll(() => dovecot.stop());

  const ways: readonly (readonly [string, () => Partial<UpstreamOptions> & { readonly port: number }])[] = [
    ['implicit TLS', () => ({ port: dovecot.pop3sPort, tls: 'implicit' })],
    ['STLS', () => ({ port: dovecot.pop3Port, tls: 'starttls' })],
    ['nothing but loopback', () => ({ port: dovecot.pop3Port })],
  ];
  const upstream = (way: Partial<UpstreamOptions> & { readonly port: number }) =>
    upstreamOf({ ...way, host: 'localhost', ca: certificates.ca });

  it.each(ways)('wire 147: opens the maildrop over %s', async (_, way) => {
    const link = await opened(upstream(way()));
    expect(link.text).toBe('Logged in.');
    expect(await ask(link, 'STAT')).toMatch(/^\+OK 1 \d+$/);
    link.cut();
  });

  it.each(ways.slice(0, 2))('wire 130: hears over %s who calls', async (_, way) => {
    const sessionId = `k-${way().tls}`;
    const link = await opened(withXclient(upstream(way())), {
      ...options(),
      peer: { ...peer, address: '2001:db8::7%eth0', sessionId },
    });
    await ask(link, 'STAT');
    link.cut();
    const log = await readFile(dovecot.logFile, 'utf8');
    const line = log.split('\n').find((line) => line.includes(`session=<${sessionId}>`));
    expect(line).toMatch(/pop3-login: .*Login: .*user=<alice@example\.com>.* rip=2001:db8::7,/);
  });

  it('wire 148: a client that vanishes deletes nothing, one that says QUIT does', async () => {
    const vanished = await opened(upstream({ port: dovecot.pop3sPort, tls: 'implicit' }));
    expect(await ask(vanished, 'DELE 1')).toMatch(/^\+OK/);
    vanished.cut();
    const kept = await opened(upstream({ port: dovecot.pop3sPort, tls: 'implicit' }));
    expect(await ask(kept, 'STAT')).toMatch(/^\+OK 1 /);
    await ask(kept, 'DELE 1');
    expect(await ask(kept, 'QUIT')).toMatch(/^\+OK/);
    kept.cut();
    const emptied = await opened(upstream({ port: dovecot.pop3sPort, tls: 'implicit' }));
    expect(await ask(emptied, 'STAT')).toMatch(/^\+OK 0 /);
    emptied.cut();
  });

  it.each([
    ['in one step', 'wrong'],
    ['in two steps', 'wrong'.repeat(50)],
  ])(
    "wire 147: a credential of the gateway's own that is refused %s is not the client's fault",
    async (_, wrong) => {
      const wronged = {
        ...upstream({ port: dovecot.pop3sPort, tls: 'implicit' }),
        password: Secret.fromText(wrong),
      };
      expect(await outcomeOf(openPop3(wronged, login, options()))).toBe(
        'refused-us: login refused: Authentication failed.',
      );
    },
  );

  async function ask({ socket }: Pop3Link, command: string): Promise<string> {
    socket.write(`${command}\r\n`);
    socket.resume();
    let text = '';
    while (!text.includes('\r\n')) {
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      text += bytes.toString('latin1');
    }
    return text.slice(0, text.indexOf('\r\n'));
  }
});

describe('a backend that does as it likes', () => {
  let backend: ScriptedBackend;

  beforeEach(async () => {
    backend = await ScriptedBackend.open();
    backend.greeting = '+OK ready\r\n';
    backend.answer = () => '+OK Logged in.\r\n';
  });

  afterEach(async () => {
    // Whatever happened: nobody said QUIT in the name of a client (wire 148).
    expect(backend.received).not.toContain('QUIT');
    await backend.close();
  });

  const open = (overrides: Partial<UpstreamOptions> = {}) =>
    openPop3(upstreamOf({ port: backend.port, ...overrides }), login, options());

  it("wire 59, 60: what comes behind the +OK is the client's, and nothing is lost", async () => {
    backend.answer = () => '+OK [X] in \x1b here\r\n+OK 2 3';
    const link = await opened(upstreamOf({ port: backend.port }));
    expect(backend.received).toBe(`AUTH PLAIN ${credentialBytes}\r\n`);
    expect([link.text, link.leftover.toString(), link.socket.isPaused()]).toEqual([
      'in   here',
      '+OK 2 3',
      true,
    ]);
    backend.sockets[0]?.write('20\r\n');
    const [rest] = (await once(link.socket.resume(), 'data')) as [Buffer];
    expect(rest.toString()).toBe('20\r\n');
    link.cut();
    link.cut();
  });

  it.each([
    ['an error', '-ERR [SYS/TEMP] busy\r\n', 'greeting: greeted with -ERR [SYS/TEMP] busy'],
    ['another protocol', '* OK IMAP4rev1\r\n', 'greeting: not a POP3 greeting'],
    ['garbage', '\0\xff\n', 'greeting: not a POP3 greeting'],
    ['a line without end', 'x'.repeat(100_000), 'protocol: too much data during login'],
    ['more than was asked', '+OK ready\r\n+OK Logged in.\r\n', 'protocol: an answer to nothing we asked'],
  ])('wire 69, 147: greets with %s', async (_, greeting, outcome) => {
    backend.greeting = greeting;
    expect(await outcomeOf(open())).toBe(outcome);
    expect(backend.received).toBe('');
  });

  it.each([
    ['IN-USE', '-ERR [IN-USE] locked\r\n', 'mailbox-refused'],
    ['SYS/PERM', '-ERR [SYS/PERM] disabled\r\n', 'mailbox-refused'],
    ['AUTH', '-ERR [AUTH] no\r\n', 'refused-us: login refused: no'],
    ['no code', '-ERR no\r\n', 'refused-us: login refused: no'],
    ['a challenge', '+ \r\n', 'protocol: unexpected line: a continuation'],
    ['a line without end', 'y'.repeat(100_000), 'protocol: too much data during login'],
  ])('wire 147, S-52: answers the login with %s', async (_, answer, outcome) => {
    backend.answer = () => answer;
    expect(await outcomeOf(open())).toBe(outcome);
  });

  it('wire 147: the code and text of a lock reach the client', async () => {
    backend.answer = () => '-ERR [IN-USE] locked\r\n';
    expect(await open()).toEqual({ kind: 'mailbox-refused', code: 'IN-USE', text: 'locked' });
  });

  it('wire 155: hangs up at each step', async () => {
    backend.onConnection = (socket) => socket.destroy();
    expect(await outcomeOf(open())).toMatch(/^(?:greeting|closed): /);
    backend.onConnection = null;
    backend.answer = (_, socket) => {
      socket.destroy();
      return null;
    };
    expect(await outcomeOf(open())).toMatch(/^(?:protocol|closed): /);
  });

  it('wire 70: bytes behind the +OK to STLS end it, before any handshake', async () => {
    backend.answer = () => '+OK go\r\n+OK Logged in.\r\n';
    expect(await outcomeOf(open({ tls: 'starttls', ca: certificates.ca }))).toBe(
      'protocol: an answer to nothing we asked',
    );
    expect(backend.received).toBe('STLS\r\n');
  });

  it('wire 70: STLS that is refused never goes on in clear', async () => {
    backend.answer = () => '-ERR not now\r\n';
    expect(await outcomeOf(open({ tls: 'starttls', ca: certificates.ca }))).toBe(
      'protocol: STLS answered with -ERR not now',
    );
    expect(backend.received).toBe('STLS\r\n');
  });

  it('wire 130: XCLIENT is said to who offers it, and only where the site wants it', async () => {
    backend.greeting = '+OK [XCLIENT] ready\r\n';
    (await opened(upstreamOf({ port: backend.port }))).cut();
    (await opened(withXclient(upstreamOf({ port: backend.port })))).cut();
    expect(backend.received.split('\r\n')).toEqual([
      `AUTH PLAIN ${credentialBytes}`,
      'XCLIENT ADDR=203.0.113.7 PORT=51234 SESSION=k3 TTL=4',
      `AUTH PLAIN ${credentialBytes}`,
      '',
    ]);
  });

  it('S-44: gets no credential where its certificate is wrong', async () => {
    backend.answer = (line, socket) => {
      if (line !== 'STLS') return '+OK Logged in.\r\n';
      socket.write('+OK go\r\n');
      backend.secure(socket, false, certificate);
      return null;
    };
    for (const wrong of [{ serverName: 'other.example.com' }, { ca: null }]) {
      const outcome = await outcomeOf(
        open({ tls: 'starttls', ca: certificates.ca, serverName: 'localhost', ...wrong }),
      );
      expect(outcome).toMatch(/^tls: /);
    }
    expect(backend.received.replaceAll('STLS\r\n', '')).toBe('');
    // The same with the right one, or this would pass whatever the reason.
    const right = { tls: 'starttls', ca: certificates.ca, serverName: 'localhost' } as const;
    expect(await outcomeOf(open(right))).toBe('open');
  });

  it('is given up with its caller', async () => {
    const caller = new AbortController();
    backend.answer = () => {
      caller.abort();
      return null;
    };
    const opening = openPop3(upstreamOf({ port: backend.port }), login, { peer, signal: caller.signal });
    expect(await outcomeOf(opening)).toBe('closed: given up by the caller');
    const [socket] = backend.sockets;
    if (socket?.destroyed === false && !socket.readableEnded) await once(socket, 'end');
  });

  it('S-14: opens for nobody but a verified login', async () => {
    const forged = { address: 'alice@example.com', backend: 'office' } as VerifiedLogin;
    await expect(openPop3(upstreamOf({ port: backend.port }), forged, options())).rejects.toThrow(TypeError);
    expect(backend.sockets).toHaveLength(0);
  });

  it('a backend without POP3 is a fault of ours', async () => {
    const { backend: settings, ...rest } = upstreamOf({ port: backend.port });
    const opening = openPop3({ ...rest, backend: { ...settings, pop3: null } }, login, options());
    await expect(opening).rejects.toThrow('backend office has no pop3');
  });
});
