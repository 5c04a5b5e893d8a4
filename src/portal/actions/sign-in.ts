import type {
  FirstFactorSession,
  PortalSession,
  PortalSessions,
  StartedSession,
} from '../../identity/portal-session.ts';
import type { ImapSignIn, Peer, SignInResult } from '../../identity/sign-in/imap.ts';
import type { OfferedProvider, OidcSignIn } from '../../identity/sign-in/oidc.ts';
import { Secret } from '../../secret.ts';

export type SignedIn =
  | { readonly kind: 'signed-in'; readonly started: StartedSession<FirstFactorSession> }
  /** What people of this domain have is not a password of ours: it was checked nowhere. */
  | { readonly kind: 'provider'; readonly provider: OfferedProvider }
  | { readonly kind: 'missing'; readonly fields: readonly ('address' | 'password')[] }
  | Exclude<SignInResult, { readonly kind: 'signed-in' }>;

/** Sign-in with the main password, which is tried once on the mail backend. */
export class SignInActions {
  readonly #signIn: ImapSignIn;
  readonly #oidc: OidcSignIn;
  readonly #sessions: PortalSessions;

  constructor(parts: {
    readonly signIn: ImapSignIn;
    readonly oidc: OidcSignIn;
    readonly sessions: PortalSessions;
  }) {
    this.#signIn = parts.signIn;
    this.#oidc = parts.oidc;
    this.#sessions = parts.sessions;
  }

  /** `before`: the session of the browser, which ends when somebody signs in. */
  async signIn(
    typed: { readonly address: string; readonly password: string },
    before: PortalSession,
    peer: Peer,
  ): Promise<SignedIn> {
    const address = typed.address.trim();
    const provider = this.#oidc.offeredTo(address);
    if (provider !== null) return { kind: 'provider', provider };
    const fields = [
      ...(address === '' ? (['address'] as const) : []),
      ...(typed.password === '' ? (['password'] as const) : []),
    ];
    if (fields.length > 0) return { kind: 'missing', fields };
    const result = await this.#signIn.signIn(address, Secret.fromText(typed.password), peer);
    if (result.kind !== 'signed-in') return result;
    if (before.level !== 'anonymous') await this.#sessions.end(before);
    return { kind: 'signed-in', started: await this.#sessions.startFirstFactor(result.account) };
  }
}
