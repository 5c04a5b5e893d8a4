import type { VerifiedLogin } from '../../credentials/verifier.ts';
import type { SaslCredentials } from '../../protocol/sasl/credentials.ts';
import type { ForwardedClient } from '../../protocol/smtp/xclient.ts';
import { openSubmission } from '../../upstream/submission.ts';
import type { SubmissionLink } from '../../upstream/submission-link.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import type { LateRefusal, RefusedVerdict } from '../auth-reply.ts';
import type { Connection, DoorParts } from '../door/door.ts';
import type { Session } from '../session-registry.ts';

/** Where and for whom a login happens. */
export interface LoginPlace {
  readonly connection: Connection;
  /** Whom the backend is told it serves. */
  readonly client: ForwardedClient;
  /** Aborts when the client is gone, or has been shown out. */
  readonly gone: AbortSignal;
  /** Ends the session that comes of it. */
  readonly end: (reason: string) => void;
}

export type LoginResult =
  | {
      readonly kind: 'logged-in';
      /** In the registry; the caller removes it. */
      readonly session: Session;
      readonly submission: SubmissionLink;
      /** Another connection for the same session. */
      readonly reopen: () => Promise<SubmissionLink>;
    }
  | {
      readonly kind: 'refused';
      readonly verdict: RefusedVerdict | LateRefusal;
      readonly error: UpstreamError | null;
    }
  | { readonly kind: 'gone' };

/**
 * Verifies, registers, opens the backend and looks again whether the login still holds (S-54). The backend is opened
 * here, at AUTH and not at the first MAIL: 235 then means that mail can be sent, and a backend that is down is 454 to
 * the login and never a refusal of a message (wire 81). Rejects on faults of ours only.
 */
export async function logIn(
  parts: DoorParts,
  credentials: SaslCredentials,
  place: LoginPlace,
): Promise<LoginResult> {
  const { peer, sessionId } = place.connection;
  const { address, network } = peer;
  const verdict = await parts.verifier.verify({ protocol: 'smtp', credentials, address, network });
  if (place.gone.aborted) return { kind: 'gone' };
  if (verdict.kind !== 'verified') return refused(verdict);

  const { login } = verdict;
  const session: Session = {
    id: sessionId,
    protocol: 'smtp',
    login,
    peerAddress: peer.address,
    since: parts.now(),
    end: place.end,
  };
  if (parts.registry.register(session) === 'too-many') return refused({ kind: 'too-many-sessions' });
  const open = () => openFor(parts, login, place);
  const result = await attempt();
  if (result.kind !== 'logged-in') parts.registry.remove(session);
  return result;

  async function attempt(): Promise<LoginResult> {
    try {
      const submission = await open();
      if (place.gone.aborted) {
        submission.cut();
        return { kind: 'gone' };
      }
      if (!parts.verifier.stillValid(login)) {
        submission.cut();
        return refused({ kind: 'revoked-meanwhile' });
      }
      return { kind: 'logged-in', session, submission, reopen: open };
    } catch (error) {
      if (!(error instanceof UpstreamError)) {
        parts.registry.remove(session);
        throw error;
      }
      return place.gone.aborted ? { kind: 'gone' } : refused({ kind: 'backend-unavailable' }, error);
    }
  }
}

async function openFor(parts: DoorParts, login: VerifiedLogin, place: LoginPlace): Promise<SubmissionLink> {
  const upstream = parts.upstreams.get(login.backend);
  if (upstream === undefined) throw new Error(`there is no backend ${login.backend}`);
  const submission = await openSubmission(upstream, login, {
    hostname: parts.config.hostname,
    client: place.client,
    signal: place.gone,
  });
  if (upstream.backend.forward.xclient && !submission.isAnnounced) {
    place.connection.logger.warn({ backend: login.backend }, 'backend offers no XCLIENT to this gateway');
  }
  return submission;
}

function refused(verdict: RefusedVerdict | LateRefusal, error: UpstreamError | null = null): LoginResult {
  return { kind: 'refused', verdict, error };
}
