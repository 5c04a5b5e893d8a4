import { canonicalName, loggableName } from '../credentials/account-name.ts';
import type { Protocol } from '../credentials/verdict.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';
import { printable } from '../observability/logger.ts';
import type { SaslCredentials } from '../protocol/sasl/credentials.ts';
import type { Opening, UpstreamLink } from '../upstream/opening.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import type { Upstream } from '../upstream/upstreams.ts';
import type { LateRefusal, Refusal, RefusedVerdict } from './auth-reply.ts';
import type { Connection, DoorParts } from './door/door.ts';
import { type EndSession, LiveSession } from './live-session.ts';
import { reportOfLogin, reportOfRefusal } from './login-report.ts';

/** A login as a door has read it, and how the door's protocol reaches the backend. */
export interface LoginOrder<Link extends UpstreamLink> {
  readonly protocol: Protocol;
  readonly connection: Connection;
  /** null: read well and nobody's, such as one without a name. To be refused like a wrong password. */
  readonly credentials: SaslCredentials | null;
  readonly mechanism: string;
  /** What the client calls itself, as sent: for logs. null where it said nothing. */
  readonly client: string | null;
  /** Aborts when the client is gone or has been shown out: success told now would be told to nobody. */
  readonly gone: AbortSignal;
  /** Opens the backend. Rejects with `UpstreamError`, and with anything else for a fault of ours. */
  readonly open: (upstream: Upstream, login: VerifiedLogin, signal: AbortSignal) => Promise<Opening<Link>>;
  /** Ends the session that comes of it. */
  readonly end: EndSession;
}

