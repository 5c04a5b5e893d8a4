import type { Config } from '../../config/schema.ts';
import { mfaPolicyOf } from '../../identity/mfa-policy.ts';
import type { PortalSession, PortalSessions } from '../../identity/portal-session.ts';
import type { FactorState, TotpFactors } from '../../identity/second-factor/totp.ts';
import type { Notices } from '../notices.ts';
import { get, post, type Route, redirect } from '../route.ts';

/** The page a session belongs to. */
export type Home = '/sign-in' | '/not-required' | '/set-up' | '/verify' | '/app-passwords';

/** Where a session belongs, decided anew at each request from the policy and the account's factor. */
export class Signposts {
  readonly #config: Config;
  readonly #factors: TotpFactors;

  constructor(parts: { readonly config: Config; readonly factors: TotpFactors }) {
    this.#config = parts.config;
    this.#factors = parts.factors;
  }

  async homeOf(session: PortalSession): Promise<Home> {
    if (session.level === 'anonymous') return '/sign-in';
    if (session.level !== 'first-factor') return '/app-passwords';
    if (mfaPolicyOf(session.account, this.#config) === 'off') return '/not-required';
    const state: FactorState = await this.#factors.stateOf(session.account);
    return state === 'none' ? '/set-up' : '/verify';
  }
}

/** Start page, sign-out and the page for whom there is nothing here. */
export function homeRoutes(parts: {
  readonly signposts: Signposts;
  readonly sessions: PortalSessions;
  readonly notices: Notices;
}): readonly Route[] {
  const { signposts, sessions, notices } = parts;
  return [
    get('/', 'anyone', async ({ session }) => redirect(await signposts.homeOf(session))),
    get('/not-required', 'first-factor', async ({ session }) => {
      const home = await signposts.homeOf(session);
      return home === '/not-required' ? notices.notRequired() : redirect(home);
    }),
    post('/sign-out', 'signed-in', {}, async ({ session }) => {
      await sessions.end(session);
      return redirect('/sign-in', 'ended');
    }),
  ];
}
