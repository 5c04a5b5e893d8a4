import type { Socket } from 'node:net';
import type { ForwardedPeer } from '../protocol/forwarded-peer.ts';
import { UpstreamError } from './upstream-error.ts';

/** Dial to logged in; a backend that takes longer is down for the person who waits (wire 69). */
export const openMs = 30_000;

/** What every driver needs besides backend and login. */
export interface OpenOptions {
  /** Whom the backend is told it serves, where the configuration allows it. */
  readonly peer: ForwardedPeer;
  /** Hops that the client, itself a proxy, says are left (wire 72); null where it says nothing. */
  readonly proxyTtl?: number | null;
  /** Ends the opening, not what was opened. */
  readonly signal: AbortSignal;
}

/** A backend connection, logged in as the person. */
export interface UpstreamLink {
  /** Closes at once. May be called again. */
  cut(): void;
}

/** One that the client is to be spliced to. */
export interface SplicedLink extends UpstreamLink {
  /** Paused; nothing of it has been lost. */
  readonly socket: Socket;
  /** What the backend sent behind its reply to the login. */
  readonly leftover: Buffer;
}

/** How a backend answered a login; one that is down or refuses the gateway itself is an UpstreamError. */
export type Opening<Link extends UpstreamLink> =
  | { readonly kind: 'open'; readonly link: Link }
  /** It took the gateway's credential and turned this mailbox away, with a response code of its own (wire 49). */
  | { readonly kind: 'mailbox-refused'; readonly code: string; readonly text: string };

/** How long an opening may go on. */
export interface OpeningLimit {
  readonly signal: AbortSignal;
  /** Who ended it, once `signal` has aborted: the caller, or a backend that had its time. */
  error(at?: { readonly afterGreeting: boolean }): UpstreamError;
  /** It is open, or given up: the clock stops. May be called again. */
  done(): void;
}

/** A reason, because without one each abort makes an error with a stack. */
const over = 'over';

/** Ends an opening with its caller, or when the time is up. */
export function limitOpening(backend: string, caller: AbortSignal, timeMs: number): OpeningLimit {
  // Not AbortSignal.timeout: it would keep all that hangs on it until its time, long after a login that took 5 ms.
  const ended = new AbortController();
  const end = () => ended.abort(over);
  const timer = setTimeout(end, timeMs);
  if (caller.aborted) end();
  else caller.addEventListener('abort', end, { once: true });
  return {
    signal: ended.signal,
    done: () => {
      clearTimeout(timer);
      caller.removeEventListener('abort', end);
    },
    error: ({ afterGreeting } = { afterGreeting: false }) =>
      caller.aborted
        ? new UpstreamError(backend, 'closed', 'given up by the caller', { afterGreeting })
        : new UpstreamError(backend, 'timeout', 'not logged in in time', { afterGreeting }),
  };
}
