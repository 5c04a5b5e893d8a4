import type { PortalSessions, StartedSession, SteppedUpSession } from '../../identity/portal-session.ts';
import type { AddOutcome, EnrollingSession } from '../../identity/second-factor/changes.ts';
import type { Factors, Method } from '../../identity/second-factor/factors.ts';
import type { Peer } from '../../identity/sign-in/imap.ts';
import type { Logger } from '../../observability/logger.ts';

/** Longer ones are no names. */
export const nameCharacters = 60;

/** The fresh proof makes a new session, and the others have ended. `session-gone`: it was added, and this one has ended too. */
export type Added =
  | { readonly kind: 'added'; readonly started: StartedSession<SteppedUpSession> }
  | { readonly kind: Exclude<AddOutcome, 'added'> | 'session-gone' };
export type AppAdded = Added | { readonly kind: 'wrong' | 'malformed' | 'bad-name' };
export type PasskeyAdded = Added | { readonly kind: 'refused' | 'exists' };
export type AddressAdded = Added | { readonly kind: 'wrong' | 'malformed' | 'expired' };

/** Setting up a method: the first one and one more. */
export class MethodActions {
  readonly #factors: Factors;
  readonly #sessions: PortalSessions;
  readonly #logger: Logger;

  constructor(parts: {
    readonly factors: Factors;
    readonly sessions: PortalSessions;
    readonly logger: Logger;
  }) {
    this.#factors = parts.factors;
    this.#sessions = parts.sessions;
    this.#logger = parts.logger;
  }

  /** Answers whether the method is one that the session may set up. For an address there is nothing to begin here. */
  async begin(session: EnrollingSession, method: Method): Promise<boolean> {
    const methods = await this.#factors.methodsToAdd(session);
    if (!methods.includes(method)) return false;
    if (method === 'totp') await this.#factors.apps.begin(session);
    if (method === 'passkey') await this.#factors.passkeys.beginCreation(session);
    return true;
  }

  async addApp(session: EnrollingSession, peer: Peer, code: string, name: string): Promise<AppAdded> {
    if (!isMethodName(name)) return { kind: 'bad-name' };
    const outcome = await this.#factors.apps.confirm(session, peer, code, name.trim());
    if (outcome === 'wrong' || outcome === 'malformed') return { kind: outcome };
    return await this.#finish(session, 'totp', outcome);
  }

  /** `answer`: of the authenticator, as JSON. */
  async addPasskey(
    session: EnrollingSession,
    peer: Peer,
    answer: string,
    name: string,
  ): Promise<PasskeyAdded> {
    // The key is made already: a name that does not please must not undo it.
    const plain = name.replace(/\p{C}/gu, '').trim().slice(0, nameCharacters);
    const outcome = await this.#factors.passkeys.confirm(session, peer, answer, plain);
    if (outcome === 'refused' || outcome === 'exists') return { kind: outcome };
    return await this.#finish(session, 'passkey', outcome);
  }

  async addAddress(session: SteppedUpSession, peer: Peer, code: string): Promise<AddressAdded> {
    const outcome = await this.#factors.emailCodes.confirm(session, peer, code);
    if (outcome === 'wrong' || outcome === 'malformed' || outcome === 'expired') return { kind: outcome };
    return await this.#finish(session, 'email', outcome);
  }

  async #finish(session: EnrollingSession, method: Method, outcome: AddOutcome): Promise<Added> {
    if (outcome !== 'added') return { kind: outcome };
    const { account } = session;
    this.#logger.info({ event: 'factor-added', account: account.address, method }, 'factor added');
    const started = await this.#sessions.stepUp(session);
    return started === null ? { kind: 'session-gone' } : { kind: 'added', started };
  }
}

export function isMethodName(name: string): boolean {
  return name.trim().length <= nameCharacters && !/\p{C}/u.test(name);
}
