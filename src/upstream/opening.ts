import type { ForwardedPeer } from '../protocol/forwarded-peer.ts';
import { UpstreamError } from './upstream-error.ts';

/** Dial to logged in; a backend that takes longer is down for the person who waits (wire 69). */
export const openMs = 30_000;

/** What every driver needs besides backend and login. */
export interface OpenOptions {
  /** Whom the backend is told it serves, where the configuration allows it. */
  readonly peer: ForwardedPeer;
  /** Ends the opening, not what was opened. */
  readonly signal: AbortSignal;
}

/** A backend connection, logged in as the person. */
export interface UpstreamLink {
  /** Closes at once. May be called again. */
  cut(): void;
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
  error(): UpstreamError;
}

/** Ends an opening with its caller, or when the time is up. */
export function limitOpening(backend: string, caller: AbortSignal, timeMs: number): OpeningLimit {
  const timeout = AbortSignal.timeout(timeMs);
  return {
    signal: AbortSignal.any([caller, timeout]),
    error: () =>
      caller.aborted
        ? new UpstreamError(backend, 'closed', 'given up by the caller')
        : new UpstreamError(backend, 'timeout', 'not logged in in time'),
  };
}
