import type { Socket } from 'node:net';
import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import { errorText } from '../observability/error-text.ts';
import type { ForwardedPeer } from '../protocol/forwarded-peer.ts';
import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
  type UpstreamLoginEvent,
  type UpstreamLoginState,
} from '../protocol/imap/upstream-login.ts';
import { dial, startTls } from './dial.ts';
import { limitOpening, type Opening, type OpenOptions, openMs, type UpstreamLink } from './opening.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** A logged-in connection to the backend, for the splice. */
export interface ImapLink extends UpstreamLink {
  /** Paused; nothing of it has been lost. */
  readonly socket: Socket;
  /** What the client may be told; null where the backend told none. */
  readonly capabilities: string | null;
  /** What the backend sent behind its tagged OK. */
  readonly leftover: Buffer;
}

/**
 * Opens the person's mailbox on the backend with the gateway's master credential. The authzid is the verified
 * account's own name and nothing else (S-05). Rejects with {@link UpstreamError},
 * after a fault of ours with any other error; nothing is left open then.
 */
export async function openImap(
  upstream: Upstream,
  login: VerifiedLogin,
  options: OpenOptions,
): Promise<Opening<ImapLink>> {
  assertVerified(login);
  const { backend } = upstream;
  const limit = limitOpening(backend.name, options.signal, openMs);
  const { signal } = limit;
  let socket = await dial(upstream, 'imap', { signal }).catch((error: unknown) => {
    throw signal.aborted ? limit.error() : error;
  });

  return await new Promise<Opening<ImapLink>>((resolve, reject) => {
    let state: UpstreamLoginState;
    let settled = false;

    const onData = (bytes: Buffer) => advance({ type: 'received', bytes });
    const onEnd = () => advance({ type: 'ended' });
    const onError = (error: Error) =>
      fail(new UpstreamError(backend.name, 'closed', errorText(error), { cause: error }));
    const onAbort = () => fail(limit.error());

    function attach(): void {
      socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
      socket.resume();
    }
    function detach(): void {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
      socket.pause();
    }
    function settle(): void {
      settled = true;
      signal.removeEventListener('abort', onAbort);
      detach();
    }
    function fail(error: unknown): void {
      if (!settled) settle();
      discard(socket);
      reject(error);
    }
    function advance(event: UpstreamLoginEvent): void {
      if (settled) return;
      try {
        const next = stepUpstreamLogin(state, event);
        state = next.state;
        for (const effect of next.effects) perform(effect);
      } catch (error) {
        // A fault in an event handler would end the process.
        fail(error);
      }
    }
    function perform(effect: UpstreamLoginEffect): void {
      switch (effect.type) {
        case 'send':
          socket.write(effect.bytes);
          return;
        case 'start-tls':
          detach();
          startTls(socket, upstream, 'imap', { signal }).then((secured) => {
            socket = secured;
            if (settled) {
              discard(socket);
              return;
            }
            attach();
            advance({ type: 'tls-established' });
          }, fail);
          return;
        case 'logged-in':
          settle();
          resolve({ kind: 'open', link: linkOf(socket, effect) });
          return;
        case 'failed':
          if (effect.kind === 'unavailable-user' && effect.forward !== null) {
            settle();
            discard(socket);
            resolve({ kind: 'mailbox-refused', ...effect.forward });
            return;
          }
          fail(
            new UpstreamError(
              backend.name,
              effect.kind === 'unavailable-user' ? 'protocol' : effect.kind,
              effect.detail,
            ),
          );
          return;
        default:
          effect satisfies never;
      }
    }

    try {
      state = startUpstreamLogin({
        authzid: login.address,
        authcid: backend.login.user,
        password: upstream.password,
        startTls: backend.imap.tls === 'starttls',
        id: backend.forward.imapId ? forwardedId(options.peer) : null,
      });
    } catch (error) {
      fail(error);
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else attach();
  });
}

function linkOf(
  socket: Socket,
  { capabilities, leftover }: UpstreamLoginEffect & { type: 'logged-in' },
): ImapLink {
  return { socket, capabilities, leftover, cut: () => discard(socket) };
}

function discard(socket: Socket): void {
  // A socket destroyed here may still report; nobody is left to hear it.
  socket.on('error', () => undefined);
  socket.destroy();
}

/** The keys Dovecot reads from its trusted networks; a client's own `x-` keys never get here (wire 9). */
function forwardedId(peer: ForwardedPeer): ReadonlyMap<string, string> {
  return new Map([
    ['x-originating-ip', peer.address],
    ['x-originating-port', String(peer.port)],
    ['x-connected-ip', peer.localAddress],
    ['x-connected-port', String(peer.localPort)],
    ['x-session-id', peer.sessionId],
    ['x-proxy-ttl', '4'],
    ['x-client-transport', 'TLS'],
  ]);
}
