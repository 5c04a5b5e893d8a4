import type { Socket } from 'node:net';
import { errorText } from '../observability/error-text.ts';
import { dial, startTls } from './dial.ts';
import type { Leg } from './leg.ts';
import { limitOpening, type Opening, type OpenOptions, openMs, type SplicedLink } from './opening.ts';
import { forwardedTtl } from './proxy-ttl.ts';
import { UpstreamError, type UpstreamErrorKind } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** How a protocol logs in at a backend: its machine, and what it makes of a connection that is logged in. */
export interface MailboxLogin<
  State extends { readonly name: string },
  LoggedIn extends LoggedInEffect,
  Link extends SplicedLink,
> {
  /** Throws on an order that cannot be said safely. `proxyTtl`: the hops left behind this gateway (wire 72). */
  start(proxyTtl: number): State;
  step(state: State, event: LoginEvent): Transition<State, LoggedIn>;
  link(link: SplicedLink, loggedIn: LoggedIn): Link;
}

type LoginEvent =
  | { readonly type: 'received'; readonly bytes: Buffer }
  | { readonly type: 'tls-established' }
  | { readonly type: 'ended' };

interface LoggedInEffect {
  readonly type: 'logged-in';
  readonly leftover: Buffer;
}

type LoginEffect<LoggedIn extends LoggedInEffect> =
  | { readonly type: 'send'; readonly bytes: Buffer }
  | { readonly type: 'start-tls' }
  | LoggedIn
  | {
      readonly type: 'failed';
      readonly kind: UpstreamErrorKind | 'unavailable-user';
      readonly detail: string;
      readonly forward: { readonly code: string; readonly text: string } | null;
    };

interface Transition<State, LoggedIn extends LoggedInEffect> {
  readonly state: State;
  readonly effects: readonly LoginEffect<LoggedIn>[];
}

/**
 * Dials one leg and drives a login machine on it. Rejects with {@link UpstreamError}, after a fault of ours with any
 * other error; nothing is left open then.
 */
export async function openMailbox<
  State extends { readonly name: string },
  LoggedIn extends LoggedInEffect,
  Link extends SplicedLink,
>(
  upstream: Upstream,
  leg: Leg,
  options: OpenOptions,
  login: MailboxLogin<State, LoggedIn, Link>,
): Promise<Opening<Link>> {
  const { name } = upstream.backend;
  const ttl = forwardedTtl(options.proxyTtl ?? null);
  if (ttl === null) throw new UpstreamError(name, 'loop', 'the client came through too many proxies');
  let state = login.start(ttl);
  const limit = limitOpening(name, options.signal, openMs);
  const { signal } = limit;
  let socket = await dial(upstream, leg, { signal, peer: options.peer }).catch((error: unknown) => {
    limit.done();
    throw signal.aborted ? limit.error() : error;
  });

  return await new Promise<Opening<Link>>((resolve, reject) => {
    let settled = false;

    const onData = (bytes: Buffer) => advance({ type: 'received', bytes });
    const onEnd = () => advance({ type: 'ended' });
    const onError = (error: Error) =>
      fail(new UpstreamError(name, 'closed', errorText(error), { cause: error, ...progress() }));
    const onAbort = () => fail(limit.error(progress()));
    const progress = () => ({ afterGreeting: state.name !== 'greeting' });

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
      limit.done();
      signal.removeEventListener('abort', onAbort);
      detach();
    }
    function fail(error: unknown): void {
      if (!settled) settle();
      discard(socket);
      reject(error);
    }
    function advance(event: LoginEvent): void {
      if (settled) return;
      try {
        const next = login.step(state, event);
        state = next.state;
        for (const effect of next.effects) perform(effect);
      } catch (error) {
        // A fault in an event handler would end the process.
        fail(error);
      }
    }
    function perform(effect: LoginEffect<LoggedIn>): void {
      switch (effect.type) {
        case 'send':
          socket.write(effect.bytes);
          return;
        case 'start-tls':
          secure();
          return;
        case 'logged-in': {
          settle();
          const { leftover } = effect;
          const link = login.link({ socket, leftover, cut: () => discard(socket) }, effect);
          resolve({ kind: 'open', link });
          return;
        }
        case 'failed': {
          const { kind, detail, forward } = effect;
          if (kind === 'unavailable-user' && forward !== null) {
            settle();
            discard(socket);
            resolve({ kind: 'mailbox-refused', ...forward });
            return;
          }
          fail(new UpstreamError(name, kind === 'unavailable-user' ? 'protocol' : kind, detail));
          return;
        }
        default:
          effect satisfies never;
      }
    }
    function secure(): void {
      detach();
      startTls(socket, upstream, leg, { signal }).then((secured) => {
        socket = secured;
        if (settled) {
          discard(socket);
          return;
        }
        attach();
        advance({ type: 'tls-established' });
      }, fail);
    }

    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else attach();
  });
}

function discard(socket: Socket): void {
  // A socket destroyed here may still report; nobody is left to hear it.
  socket.on('error', () => undefined);
  socket.destroy();
}
