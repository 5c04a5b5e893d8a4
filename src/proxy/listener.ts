import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { networkOf } from '../credentials/network.ts';
import { NetworkLimit } from '../credentials/network-limit.ts';
import type { Protocol } from '../credentials/verdict.ts';
import type { Logger } from '../observability/logger.ts';
import type { Connection, Door, Peer } from './door/door.ts';

/** A client that offers other protocols is not ours: an HTTP request must not be answered as mail (ALPACA, wire 119). */
const applicationProtocols: Readonly<Record<Protocol, string[]>> = {
  imap: ['imap'],
  pop3: ['pop3'],
  smtp: ['smtp', 'submission'],
};
const handshakeTimeoutMs = 15_000;
/** Handshakes under way per network; they cost CPU and need no credential (S-12). */
const handshakesPerNetwork = 50;
/** A stolen ticket key opens recorded sessions: short-lived, in memory, one per listener (S-08). */
const ticketKeyLifeMs = 12 * 3_600_000;
/** NATs forget idle flows after 5 minutes and more (wire 67). */
const keepAliveMs = 120_000;
/** Node's default of 511 overflows when every client of an office reconnects at once (wire 156). */
const backlog = 4_096;

export interface ListenerParts {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions;
  readonly door: Door;
  readonly connectionsPerNetwork: number;
  readonly logger: Logger;
}

export interface Listener {
  /** The bound port, also where 0 was asked for. */
  readonly port: number;
  /** New connections get the new certificate; the others keep theirs. */
  useCertificate(tls: TlsOptions): void;
  /** Stops accepting; what is connected goes on. */
  close(): void;
}

/** An accepted TCP connection, found again by the peer's address and port once its TLS stands. */
interface Accepted {
  readonly overLimit: boolean;
  handshakeDone(): void;
}

/** Opens one implicit TLS port and hands each connection to its door. Rejects when the port cannot be bound. */
export async function listen(parts: ListenerParts): Promise<Listener> {
  const connected = new NetworkLimit(parts.connectionsPerNetwork);
  const handshaking = new NetworkLimit(handshakesPerNetwork);
  const accepted = new Map<string, Accepted>();

  const server = createServer({
    ...parts.tls,
    ALPNProtocols: applicationProtocols[parts.protocol],
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  });

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    if (!handshaking.enter(address)) {
      handshaking.leave(address);
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    let underway = true;
    const connection: Accepted = {
      overLimit: !connected.enter(address),
      handshakeDone: () => {
        if (underway) handshaking.leave(address);
        underway = false;
      },
    };
    const key = peerKey(socket);
    accepted.set(key, connection);
    socket.once('close', () => {
      connection.handshakeDone();
      connected.leave(address);
      accepted.delete(key);
    });
  });

  server.on('secureConnection', (socket: TLSSocket) => {
    // From birth, because a reset may come at any moment (S-07); a TLS error alone would leave the socket open.
    socket.on('error', () => socket.destroy());
    // Only now: a peer that connects and closes during the handshake must not hold its place until the timeout.
    socket.allowHalfOpen = true;
    const tcp = accepted.get(peerKey(socket));
    const peer = peerOf(socket);
    if (tcp === undefined || peer === null) {
      socket.destroy();
      return;
    }
    tcp.handshakeDone();
    const session = randomBytes(9).toString('base64url');
    const logger = parts.logger.child({ session, protocol: parts.protocol, peer: peer.address });
    const connection: Connection = { socket, peer, sessionId: session, logger };
    // Inside TLS, or the client reports a TLS error instead of the reason (wire 152).
    if (tcp.overLimit) parts.door.refuse(connection);
    else parts.door.accept(connection);
  });

  server.on('tlsClientError', (error, socket) => {
    parts.logger.debug({ peer: socket.remoteAddress, err: error }, 'TLS handshake failed');
    socket.destroy();
  });

  server.setTicketKeys(randomBytes(48));
  const rotation = setInterval(() => server.setTicketKeys(randomBytes(48)), ticketKeyLifeMs).unref();

  server.listen({ host: parts.host, port: parts.port, backlog });
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    useCertificate: (tls) => server.setSecureContext(tls),
    close: () => {
      clearInterval(rotation);
      // Its callback waits for every connection, which drain on their own: only the port must be free.
      server.close();
    },
  };
}

function peerOf(socket: TLSSocket): Peer | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  return {
    address: remoteAddress.replace(/^::ffff:/, ''),
    port: remotePort,
    network: networkOf(remoteAddress),
    localAddress: (localAddress ?? '').replace(/^::ffff:/, ''),
    localPort: localPort ?? 0,
  };
}

function peerKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
