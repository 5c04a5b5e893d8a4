import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { MailTls } from '../config/server-tls.ts';
import { canonicalCidr, isAllowed } from '../credentials/network.ts';
import type { Protocol } from '../credentials/verdict.ts';
import type { Logger } from '../observability/logger.ts';
import type { Connection, Door, Peer, Security } from './door/door.ts';
import { Admission, type Place } from './listener/admission.ts';
import { peerBehind, peerOf } from './listener/peer.ts';
import { receiveProxyHeader } from './listener/proxy-header.ts';
import { TlsHandshakes } from './listener/tls-handshakes.ts';

/** NATs forget idle flows after 5 minutes and more (wire 67). */
const keepAliveMs = 120_000;
/** Node's default of 511 overflows when every client of an office reconnects at once (wire 156). */
const backlog = 4_096;

export interface ListenerParts {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  readonly tls: MailTls;
  /** When TLS begins: at once, or when the client asks for it. `implicit` where left out. */
  readonly mode?: 'implicit' | 'starttls';
  /** Load balancers, who begin each connection with a PROXY header; where there are any, nobody else may connect. */
  readonly proxyProtocolFrom?: readonly string[];
  readonly door: Door;
  readonly connectionsPerNetwork: number;
  /** The others are those of the configuration's defaults where left out. */
  readonly handshakesPerSecond?: number;
  readonly handshakeBurst?: number;
  readonly unfinishedHandshakesPerNetwork?: number;
  /** Whoever they are from; more are closed unheard. */
  readonly connections?: number;
  readonly logger: Logger;
  readonly now?: () => number;
}

export interface Listener {
  /** The bound port, also where 0 was asked for. */
  readonly port: number;
  /** Networks that have a connection or a handshake here now, wider ones included. */
  readonly networks: number;
  /** New connections get the new certificates; the others keep theirs. Throws, with nothing changed, for unusable ones. */
  useCertificates(tls: MailTls): void;
  /** Stops accepting, and ends what has not reached its door yet; what a door has goes on. */
  close(): void;
}

/** Opens one port and hands each connection to its door. Rejects when the port cannot be bound. */
export async function listen(parts: ListenerParts): Promise<Listener> {
  const accepting = new AcceptingPort(parts);
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs });
  server.maxConnections = parts.connections ?? 10_000;
  server.on('connection', (socket) => accepting.accept(socket));
  server.listen({ host: parts.host, port: parts.port, backlog });
  try {
    await once(server, 'listening');
  } catch (error) {
    accepting.close();
    throw error;
  }
  // An accept that failed, for want of memory say, must not end the process.
  server.on('error', (error) => parts.logger.warn({ err: error, protocol: parts.protocol }, 'accept failed'));
  return {
    port: (server.address() as AddressInfo).port,
    get networks() {
      return accepting.networks;
    },
    useCertificates: (tls) => accepting.useCertificates(tls),
    close: () => {
      // Its callback waits for every connection, which drain on their own: only the port must be free.
      server.close();
      accepting.close();
    },
  };
}

/** Who a connection is from. `isCounted` is false for a load balancer's own, mostly health checks (wire 128). */
interface Caller {
  readonly peer: Peer;
  readonly isCounted: boolean;
}

type Identity = Pick<Connection, 'peer' | 'sessionId' | 'logger' | 'loggedIn'>;

/** What happens to a connection between the accept and its door: PROXY header, limits, TLS. */
class AcceptingPort {
  readonly #parts: ListenerParts;
  readonly #admission: Admission;
  readonly #handshakes: TlsHandshakes;
  readonly #balancers: readonly string[];
  readonly #security: Security;
  /** Connections that no door has: in the PROXY header or a handshake. */
  readonly #underway = new Set<Socket>();

