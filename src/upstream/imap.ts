import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import type { ForwardedPeer } from '../protocol/forwarded-peer.ts';
import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
  type UpstreamLoginState,
} from '../protocol/imap/upstream-login.ts';
import { openMailbox } from './mailbox.ts';
import type { Opening, OpenOptions, SplicedLink } from './opening.ts';
import type { Upstream } from './upstreams.ts';

/** A logged-in connection to the backend, for the splice. */
export interface ImapLink extends SplicedLink {
  /** What the client may be told; null where the backend told none. */
  readonly capabilities: string | null;
}

type LoggedIn = UpstreamLoginEffect & { type: 'logged-in' };

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
  const { backend, password } = upstream;
  return await openMailbox<UpstreamLoginState, LoggedIn, ImapLink>(upstream, 'imap', options, {
    start: (proxyTtl) =>
      startUpstreamLogin({
        authzid: login.address,
        authcid: backend.login.user,
        password,
        startTls: backend.imap.tls === 'starttls',
        id: backend.forward.imapId ? forwardedId(options.peer, proxyTtl) : null,
      }),
    step: stepUpstreamLogin,
    link: (link, { capabilities }) => ({ ...link, capabilities }),
  });
}

/** The keys Dovecot reads from its trusted networks; a client's own `x-` keys never get here (wire 9). */
function forwardedId(peer: ForwardedPeer, ttl: number): ReadonlyMap<string, string> {
  return new Map([
    ['x-originating-ip', peer.address],
    ['x-originating-port', String(peer.port)],
    ['x-connected-ip', peer.localAddress],
    ['x-connected-port', String(peer.localPort)],
    ['x-session-id', peer.sessionId],
    ['x-proxy-ttl', String(ttl)],
    ['x-client-transport', 'TLS'],
  ]);
}
