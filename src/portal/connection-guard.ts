import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { NetworkLimit } from '../credentials/network-limit.ts';

/** Without a request under way: handshake, waiting, a request line that trickles. Node's own timers restart at each byte. */
const quietMs = 20_000;
/** The mail doors need descriptors too. */
const maxConnections = 4_000;
/** For answers under way when the portal closes. */
const graceMs = 1_000;

interface Connection {
  readonly socket: Socket;
  requests: number;
  quiet: NodeJS.Timeout | null;
}

/** Bounds the connections of an HTTP server, which Node counts but does not limit by peer. */
export class ConnectionGuard {
  readonly #connections = new Map<string, Connection>();
  readonly #limit: NetworkLimit | null;

  /** `perNetwork` null: behind a web proxy, which is one network. */
  constructor(server: HttpServer, perNetwork: number | null, quiet = quietMs) {
    this.#limit = perNetwork === null ? null : new NetworkLimit(perNetwork);
    server.maxConnections = maxConnections;
    server.on('connection', (socket: Socket) => this.#admit(socket, quiet));
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const connection = this.#connections.get(keyOf(request.socket));
      if (connection === undefined) return;
      connection.requests += 1;
      this.#rest(connection, null);
      response.once('close', () => {
        connection.requests -= 1;
        if (connection.requests === 0) this.#rest(connection, quiet);
      });
    });
    // Node hands these to the HTTP error handler, whose answer would wait for the handshake that has just failed.
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Ends what is idle at once and what is being answered after a second. */
  end(): void {
    for (const connection of this.#connections.values()) {
      if (connection.requests === 0) connection.socket.destroy();
    }
    setTimeout(() => {
      for (const { socket } of this.#connections.values()) socket.destroy();
    }, graceMs).unref();
  }

  #admit(socket: Socket, quiet: number): void {
    const address = socket.remoteAddress;
    if (address === undefined) {
      socket.destroy();
      return;
    }
    const connection: Connection = { socket, requests: 0, quiet: null };
    const key = keyOf(socket);
    this.#connections.set(key, connection);
    this.#rest(connection, quiet);
    const isWithin = this.#limit?.enter(address) ?? true;
    socket.once('close', () => {
      this.#rest(connection, null);
      this.#connections.delete(key);
      this.#limit?.leave(address);
    });
    if (!isWithin) socket.destroy();
  }

  #rest(connection: Connection, quiet: number | null): void {
    if (connection.quiet !== null) clearTimeout(connection.quiet);
    connection.quiet = quiet === null ? null : setTimeout(() => connection.socket.destroy(), quiet).unref();
  }
}

/** The TLS socket of a request and the TCP socket under it have the peer's address and port in common. */
function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
