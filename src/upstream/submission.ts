import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import type { Extensions } from '../protocol/smtp/extensions.ts';
import { startSubmission } from '../protocol/smtp/submission-client.ts';
import type { SubmissionOrder } from '../protocol/smtp/submission-state.ts';
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
  return await openLink(upstream, options, {
    hostname: options.hostname,
    startTls: backend.smtp.tls === 'starttls',
    login: { authzid: login.address, authcid: backend.login.user, password: upstream.password },
    peer: backend.forward.xclient ? options.peer : null,
  });
}

/**
 * As {@link openSubmission}, for a message of the gateway's own about the account of the mailbox, which nobody has logged in
 * to: nothing that a client says goes over it.
 */
export async function openOwnSubmission(
  upstream: Upstream,
  mailbox: string,
  options: Omit<SubmissionOptions, 'peer'>,
): Promise<SubmissionLink> {
  const { backend } = upstream;
  return await openLink(upstream, options, {
    hostname: options.hostname,
    startTls: backend.smtp.tls === 'starttls',
    login: { authzid: mailbox, authcid: backend.login.user, password: upstream.password },
    peer: null,
  });
}

/** Asks the backend's submission port what it offers, logs nobody in and leaves. Rejects as {@link openSubmission} does. */
export async function probeSubmission(
  upstream: Upstream,
  options: Omit<SubmissionOptions, 'peer'>,
): Promise<Extensions> {
  const link = await openLink(upstream, options, {
    hostname: options.hostname,
    startTls: upstream.backend.smtp.tls === 'starttls',
    login: null,
    peer: null,
  });
  link.quit();
  return link.extensions;
}

async function openLink(
  upstream: Upstream,
  options: Omit<SubmissionOptions, 'peer'> & Partial<SubmissionOptions>,
  order: SubmissionOrder,
): Promise<SubmissionLink> {
  const { name } = upstream.backend;
  const times = options.times ?? defaultTimes;
  const limit = limitOpening(name, options.signal, times.openMs);
  const { signal } = limit;
  const caller = options.peer === undefined ? {} : { peer: options.peer };
  const socket = await dial(upstream, 'smtp', { signal, ...caller }).catch((error: unknown) => {
    limit.done();
    throw signal.aborted ? limit.error() : error;
  });
  const state = startSubmission(order);
  const submission = new SubmissionLink({ upstream, socket, state, times, openSignal: signal });
  const giveUp = () => submission.cut(limit.error());
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    await submission.open();
    return submission;
  } finally {
    limit.done();
    signal.removeEventListener('abort', giveUp);
  }
}
