import type { Config } from '../config/schema.ts';
import { mfaPolicyOf } from '../identity/mfa-policy.ts';
import type { PortalSession } from '../identity/portal-session.ts';
import type { Factors } from '../identity/second-factor/factors.ts';

/** The page a session belongs to. */
export type Home = '/sign-in' | '/not-required' | '/set-up' | '/verify' | '/app-passwords';

/** Where a session belongs, decided anew at each request from the policy and the account's factor. */
export class Signposts {
  readonly #config: Config;
  readonly #factors: Factors;

  constructor(parts: { readonly config: Config; readonly factors: Factors }) {
    this.#config = parts.config;
    this.#factors = parts.factors;
  }

  async homeOf(session: PortalSession): Promise<Home> {
    if (session.level === 'anonymous') return '/sign-in';
    if (session.level !== 'first-factor') return '/app-passwords';
    if (mfaPolicyOf(session.account, this.#config) === 'off') return '/not-required';
    // After a recovery code there is nothing to do but replace what is lost (S-80).
    if (session.opened === 'recovery') return '/set-up';
    return (await this.#factors.stateOf(session.account)) === 'none' ? '/set-up' : '/verify';
  }
}
