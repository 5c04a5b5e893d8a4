import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { backendHost } from '../../src/config/primitives.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { startDovecot } from '../../src/demo/dovecot.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import { type ImapLink, openImap } from '../../src/upstream/imap.ts';
import type { Opening, OpenOptions } from '../../src/upstream/opening.ts';
import { OwnEndpoints } from '../../src/upstream/own-endpoints.ts';
import { forwardedTtl } from '../../src/upstream/proxy-ttl.ts';
import { until } from '../support/until.ts';
import {
  credentialBytes,
  masterPassword,
  outcomeOf,
  peer,
  routeContext,
  type UpstreamOptions,
  upstreamOf,
  verifiedAlice,
} from './bed.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { openDoorBed } from './door-bed.ts';
import { logsIn, ScriptedBackend, type ServerCertificate } from './scripted-backend.ts';

let certificates: Certificates;
let alice: Awaited<ReturnType<typeof verifiedAlice>>;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  certificates = await makeCertificates();
  alice = await verifiedAlice();
});
afterAll(() => alice.close());
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function backendWith(tls?: ServerCertificate): Promise<ScriptedBackend> {
  const backend = await ScriptedBackend.open(tls === undefined ? {} : { tls });
  closers.push(() => backend.close());
  return backend;
}

function opening(
  port: number,
  options: Omit<UpstreamOptions, 'port'> = {},
  more: Partial<OpenOptions> = {},
): Promise<Opening<ImapLink>> {
  const signal = new AbortController().signal;
  return openImap(upstreamOf({ port, ...options }), alice.login, { peer, signal, ...more });
}

describe('S-44: the certificate of a backend', () => {
  const named = { tls: 'implicit', serverName: 'mail.backend.example' } as const;

  it('is believed for the configured name or address, and the credential is sent', async () => {
    const backend = await backendWith(certificates.right);
    const { ca } = certificates;
    expect(await outcomeOf(opening(backend.port, { ...named, ca }))).toBe('open');
    expect(await outcomeOf(opening(backend.port, { tls: 'implicit', ca }))).toBe('open');
    expect(backend.received.split(credentialBytes)).toHaveLength(3);
  });

  it.each([
    ['of another name', 'wrongName', named],
    ['that has expired', 'expired', named],
    ['of nobody', 'selfSigned', named],
    ['of an authority that was not configured', 'right', { ...named, ca: null }],
    ['of a name, by address', 'withoutAddress', { tls: 'implicit' }],
  ] as const)('%s gets no credential, and nothing else', async (_, name, options) => {
    const backend = await backendWith(certificates[name]);
    expect(await outcomeOf(opening(backend.port, { ca: certificates.ca, ...options }))).toMatch(/^tls: /);
    expect(backend.received).toBe('');
  });

  it('after STARTTLS gets none either', async () => {
    for (const name of ['wrongName', 'expired', 'selfSigned'] as const) {
      const backend = await backendWith();
      backend.answer = (line, socket) => {
        if (!line.startsWith('S ')) return logsIn(line);
        socket.write('S OK go\r\n');
        backend.secure(socket, false, certificates[name]);
        return null;
      };
      const options = { ...named, tls: 'starttls', ca: certificates.ca } as const;
      expect(await outcomeOf(opening(backend.port, options))).toMatch(/^tls: /);
      expect(backend.received).toBe('S STARTTLS\r\n');
    }
  });

  it.each(['a\u3002example', 'a\uff0eexample', 'a.example\0.evil'])(
    'of %j, which other programs read otherwise: not configured, and not dialled',
    async (serverName) => {
      expect(backendHost.safeParse(serverName).success).toBe(false);
      const backend = await backendWith(certificates.right);
      const options = { tls: 'implicit', serverName, ca: certificates.ca } as const;
      await expect(opening(backend.port, options)).rejects.toThrow(TypeError);
      expect(backend.sockets).toHaveLength(0);
    },
  );

  it('is checked anew on every connection: no session is resumed', async () => {
    const backend = await backendWith(certificates.right);
    const upstream = upstreamOf({ port: backend.port, ...named, ca: certificates.ca });
    for (let count = 0; count < 3; count += 1) {
      const signal = new AbortController().signal;
      const result = await openImap(upstream, alice.login, { peer, signal });
      if (result.kind !== 'open') throw new Error(result.kind);
      const socket = result.link.socket as TLSSocket;
      // The ticket that a client could resume with has come by then.
      socket.resume();
      await until(() => socket.getSession() !== undefined);
      expect(socket.isSessionReused()).toBe(false);
      result.link.cut();
    }
  });
});

describe('wire 70, 71: a real Dovecot behind STARTTLS', () => {
  it('lets the master user in as the person, and tells whom it serves', async () => {
    const scratch = await makeScratchFolder();
    const { ca, certFile, keyFile } = await makeThrowAwayCertificates(scratch.path);
    const dovecot = await startDovecot({
      folder: scratch.path,
      users: { 'alice@example.com': 'main' },
      master: { user: 'gateway', password: masterPassword },
      certificate: { cert: certFile, key: keyFile },
    });
    closers.push(
      () => scratch.remove(),
      () => dovecot.stop(),
    );
    const options = { tls: 'starttls', serverName: 'mail.example.com', ca, imapId: true } as const;
    const result = await opening(dovecot.imapPort, options);
    if (result.kind !== 'open') throw new Error(result.kind);
    closers.push(() => result.link.cut());
    const { socket, capabilities } = result.link;
    expect((socket as TLSSocket).authorized).toBe(true);
    expect(capabilities).toMatch(/\bIDLE\b/);
    expect(capabilities).not.toMatch(/AUTH=|STARTTLS/);
    let heard = '';
    socket.on('data', (bytes: Buffer) => {
      heard += bytes.toString();
    });
    socket.resume();
    socket.write('a SELECT INBOX\r\n');
    await until(() => heard.includes('a OK'));
    expect(await outcomeOf(opening(dovecot.imapPort, { ...options, ca: null }))).toMatch(/^tls: /);
  }, 60_000);
});

