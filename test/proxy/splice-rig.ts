import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { VerifiedLogin } from '../../src/credentials/verifier.ts';
import type { ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { splice, type Traffic } from '../../src/proxy/splice.ts';
import { connectSharing } from '../../src/upstream/shared-reads.ts';

/** How a leg is spoken; `sharing` is a clear backend whose reads share a buffer. */
export interface Legs {
  readonly client: 'tls' | 'clear';
  readonly backend: 'tls' | 'clear' | 'sharing';
}

export interface Rig {
  /** The mail program's end. */
  readonly client: Socket;
  /** The backend's end. */
  readonly backend: Socket;
  /** The gateway's ends. */
  readonly accepted: Socket;
  readonly upstream: Socket;
  readonly traffic: Traffic;
  /** Begins; for the other rigs it has begun. */
  splice(options?: Partial<Parameters<typeof splice>[3]>): ReturnType<typeof splice>;
  destroy(): void;
}

export interface RigParts {
  readonly login: VerifiedLogin;
  readonly certificates: ThrowAwayCertificates;
}

/** client ══ [accepted | splice | upstream] ══ backend, not spliced yet and paused on the gateway's side. */
export async function makeRig({ login, certificates }: RigParts, legs: Legs): Promise<Rig> {
  const pair = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
  const listening = async (isTls: boolean): Promise<Server> => {
    const server = isTls
      ? createTlsServer({ ...pair, allowHalfOpen: true })
      : createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  };
  const connection = async (server: Server, isTls: boolean): Promise<Socket> => {
    const [socket] = (await once(server, isTls ? 'secureConnection' : 'connection')) as [Socket];
    return socket.on('error', () => {});
  };
  const reach = async (server: Server, how: 'tls' | 'clear' | 'sharing'): Promise<Socket> => {
    const { port } = server.address() as AddressInfo;
    const tcp = { port, host: '127.0.0.1', allowHalfOpen: true };
    if (how === 'tls') {
      const socket = connectTls({ ...tcp, ca: certificates.ca, servername: 'localhost' });
      await once(socket, 'secureConnect');
      return socket.on('error', () => {});
    }
    const socket = how === 'sharing' ? connectSharing(tcp) : connect(tcp);
    socket.pause();
    await once(socket, 'connect');
    return socket.on('error', () => {});
  };
  const outer = await listening(legs.client === 'tls');
  const inner = await listening(legs.backend === 'tls');
  const [client, accepted, upstream, backend] = await Promise.all([
    reach(outer, legs.client),
    connection(outer, legs.client === 'tls'),
    reach(inner, legs.backend),
    connection(inner, legs.backend === 'tls'),
  ]);
  outer.close();
  inner.close();
  accepted.pause();
  upstream.pause();
  const traffic = { bytesUp: 0, bytesDown: 0 };
  return {
    client,
    backend,
    accepted,
    upstream,
    traffic,
    splice: (options = {}) =>
      splice(login, accepted, upstream, {
        fromClient: Buffer.alloc(0),
        fromUpstream: Buffer.alloc(0),
        idleTimeMs: 0,
        traffic,
        ...options,
      }),
    destroy: () => {
      for (const socket of [client, backend, accepted, upstream]) socket.destroy();
    },
  };
}