/** What a door is told of a login, counted and logged already. */
export type LoginResult<Link extends UpstreamLink> =
  | {
      readonly kind: 'logged-in';
      /** In the registry until the door calls its `leave`. */
      readonly session: LiveSession;
      readonly link: Link;
      /** For another link of the same session. */
      readonly upstream: Upstream;
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Nobody is left to be answered. Nothing is open. */
  | { readonly kind: 'gone' };

type Reason = RefusedVerdict | LateRefusal;

type Attempt<Link extends UpstreamLink> =
  | {
      readonly kind: 'open';
      readonly session: LiveSession;
      readonly link: Link;
      readonly upstream: Upstream;
    }
  | { readonly kind: 'refused'; readonly reason: Reason }
  | { readonly kind: 'gone' };

/**
 * The one way in, of every protocol: verify, register, open the backend, look once more, answer. It registers before it
 * dials, so that `sessions_per_credential` bounds backend logins too and no revocation can slip in between (S-54). The
 * backend is opened before the client hears success: one that is down is an outage of the login (wire 47, 81).
 *
 * `answer` is called synchronously after the last look, so that what was seen still holds when the door acts on it.
 */
export async function logIn<Link extends UpstreamLink, Answer>(
  parts: DoorParts,
  order: LoginOrder<Link>,
  answer: (result: LoginResult<Link>) => Answer,
): Promise<Answer> {
  const { protocol } = order;
  const stop = parts.metrics.loginSeconds.startTimer({ protocol });
  const attempt = await tryToOpen(parts, order);
  try {
    const result = decide(parts, order, attempt);
    const answered = answer(result);
    parts.metrics.logins.inc({ protocol, outcome: outcomeOf(result) });
    if (result.kind === 'logged-in') {
      parts.loginLog?.note(reportOfLogin(result.session.login, settingOf(order)));
    }
    return answered;
  } catch (error) {
    if (attempt.kind === 'open') giveUp(attempt);
    const refusal = turnAway(parts, order, fault(order, error));
    parts.metrics.logins.inc({ protocol, outcome: refusal.outcome });
    return answer({ kind: 'refused', refusal });
  } finally {
    stop();
  }
}

async function tryToOpen<Link extends UpstreamLink>(
  parts: DoorParts,
  order: LoginOrder<Link>,
): Promise<Attempt<Link>> {
  const { protocol, credentials } = order;
  const { address, network } = order.connection.peer;
  if (credentials === null) {
    const reason = 'malformed-name';
    return refused({ kind: 'rejected', reason, appPasswordRequired: false, credentialId: null });
  }
  try {
    const legacyTls = order.connection.security === 'legacy-tls';
    const verdict = await parts.verifier.verify({
      ...{ protocol, credentials, address, network, legacyTls },
      client: clientOf(order),
    });
    if (order.gone.aborted) return { kind: 'gone' };
    return verdict.kind === 'verified' ? await openFor(parts, order, verdict.login) : refused(verdict);
  } catch (error) {
    return refused(fault(order, error));
  }
}

/** Registers and opens. What it does not open it leaves unregistered. */
async function openFor<Link extends UpstreamLink>(
  parts: DoorParts,
  order: LoginOrder<Link>,
  login: VerifiedLogin,
): Promise<Attempt<Link>> {
  const upstream = parts.upstreams.get(login.backend);
  if (upstream === undefined) throw new Error(`there is no backend ${login.backend}`);
  const ended = new AbortController();
  const session = new LiveSession(parts, order.connection, {
    protocol: order.protocol,
    login,
    end: () => ended.abort('ended'),
  });
  if (parts.registry.register(session) === 'too-many') return refused({ kind: 'too-many-sessions' });
  const route = upstream.routes?.[order.protocol];
  let opening: Opening<Link> | null = null;
  try {
    const caller = AbortSignal.any([order.gone, ended.signal]);
    const attempt = (signal: AbortSignal) => order.open(upstream, login, signal);
    opening = await (route === undefined ? attempt(caller) : route.open(login.address, caller, attempt));
    if (opening.kind === 'open') return { kind: 'open', session, link: opening.link, upstream };
    return refused(opening);
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    if (order.gone.aborted) return { kind: 'gone' };
    const meanwhile = endedMeanwhile(parts, session);
    if (meanwhile !== null) return refused(meanwhile);
    if (route?.isNews(error) ?? true) session.report(error);
    else parts.metrics.upstreamErrors.inc({ backend: error.backend, kind: error.kind });
    // A backend that is this gateway is our fault, and waiting does not mend it (wire 72).
    const detail = `${error.kind}: ${error.message}`;
    return refused(error.kind === 'loop' ? { kind: 'fault' } : { kind: 'backend-unavailable', detail });
  } finally {
    if (opening?.kind !== 'open') session.leave('not opened');
  }
}

/** What an attempt has come to by now. */
function decide<Link extends UpstreamLink>(
  parts: DoorParts,
  order: LoginOrder<Link>,
  attempt: Attempt<Link>,
): LoginResult<Link> {
  if (attempt.kind === 'gone' || order.gone.aborted) {
    if (attempt.kind === 'open') giveUp(attempt);
    return { kind: 'gone' };
  }
  if (attempt.kind === 'refused') {
    return { kind: 'refused', refusal: turnAway(parts, order, attempt.reason) };
  }
  const meanwhile = endedMeanwhile(parts, attempt.session);
  if (meanwhile !== null) {
    giveUp(attempt);
    return { kind: 'refused', refusal: turnAway(parts, order, meanwhile) };
  }
  order.connection.loggedIn();
  attempt.session.begin({ mechanism: order.mechanism, client: clientOf(order) }, order.end);
  return { ...attempt, kind: 'logged-in' };
}

/** null: it still holds. Ended by an operator its password is as right as before. */
function endedMeanwhile(parts: DoorParts, session: LiveSession): Reason | null {
  if (!parts.verifier.stillValid(session.login)) return { kind: 'revoked-meanwhile' };
  const { endedBecause } = session;
  return endedBecause === null ? null : { kind: 'unavailable', cause: `session ended: ${endedBecause}` };
}

function giveUp({ session, link }: { readonly session: LiveSession; readonly link: UpstreamLink }): void {
  link.cut();
  session.leave('given up');
}

function turnAway(parts: DoorParts, order: LoginOrder<UpstreamLink>, reason: Reason): Refusal {
  const { protocol, credentials, connection, mechanism } = order;
  const name = credentials?.authcid.toString('utf8') ?? '';
  const refusal = parts.replies.refusal(reason, { protocol, name, network: connection.peer.network });
  connection.logger.info(
    {
      account: accountOf(parts, name, reason),
      outcome: refusal.outcome,
      reason: reason.kind === 'rejected' ? reason.reason : reason.kind,
      cause: causeOf(reason),
      mechanism,
      client: clientOf(order),
    },
    'login refused',
  );
  parts.loginLog?.note(reportOfRefusal(reason, name, parts.config, settingOf(order)));
  return refusal;
}

/** These reasons are found out of an account that exists, so its name is one, in whatever spelling. */
const namesAccount: ReadonlySet<string> = new Set([
  'wrong',
  'revoked',
  'paused',
  'expired',
  'wrong-protocol',
  'wrong-security',
  'wrong-network',
  'account-disabled',
]);

function accountOf({ config }: DoorParts, name: string, reason: Reason): string | null {
  const isKnown = reason.kind === 'rejected' && namesAccount.has(reason.reason);
  return isKnown
    ? (canonicalName(name, config.defaultDomain)?.address ?? null)
    : loggableName(name, config.domains);
}

/** What a reason alone does not tell; undefined is left out of the line. */
function causeOf(reason: Reason): string | undefined {
  if (reason.kind === 'unavailable') return reason.cause;
  return reason.kind === 'mailbox-refused' ? reason.code : undefined;
}

function fault(order: LoginOrder<UpstreamLink>, error: unknown): LateRefusal {
  order.connection.logger.error({ err: error }, 'login failed by a fault');
  return { kind: 'fault' };
}

function settingOf(order: LoginOrder<UpstreamLink>) {
  const { protocol, connection, mechanism } = order;
  return { protocol, address: connection.peer.address, client: clientOf(order), mechanism };
}

function clientOf({ client }: LoginOrder<UpstreamLink>): string | null {
  return client === null ? null : printable(client);
}

function outcomeOf(result: LoginResult<UpstreamLink>): string {
  switch (result.kind) {
    case 'logged-in':
      return 'verified';
    case 'refused':
      return result.refusal.outcome;
    case 'gone':
      return 'gone';
    default:
      return result satisfies never;
  }
}

function refused(reason: Reason): { readonly kind: 'refused'; readonly reason: Reason } {
  return { kind: 'refused', reason };
}