  constructor(parts: ListenerParts) {
    this.#parts = parts;
    const { connectionsPerNetwork, now = Date.now } = parts;
    const { handshakesPerSecond = 20, handshakeBurst = 60, unfinishedHandshakesPerNetwork = 50 } = parts;
    this.#admission = new Admission(
      { connectionsPerNetwork, handshakesPerSecond, handshakeBurst, unfinishedHandshakesPerNetwork },
      now,
    );
    this.#handshakes = new TlsHandshakes(parts.protocol, parts.tls, parts.logger);
    this.#balancers = (parts.proxyProtocolFrom ?? []).map(requiredCidr);
    this.#security = parts.tls.isLegacy ? 'legacy-tls' : 'tls';
  }

  get networks(): number {
    return this.#admission.size;
  }

  useCertificates(tls: MailTls): void {
    this.#handshakes.useCertificates(tls);
  }

  close(): void {
    this.#handshakes.close();
    for (const socket of this.#underway) socket.destroy();
  }

  accept(socket: Socket): void {
    // From birth, because a reset may come at any moment (S-07).
    socket.on('error', () => socket.destroy());
    const peer = peerOf(socket);
    if (peer === null) {
      socket.destroy();
      return;
    }
    if (this.#balancers.length === 0) {
      this.#admit(socket, { peer, isCounted: true });
      return;
    }
    // A header from anybody else would be a lie, a connection without one an alias of the balancer (S-06).
    if (!isAllowed(peer.address, this.#balancers)) {
      this.#drop(socket, peer, 'not a load balancer');
      return;
    }
    this.#begin(socket);
    receiveProxyHeader(socket, (header) => {
      this.#underway.delete(socket);
      if (header === null) this.#drop(socket, peer, 'no PROXY header');
      else this.#admit(socket, { peer: peerBehind(peer, header), isCounted: header.kind === 'proxied' });
    });
  }

  #admit(socket: Socket, caller: Caller): void {
    const { peer, isCounted } = caller;
    const place = isCounted ? this.#admission.connect(peer.address) : uncounted;
    if (place === null) {
      this.#drop(socket, peer, 'too many connections of its network');
      return;
    }
    const leave = leaveOnce(place);
    socket.once('close', leave);
    const give = (connection: Connection) => {
      // Inside TLS where it is implicit, or the client reports a TLS error instead of the reason (wire 152).
      if (place.isOverLimit) this.#parts.door.refuse(connection);
      else this.#parts.door.accept(connection);
    };
    const identity: Identity = { ...this.#identify(peer), loggedIn: leave };
    if (this.#parts.mode === 'starttls') {
      socket.allowHalfOpen = true;
      give({
        ...identity,
        socket,
        security: 'clear',
        secure: () =>
          new Promise((resolve) => {
            this.#secure(socket, caller, (secured) =>
              resolve(secured === null ? null : this.#secured(secured, identity)),
            );
          }),
      });
      return;
    }
    this.#secure(socket, caller, (secured) => {
      if (secured !== null) give(this.#secured(secured, identity));
    });
  }

  #secure(socket: Socket, { peer, isCounted }: Caller, done: (socket: TLSSocket | null) => void): void {
    // The client left while its STARTTLS was answered.
    if (socket.destroyed) {
      done(null);
      return;
    }
    const place = isCounted ? this.#admission.handshake(peer.address) : uncounted;
    if (place === null) {
      this.#drop(socket, peer, 'too many handshakes of its network');
      done(null);
      return;
    }
    const already = socket.bytesRead - socket.readableLength;
    this.#begin(socket);
    this.#handshakes.begin(socket, (secured) => {
      this.#underway.delete(socket);
      place.leave(socket.bytesRead > already);
      done(secured);
    });
  }

  #begin(socket: Socket): void {
    this.#underway.add(socket);
  }

  /** Without a word, and without a line that a stranger could fill a log with. */
  #drop(socket: Socket, peer: Peer, reason: string): void {
    this.#parts.logger.debug(
      { protocol: this.#parts.protocol, peer: peer.address, reason },
      'connection dropped',
    );
    socket.destroy();
  }

  #identify(peer: Peer): Omit<Identity, 'loggedIn'> {
    const { protocol } = this.#parts;
    const sessionId = randomBytes(9).toString('base64url');
    const legacy = this.#security === 'legacy-tls' ? { security: this.#security } : {};
    const logger = this.#parts.logger.child({ session: sessionId, protocol, peer: peer.address, ...legacy });
    return { peer, sessionId, logger };
  }

  #secured(socket: TLSSocket, identity: Identity): Connection {
    return { ...identity, socket, security: this.#security, secure: async () => null };
  }
}

const uncounted: { readonly isOverLimit: false; leave(): void } = { isOverLimit: false, leave: () => {} };

function leaveOnce(place: Place): () => void {
  let isLeft = false;
  return () => {
    if (!isLeft) place.leave();
    isLeft = true;
  };
}

function requiredCidr(network: string): string {
  const canonical = canonicalCidr(network);
  if (canonical === null) throw new Error(`${network} is not a network`);
  return canonical;
}
