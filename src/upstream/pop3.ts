import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import type { ForwardedPeer } from '../protocol/forwarded-peer.ts';
import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
  type UpstreamLoginState,
} from '../protocol/pop3/upstream-login.ts';
import { endpointOf } from './leg.ts';
import { openMailbox } from './mailbox.ts';
import type { Opening, OpenOptions, SplicedLink } from './opening.ts';
import type { Upstream } from './upstreams.ts';

/**
 * A logged-in connection to the backend, for the splice. Cutting it says no QUIT: what the client marked as deleted
 * and did not commit stays (wire 148).
 */
export interface Pop3Link extends SplicedLink {
  /** The text of the backend's +OK, harmless and perhaps empty. */
  readonly text: string;
}

type LoggedIn = UpstreamLoginEffect & { type: 'logged-in' };

/**
 * Opens the person's maildrop on the backend with the gateway's master credential. The authzid is the verified
 * account's own name and nothing else (S-05). Rejects with {@link UpstreamError}, after a fault of ours with any
 * other error, such as a backend without POP3; nothing is left open then.
 */
export async function openPop3(
  upstream: Upstream,
  login: VerifiedLogin,
  options: OpenOptions,
): Promise<Opening<Pop3Link>> {
  assertVerified(login);
  const { backend, password } = upstream;
  const { tls } = endpointOf(upstream, 'pop3');
  return await openMailbox<UpstreamLoginState, LoggedIn, Pop3Link>(upstream, 'pop3', options, {
    start: (proxyTtl) =>
      startUpstreamLogin({
        authzid: login.address,
        authcid: backend.login.user,
        password,
        startTls: tls === 'starttls',
        xclient: backend.forward.xclient ? xclientAttributes(options.peer, proxyTtl) : null,
      }),
    step: stepUpstreamLogin,
    link: (link, { text }) => ({ ...link, text }),
  });
}

/** Those that Dovecot reads in POP3, from its trusted networks; other than in SMTP, an IPv6 address has no prefix (wire 130). */
function xclientAttributes(peer: ForwardedPeer, proxyTtl: number): ReadonlyMap<string, string> {
  return new Map([
    ['ADDR', peer.address.replace(/%.*$/, '')],
    ['PORT', String(peer.port)],
    ['SESSION', peer.sessionId],
    ['TTL', String(proxyTtl)],
  ]);
}