describe('wire 133: the master login', () => {
  it('is authzid, authcid and password in one message, in that order', async () => {
    const backend = await backendWith();
    expect(await outcomeOf(opening(backend.port))).toBe('open');
    const message = Buffer.from(backend.received.trim().split(' ')[3] ?? '', 'base64').toString();
    expect(message).toBe(`alice@example.com\0gateway\0${masterPassword}`);
  });

  it.each(['joe*admin', 'joe*gateway@example.com', 'gateway', 'gateway@example.com', 'root@example.com'])(
    'S-47: %s is refused, and the backend not dialled',
    async (name) => {
      const backend = await backendWith();
      const door = await openDoorBed({ port: backend.port });
      closers.push(door.close);
      expect(await door.say(`a LOGIN "${name}" aaaaaaaaaaaaaaar`)).toContain(
        '\r\na NO [AUTHENTICATIONFAILED] ',
      );
      expect(backend.sockets).toHaveLength(0);
    },
  );
});

describe('wire 71: what a backend is told', () => {
  it('is whom it serves, where it lists ID, and then the login', async () => {
    const backend = await backendWith();
    backend.greeting = '* OK [CAPABILITY IMAP4rev1 SASL-IR ID] ready\r\n';
    expect(await outcomeOf(opening(backend.port, { imapId: true }))).toBe('open');
    expect(backend.received).toBe(
      [
        'I ID ("x-originating-ip" "203.0.113.7" "x-originating-port" "51234" "x-connected-ip" "198.51.100.1" "x-connected-port" "993" "x-session-id" "k3" "x-proxy-ttl" "4" "x-client-transport" "TLS")',
        `L AUTHENTICATE PLAIN ${credentialBytes}`,
        '',
      ].join('\r\n'),
    );
  });
});

describe('wire 72: hops', () => {
  it.each([
    [null, 4],
    [9, 4],
    [5, 4],
    [4, 3],
    [1, 0],
    [0, null],
    [-1, null],
  ])('of a client that says %s: %s', (given, forwarded) => {
    expect(forwardedTtl(given)).toBe(forwarded);
  });

  it('are told to the backend, and at none left it is not dialled', async () => {
    const backend = await backendWith();
    backend.greeting = '* OK [CAPABILITY IMAP4rev1 SASL-IR ID] ready\r\n';
    const told = async (proxyTtl?: number | null) => {
      backend.received = '';
      const more = proxyTtl === undefined ? {} : { proxyTtl };
      expect(await outcomeOf(opening(backend.port, { imapId: true }, more))).toBe('open');
      return /"x-proxy-ttl" "(\d+)"/.exec(backend.received)?.[1];
    };
    expect([await told(), await told(null), await told(3), await told(1)]).toEqual(['4', '4', '2', '0']);
    const before = backend.sockets.length;
    expect(await outcomeOf(opening(backend.port, { imapId: true }, { proxyTtl: 0 }))).toBe(
      'loop: the client came through too many proxies',
    );
    expect(backend.sockets).toHaveLength(before);
  });
});

describe('wire 72: the gateway as its own backend', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['localhost', '127.0.0.1'],
  ])('a door on %s is found at %s and hears nothing', async (bound, host) => {
    const door = await backendWith();
    const own = new OwnEndpoints();
    own.add(bound, door.port);
    const { context } = routeContext({ own });
    expect(await outcomeOf(opening(door.port, { host, context }))).toBe(
      `loop: 127.0.0.1 port ${door.port} is this gateway itself`,
    );
    await until(() => door.sockets.every((socket) => socket.readableEnded || socket.destroyed));
    expect([door.sockets.length, door.received]).toEqual([1, '']);
  });

  it('is not mistaken for a server on the same port of another address', async () => {
    const backend = await backendWith();
    const own = new OwnEndpoints();
    own.add('127.0.0.2', backend.port);
    own.add('192.0.2.77', backend.port);
    own.add('::', backend.port + 1);
    const { context } = routeContext({ own });
    expect(await outcomeOf(opening(backend.port, { context }))).toBe('open');
  });

  it('is not found on a machine elsewhere', () => {
    const own = new OwnEndpoints();
    own.add('::', 993);
    const far = { remoteAddress: '203.0.113.9', remotePort: 993, localAddress: '198.51.100.1' };
    expect(own.isPeerOf(far as Socket)).toBe(false);
    expect(own.isPeerOf({ ...far, remoteAddress: '198.51.100.1' } as Socket)).toBe(true);
    expect(own.isPeerOf({ ...far, remoteAddress: '::ffff:198.51.100.1' } as Socket)).toBe(true);
  });
});
