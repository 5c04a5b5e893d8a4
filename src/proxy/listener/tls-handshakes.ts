import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { type CertificateChoice, chooseCertificates, findGroup } from '../../config/certificate-choice.ts';
import { certificatesOption, type MailTls } from '../../config/server-tls.ts';
import type { Protocol } from '../../credentials/verdict.ts';
import type { Logger } from '../../observability/logger.ts';

/** A client that offers other protocols is not ours: an HTTP request must not be answered as mail (ALPACA, wire 119). */
const applicationProtocols: Readonly<Record<Protocol, string[]>> = {
  imap: ['imap'],
  pop3: ['pop3'],
  smtp: ['smtp', 'submission'],
};
const handshakeTimeMs = 15_000;
/** A stolen ticket key opens recorded sessions: short-lived, in memory, one per listener (S-08). */
const ticketKeyLifeMs = 12 * 3_600_000;

/** Called once: with the TLS socket, or with null where there is none and the connection is gone. */
type Done = (socket: TLSSocket | null) => void;

/**
 * The server side of TLS for connections that somebody else accepted: Node's own server, which never listens, so that
 * time limits, tickets and server names stay Node's.
 */
export class TlsHandshakes {
  readonly #logger: Logger;
  readonly #server: Server;
  /** By both ends of the connection: Node does not tell on which socket a TLS socket stands. */
  readonly #underway = new Map<string, Done>();
  /** Tickets are good at this listener only, and sessions of one certificate for another (CVE-2025-23419 of nginx). */
  readonly #sessionIdContext = randomBytes(16).toString('hex');
  readonly #rotation: NodeJS.Timeout;
  #tls: MailTls;
  #names: CertificateChoice<SecureContext | null>;

  constructor(protocol: Protocol, tls: MailTls, logger: Logger) {
    this.#logger = logger;
    this.#tls = tls;
    const { standard, names } = this.#contexts();
    this.#names = names;
    this.#server = createServer({
      ...standard,
      ALPNProtocols: applicationProtocols[protocol],
      handshakeTimeout: handshakeTimeMs,
      // No throw, and nothing kept of the name (S-07).
      SNICallback: (name, chosen) => chosen(null, findGroup(this.#names, name) ?? undefined),
    });
    this.#server.on('secureConnection', this.#onSecure);
    this.#server.on('tlsClientError', (error, socket) => {
      this.#logger.debug({ peer: socket.remoteAddress, err: error }, 'TLS handshake failed');
      socket.destroy();
    });
    this.#rotation = setInterval(() => this.useCertificates(this.#tls), ticketKeyLifeMs).unref();
  }

  /** Takes over a socket that nobody else reads from; what is buffered in it is taken as TLS. */
  begin(socket: Socket, done: Done): void {
    const key = endsOf(socket);
    const finish: Done = (tlsSocket) => {
      if (this.#underway.get(key) !== finish) return;
      this.#underway.delete(key);
      done(tlsSocket);
    };
    this.#underway.set(key, finish);
    socket.once('close', () => finish(null));
    // A peer that closes during the handshake must not hold its place until the timeout.
    socket.allowHalfOpen = false;
    this.#server.emit('connection', socket);
  }

  /** For handshakes from now on, with new ticket keys. Throws what Node says of unusable ones, with nothing changed. */
  useCertificates(tls: MailTls): void {
    const before = this.#tls;
    this.#tls = tls;
    try {
      const { standard, names } = this.#contexts();
      this.#server.setSecureContext(standard);
      this.#names = names;
    } catch (error) {
      this.#tls = before;
      throw error;
    }
  }

  close(): void {
    clearInterval(this.#rotation);
  }

  readonly #onSecure = (socket: TLSSocket): void => {
    // From birth, because a reset may come at any moment (S-07); a TLS error alone would leave the socket open.
    socket.on('error', () => socket.destroy());
    const finish = this.#underway.get(endsOf(socket));
    if (finish === undefined) {
      socket.destroy();
      return;
    }
    socket.allowHalfOpen = true;
    finish(socket);
  };

  #contexts() {
    const { settings, certificates } = this.#tls;
    const choice = chooseCertificates(certificates);
    // Node takes a ticket's keys from the context of the name where there is one.
    const shared = {
      ...settings,
      sessionIdContext: this.#sessionIdContext,
      ticketKeys: randomBytes(48),
    };
    const contexts = new Map<unknown, SecureContext | null>([[choice.standard, null]]);
    const byName = new Map<string, SecureContext | null>();
    for (const [name, group] of choice.byName) {
      const context = contexts.get(group) ?? null;
      if (context === null && group !== choice.standard) {
        contexts.set(group, createSecureContext({ ...shared, ...certificatesOption(group) }));
      }
      byName.set(name, contexts.get(group) ?? null);
    }
    const standard = { ...shared, ...certificatesOption(choice.standard) };
    return { standard, names: { standard: null, byName } };
  }
}

function endsOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}
