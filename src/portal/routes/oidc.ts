import type { PortalSession, PortalSessions } from '../../identity/portal-session.ts';
import type { OidcBegun, OidcResult, OidcSignIn } from '../../identity/sign-in/oidc.ts';
import type { Account } from '../../store/schema.ts';
import type { Language } from '../language.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, type Route, redirect } from '../route.ts';
import type { Signposts } from '../signposts.ts';
import { destinationOf } from '../step-up.ts';

/** S-88: of each provider, and exactly as registered there. */
export const callbackPath = '/oidc/:provider/callback';

/** The way to an identity provider and back: to sign in, and to show a second factor there again. */
export function oidcRoutes(parts: {
  readonly oidc: OidcSignIn;
  readonly sessions: PortalSessions;
  readonly signposts: Signposts;
  readonly notices: Notices;
}): readonly Route[] {
  const { oidc, sessions, signposts, notices } = parts;

  const leave = (begun: OidcBegun, provider: string, language: Language): Answer => {
    switch (begun.kind) {
      case 'begun':
        return { kind: 'away', to: begun.to, transaction: begun.token };
      case 'unavailable':
        return unavailable(provider, language);
      case 'unknown':
        return { kind: 'not-found' };
      default:
        return begun satisfies never;
    }
  };

  const unavailable = (provider: string, language: Language): Answer => {
    const t = language.texts.oidc;
    return failure(503, language, t.unavailableTitle(labelOf(oidc, provider)), t.unavailable);
  };

  const failure = (status: number, { texts }: Language, heading: string, paragraph: string, href = '/') =>
    notices.notice(status, heading, [paragraph], { href, label: texts.tryAgain });

  const arrive = async (
    result: OidcResult,
    visit: { readonly provider: string; readonly session: PortalSession; readonly language: Language },
  ): Promise<Answer> => {
    const { provider, session, language } = visit;
    const t = language.texts.oidc;
    const label = labelOf(oidc, provider);
    switch (result.kind) {
      case 'signed-in': {
        const { account, factor, isAdministrator } = result;
        if (session.level !== 'anonymous') await sessions.end(session);
        const role = isAdministrator ? 'administrator' : null;
        if (factor !== null) return redirect('/', await sessions.startFull(account, factor.at, role));
        // Not a redirect: a chain that began at the provider does not carry the cookie, which is SameSite=Strict.
        return {
          ...notices.notice(200, t.signedInTitle, [t.signedIn], {
            href: '/',
            label: language.texts.continue,
          }),
          session: await sessions.startFirstFactor(account, 'idp', null, role),
          continueTo: '/',
        };
      }
      case 'confirmed': {
        const started = await sessions.stepUp(result.session);
        return started === null ? redirect('/sign-in', 'ended') : redirect(result.destination, started);
      }
      case 'not-confirmed':
        return failure(403, language, t.notConfirmedTitle, t.notConfirmed(label), result.destination);
      case 'no-account':
        return failure(403, language, t.noAccountTitle, t.noAccount(label));
      case 'expired':
        return failure(400, language, t.expiredTitle, t.expired);
      case 'denied':
        return failure(403, language, t.deniedTitle, t.denied(label));
      case 'refused':
        return failure(400, language, t.refusedTitle, t.refused(label));
      case 'unavailable':
        return unavailable(provider, language);
      case 'unknown':
        return { kind: 'not-found' };
      default:
        return result satisfies never;
    }
  };

  return [
    // A link and no form: `form-action 'self'` would stop a form's redirect to the provider.
    get('/oidc/:provider/start', 'anyone', async ({ provider, session, language }) => {
      const home = await signposts.homeOf(session);
      if (home !== '/sign-in') return redirect(home);
      return leave(await oidc.begin(provider, { kind: 'sign-in' }), provider, language);
    }),
    get('/oidc/:provider/confirm/:purpose', 'full', async ({ provider, purpose, session, language }) => {
      const destination = destinationOf(purpose);
      if (destination === null || oidc.confirmerOf(session.account)?.name !== provider) {
        return { kind: 'not-found' };
      }
      const { account, idHash } = session;
      const purposeThere = {
        kind: 'step-up',
        accountId: account.id,
        sessionIdHash: idHash,
        destination,
      } as const;
      return leave(await oidc.begin(provider, purposeThere), provider, language);
    }),
    get(callbackPath, 'anyone', async ({ provider, transaction, query, session, peer, language }) => {
      const parameters = new URLSearchParams({ ...query });
      const result = await oidc.finish(provider, { token: transaction, parameters, session, peer });
      return await arrive(result, { provider, session, language });
    }),
  ];
}

/** Where an account's provider shows its second factor again for a page that needs one; null where none can. */
export function providerConfirmation(
  oidc: OidcSignIn,
  account: Account,
  purpose: string,
): { readonly href: string; readonly label: string } | null {
  const provider = oidc.confirmerOf(account);
  return provider === null
    ? null
    : { href: `/oidc/${provider.name}/confirm/${purpose}`, label: provider.label };
}

function labelOf(oidc: OidcSignIn, provider: string): string {
  return oidc.labelOf(provider) ?? provider;
}
