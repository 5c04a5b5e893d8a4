import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import { startSubmission } from '../protocol/smtp/submission-client.ts';
import { dial } from './dial.ts';
import { limitOpening, type OpenOptions } from './opening.ts';
import { SubmissionLink } from './submission-link.ts';
import { defaultTimes, type SubmissionTimes } from './submission-times.ts';
import type { Upstream } from './upstreams.ts';

export interface SubmissionOptions extends OpenOptions {
  /** What the gateway calls itself. */
  readonly hostname: string;
  readonly times?: SubmissionTimes;
}

/**
 * Connects to the backend's submission port and logs in there as the person (S-05: the authzid is the verified
 * account's name and nothing else). Rejects with `UpstreamError`, after a fault of ours with any other error; nothing is left open then.
 */
export async function openSubmission(
  upstream: Upstream,
  login: VerifiedLogin,
  options: SubmissionOptions,
): Promise<SubmissionLink> {
  assertVerified(login);
  const { backend } = upstream;
  const times = options.times ?? defaultTimes;
  const limit = limitOpening(backend.name, options.signal, times.openMs);
  const { signal } = limit;
  const socket = await dial(upstream, 'smtp', { signal }).catch((error: unknown) => {
    throw signal.aborted ? limit.error() : error;
  });
  const state = startSubmission({
    hostname: options.hostname,
    startTls: backend.smtp.tls === 'starttls',
    authzid: login.address,
    authcid: backend.login.user,
    password: upstream.password,
    peer: backend.forward.xclient ? options.peer : null,
  });
  const submission = new SubmissionLink({ upstream, socket, state, times, openSignal: signal });
  const giveUp = () => submission.cut(limit.error());
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    await submission.open();
    return submission;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
