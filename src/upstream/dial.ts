import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { backendIdentity } from '../config/backend-tls.ts';
import { errorCode, errorText } from '../observability/error-text.ts';
import type { ForwardedPeer } from '../protocol/forwarded-peer.ts';
import { encodeProxyHeaderV2 } from '../protocol/proxy-header/v2.ts';
import { Addresses } from './addresses.ts';
import { connectFirst, defaultConnectTimes, UnreachableError } from './connect-first.ts';
import { endpointOf, type Leg } from './leg.ts';
import { connectSharing } from './shared-reads.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

const handshakeMs = 10_000;

export interface DialOptions {
  readonly signal: AbortSignal;
  /** Whose connection it is, for a backend that expects a PROXY header; left out: the gateway's own. */
  readonly peer?: ForwardedPeer;
}

/**
 * Connects one leg of a backend: TLS done where the leg is implicit TLS, clear where it is `starttls` or `none`.
 * The socket is paused, half-open capable and without Nagle's delay. Rejects with {@link UpstreamError}, after a fault of ours with any other error; nothing is open then.
 */
export async function dial(upstream: Upstream, leg: Leg, options: DialOptions): Promise<Socket> {
  const endpoint = endpointOf(upstream, leg);
  // Faults of ours before anything is open.
  if (endpoint.tls !== 'none') identityOf(upstream, leg);
  const socket = await reach(upstream, leg, options);
  if (upstream.backend.forward.proxyProtocol === 'v2') socket.write(proxyHeader(socket, options.peer));
  return endpoint.tls === 'implicit' ? await startTls(socket, upstream, leg, options) : socket;
}

/**
 * Upgrades a clear leg after the backend agreed to STARTTLS. The caller has made sure that nothing was buffered
 * (wire 70). Rejects with {@link UpstreamError} only, the socket destroyed.
 */
export async function startTls(
  socket: Socket,
  upstream: Upstream,
  leg: Leg,
  options: { readonly signal: AbortSignal },
): Promise<TLSSocket> {
  const { name } = upstream.backend;
  const timeout = AbortSignal.timeout(handshakeMs);
  const secured = tlsConnect({ socket, ...identityOf(upstream, leg) });
  // For as long as it lives, whoever listens (S-07): a TLS error alone would leave it open, and its session hanging.
  secured.on('error', () => secured.destroy());
  try {
    await once(secured, 'secureConnect', { signal: AbortSignal.any([options.signal, timeout]) });
  } catch (error) {
    secured.destroy();
    socket.destroy();
    if (options.signal.aborted) throw givenUp(name, error);
    if (timeout.aborted)
      throw new UpstreamError(name, 'timeout', 'no TLS handshake in time', { cause: error });
    // Hung up in the middle is what a server does that is going down; a certificate is wrong until somebody acts.
    const isCut = errorCode(error) === 'ECONNRESET' || errorCode(error) === 'EPIPE';
    throw new UpstreamError(name, isCut ? 'closed' : 'tls', errorText(error), { cause: error });
  }
  return secured.pause();
}

function identityOf(upstream: Upstream, leg: Leg): ConnectionOptions {
  const secureContext = upstream[`${leg}Tls`];
  if (secureContext === null)
    throw new Error(`backend ${upstream.backend.name} has no TLS context for ${leg}`);
  return backendIdentity(secureContext, endpointOf(upstream, leg).serverName);
}

async function reach(upstream: Upstream, leg: Leg, { signal }: DialOptions): Promise<Socket> {
  const { name } = upstream.backend;
  const { host, port, tls } = endpointOf(upstream, leg);
  const route = upstream.routes?.[leg];
  const addresses = route?.addresses ?? new Addresses(host);
  const times = route?.connectTimes ?? defaultConnectTimes;
  const isSpliced = tls === 'none' && leg !== 'smtp';
  try {
    const { socket, address } = await connectFirst(await addresses.inOrder(), port, {
      signal,
      times,
      ...(isSpliced ? { connectBy: connectSharing } : {}),
    });
    if (route?.own.isPeerOf(socket) === true) {
      socket.destroy();
      throw new UpstreamError(name, 'loop', `${address} port ${port} is this gateway itself`);
    }
    addresses.answered(address);
    return socket;
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
    if (signal.aborted) throw givenUp(name, error);
    const kind = error instanceof UnreachableError && error.isTimeout ? 'timeout' : 'connect';
    throw new UpstreamError(name, kind, errorText(error), { cause: error });
  }
}

function proxyHeader(socket: Socket, peer: ForwardedPeer | undefined): Buffer {
  const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = socket;
  return peer === undefined
    ? encodeProxyHeaderV2(
        { address: localAddress, port: localPort },
        { address: remoteAddress, port: remotePort },
      )
    : encodeProxyHeaderV2(peer, { address: peer.localAddress, port: peer.localPort });
}

function givenUp(backend: string, cause: unknown): UpstreamError {
  return new UpstreamError(backend, 'closed', 'given up by the caller', { cause });
}
