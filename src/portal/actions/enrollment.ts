import type { FirstFactorSession, PortalSessions, StartedSession } from '../../identity/portal-session.ts';
import type { CodeCheck } from '../../identity/second-factor/code-check.ts';
import type { Gate } from '../../identity/second-factor/enrollment-gate.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { Peer } from '../../identity/sign-in/imap.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Home, Signposts } from '../signposts.ts';

/** What stands before a first enrollment: where the session belongs, and its gate (S-74). */
export type Entrance = Gate | { readonly kind: 'elsewhere'; readonly home: Home };

export type Opened =
  | { readonly kind: 'opened'; readonly started: StartedSession<FirstFactorSession> }
  | { readonly kind: 'session-gone' }
  /** No code is asked of this session. */
  | { readonly kind: 'not-asked' }
  | Exclude<CodeCheck, { readonly kind: 'right' }>;

/** The way to a first factor, or to a new one after a recovery code. */
export class EnrollmentActions {
  readonly #factors: Factors;
  readonly #sessions: PortalSessions;
  readonly #signposts: Signposts;
  readonly #logger: Logger;

  constructor(parts: {
    readonly factors: Factors;
    readonly sessions: PortalSessions;
    readonly signposts: Signposts;
    readonly logger: Logger;
  }) {
    this.#factors = parts.factors;
    this.#sessions = parts.sessions;
    this.#signposts = parts.signposts;
    this.#logger = parts.logger;
  }

  async entrance(session: FirstFactorSession, peer: Peer): Promise<Entrance> {
    const home = await this.#signposts.homeOf(session);
    return home === '/set-up' ? this.#factors.gate.decide(session, peer) : { kind: 'elsewhere', home };
  }

  /** Passes the gate by the operator's code. */
  async open(session: FirstFactorSession, peer: Peer, code: string): Promise<Opened> {
    if ((await this.entrance(session, peer)).kind !== 'code') return { kind: 'not-asked' };
    const result = await this.#factors.enrollmentCodes.check(session.account, peer, code);
    this.#logger.info(
      { event: 'enrollment-code', outcome: result.kind, account: session.account.address },
      'enrollment code',
    );
    if (result.kind !== 'right') return result;
    const started = await this.#sessions.open(session, 'gate');
    return started === null ? { kind: 'session-gone' } : { kind: 'opened', started };
  }
}
