import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import { startSubmission } from '../protocol/smtp/submission-client.ts';
import type { ForwardedClient } from '../protocol/smtp/xclient.ts';
import { dial } from './dial.ts';
import { SubmissionLink } from './submission-link.ts';
import { defaultTimes, type SubmissionTimes } from './submission-times.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Upstream } from './upstreams.ts';

/** Whom the connection is for. */
export interface SubmissionOptions {
  /** What the gateway calls itself. */
  readonly hostname: string;
  readonly client: ForwardedClient;
  /** Ends the opening, not what was opened. */
  readonly signal: AbortSignal;
  readonly times?: SubmissionTimes;
}

/**
 * Connects to the backend's submission port and logs in there as the person (S-05: the authzid is the verified
 * account's name and nothing else). Rejects with {@link UpstreamError}; nothing is left open then.
 */
export async function openSubmission(
  upstream: Upstream,
  login: VerifiedLogin,
  options: SubmissionOptions,
): Promise<SubmissionLink> {
  assertVerified(login);
  const { backend } = upstream;
  const times = options.times ?? defaultTimes;
  const timeout = AbortSignal.timeout(times.openMs);
  const signal = AbortSignal.any([options.signal, timeout]);
  const socket = await dial(upstream, 'smtp', { signal }).catch((error: unknown) => {
    throw timeout.aborted ? new UpstreamError(backend.name, 'timeout', 'no connection in time') : error;
  });
  const state = startSubmission({
    hostname: options.hostname,
    startTls: backend.smtp.tls === 'starttls',
    authzid: login.address,
    authcid: backend.login.user,
    password: upstream.password,
    client: backend.forward.xclient ? options.client : null,
  });
  const submission = new SubmissionLink({ upstream, socket, state, times, openSignal: signal });
  const giveUp = () =>
    submission.cut(
      timeout.aborted
        ? new UpstreamError(backend.name, 'timeout', 'no answer to the login in time')
        : new UpstreamError(backend.name, 'closed', 'given up by the caller'),
    );
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    await submission.open();
    return submission;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
