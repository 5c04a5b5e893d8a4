import type { Socket } from 'node:net';
import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
  type UpstreamLoginEvent,
  type UpstreamLoginState,
} from '../protocol/imap/upstream-login.ts';
import { dial, startTls } from './dial.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** Greeting to tagged OK; a backend that thinks longer is down for the person who waits (wire 69). */
const loginTimeoutMs = 30_000;

/** Whom the backend is told it serves (wire 71), where the configuration allows it. */
export interface ImapClient {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly sessionId: string;
}

export type ImapLogin =
  | {
      readonly kind: 'logged-in';
      /** Paused; nothing of it has been lost. */
      readonly socket: Socket;
      readonly capabilities: string | null;
      /** What the backend sent behind its tagged OK. */
      readonly leftover: Buffer;
    }
  /** The backend took the gateway's credential and turned this mailbox away, with a response code of its own. */
  | { readonly kind: 'refused'; readonly code: string; readonly text: string };

/**
 * Opens the person's mailbox on the backend with the gateway's master credential. The authzid is the verified
 * account's own name and nothing else (S-05). Rejects with {@link UpstreamError}; the socket is then gone.
 */
export async function logInToImap(
  upstream: Upstream,
  login: VerifiedLogin,
  client: ImapClient,
  options: { readonly signal: AbortSignal },
): Promise<ImapLogin> {
  assertVerified(login);
  const { backend } = upstream;
  const timeout = AbortSignal.timeout(loginTimeoutMs);
  const signal = AbortSignal.any([options.signal, timeout]);
  let socket = await dial(upstream, 'imap', { signal });

  return await new Promise<ImapLogin>((resolve, reject) => {
    let state: UpstreamLoginState;
    let settled = false;

    const onData = (bytes: Buffer) => advance({ type: 'received', bytes });
    const onEnd = () => advance({ type: 'ended' });
    const onError = (error: Error) =>
      fail(new UpstreamError(backend.name, 'closed', error.message, { cause: error }));
    const onAbort = () =>
      fail(
        timeout.aborted
          ? new UpstreamError(backend.name, 'timeout', 'no answer to the login in time')
          : new UpstreamError(backend.name, 'closed', 'given up by the caller'),
      );

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
      socket.on('error', () => undefined);
      socket.destroy();
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
              socket.destroy();
              return;
            }
            attach();
            advance({ type: 'tls-established' });
          }, fail);
          return;
        case 'logged-in':
          settle();
          resolve({
            kind: 'logged-in',
            socket,
            capabilities: effect.capabilities,
            leftover: effect.leftover,
          });
          return;
        case 'failed':
          if (effect.kind === 'unavailable-user' && effect.forward !== null) {
            settle();
            socket.on('error', () => undefined);
            socket.destroy();
            resolve({ kind: 'refused', ...effect.forward });
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
        id: backend.forward.imapId ? forwardedId(client) : null,
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

/** The keys Dovecot reads from its trusted networks; a client's own `x-` keys never get here (wire 9). */
function forwardedId(client: ImapClient): ReadonlyMap<string, string> {
  return new Map([
    ['x-originating-ip', client.address],
    ['x-originating-port', String(client.port)],
    ['x-connected-ip', client.localAddress],
    ['x-connected-port', String(client.localPort)],
    ['x-session-id', client.sessionId],
    ['x-proxy-ttl', '4'],
    ['x-client-transport', 'TLS'],
  ]);
}
