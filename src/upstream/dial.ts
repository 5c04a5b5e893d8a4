import { once } from 'node:events';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { errorText } from '../observability/error-text.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

export type Leg = 'imap' | 'smtp';

/** Name resolution, every address and the TLS handshake together. */
const connectTimeoutMs = 10_000;
/** NATs forget idle flows after 5 minutes and more (wire 67). */
const keepAliveMs = 120_000;

/**
 * Connects one leg of a backend: TLS done where the leg is implicit TLS, clear where it is `starttls` or `none`.
 * The socket is paused, half-open capable and without Nagle's delay. Rejects with {@link UpstreamError} only.
 */
export async function dial(
  upstream: Upstream,
  leg: Leg,
  options: { readonly signal: AbortSignal },
): Promise<Socket> {
  const endpoint = upstream.backend[leg];
  const tcp = {
    host: endpoint.host,
    port: endpoint.port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  };
  if (endpoint.tls === 'implicit') {
    return await established(
      tlsConnect({ ...tcp, ...tlsOptions(upstream, leg) }),
      'secureConnect',
      upstream,
      options,
    );
  }
  return await established(netConnect(tcp), 'connect', upstream, options);
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
  return await established(
    tlsConnect({ socket, ...tlsOptions(upstream, leg) }),
    'secureConnect',
    upstream,
    options,
  );
}

function tlsOptions(upstream: Upstream, leg: Leg): ConnectionOptions {
  const { serverName } = upstream.backend[leg];
  const secureContext = leg === 'imap' ? upstream.imapTls : upstream.smtpTls;
  if (secureContext === null)
    throw new Error(`backend ${upstream.backend.name} has no TLS context for ${leg}`);
  return {
    secureContext,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    // No `session` is ever given: a resumed session skips the check of the name (S-44).
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName, certificate),
  };
}

async function established<S extends Socket>(
  socket: S,
  event: 'connect' | 'secureConnect',
  upstream: Upstream,
  options: { readonly signal: AbortSignal },
): Promise<S> {
  const { name } = upstream.backend;
  const timeout = AbortSignal.timeout(connectTimeoutMs);
  let reachedPeer = !socket.connecting;
  socket.once('connect', () => {
    reachedPeer = true;
  });
  try {
    await once(socket, event, { signal: AbortSignal.any([options.signal, timeout]) });
  } catch (error) {
    // A socket destroyed here may still report; nobody is left to hear it.
    socket.on('error', () => {});
    socket.destroy();
    if (options.signal.aborted)
      throw new UpstreamError(name, 'closed', 'given up by the caller', { cause: error });
    if (timeout.aborted) throw new UpstreamError(name, 'timeout', 'no connection in time', { cause: error });
    const kind = reachedPeer && event === 'secureConnect' ? 'tls' : 'connect';
    throw new UpstreamError(name, kind, errorText(error), { cause: error });
  }
  return socket.pause();
}
