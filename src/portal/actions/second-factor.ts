import type {
  FirstFactorSession,
  FullSession,
  PortalSessions,
  StartedSession,
  SteppedUpSession,
} from '../../identity/portal-session.ts';
import type { CodeCheck } from '../../identity/second-factor/code-check.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { PasskeyCheck } from '../../identity/second-factor/webauthn.ts';
import type { Peer } from '../../identity/sign-in/imap.ts';
import type { Logger } from '../../observability/logger.ts';

export type AnySession = FirstFactorSession | FullSession | SteppedUpSession;
export type CodeWay = 'totp' | 'email' | 'recovery';

/** What follows a right factor: a session of another level, and none where the old one was ended meanwhile. */
type Follows =
  | { readonly kind: 'confirmed'; readonly started: StartedSession<SteppedUpSession> }
  /** A recovery code was right: there is nothing to do with it but replace what is lost (S-80). */
  | { readonly kind: 'replacing'; readonly started: StartedSession<FirstFactorSession> }
  | { readonly kind: 'session-gone' };
export type CodeShown = Follows | Exclude<CodeCheck, { readonly kind: 'right' }>;
export type PasskeyShown = Follows | { readonly kind: Exclude<PasskeyCheck, 'right'> };

/** Showing a second factor: to come in, and again for what needs a fresh one. */
export class SecondFactorActions {
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

  async showCode(session: AnySession, peer: Peer, way: CodeWay, code: string): Promise<CodeShown> {
    const result = await this.#check(session, peer, way, code);
    this.#log(session, way, result.kind);
    if (result.kind !== 'right') return result;
    if (way !== 'recovery') return await this.#stepUp(session);
    const started = await this.#sessions.open(session, 'recovery');
    return started === null ? { kind: 'session-gone' } : { kind: 'replacing', started };
  }

  /** `answer`: of the authenticator, as JSON. */
  async showPasskey(session: AnySession, peer: Peer, answer: string): Promise<PasskeyShown> {
    const outcome = await this.#factors.passkeys.check(session, peer, answer);
    this.#log(session, 'passkey', outcome);
    return outcome === 'right' ? await this.#stepUp(session) : { kind: outcome };
  }

  async #check(session: AnySession, peer: Peer, way: CodeWay, code: string): Promise<CodeCheck> {
    switch (way) {
      case 'totp':
        return await this.#factors.apps.check(session.account, code);
      case 'email':
        return await this.#factors.emailCodes.check(session, code);
      case 'recovery':
        return await this.#factors.recoveryCodes.check(session, peer, code);
      default:
        return way satisfies never;
    }
  }

  async #stepUp(session: AnySession): Promise<Follows> {
    const started = await this.#sessions.stepUp(session);
    return started === null ? { kind: 'session-gone' } : { kind: 'confirmed', started };
  }

  #log({ account }: AnySession, method: string, outcome: string): void {
    this.#logger.info({ event: 'factor-check', method, outcome, account: account.address }, 'factor check');
  }
}
