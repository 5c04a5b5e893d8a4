import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { OfferedProvider, OidcSignIn } from '../../identity/sign-in/oidc.ts';
import type { SignInActions } from '../actions/sign-in.ts';
import type { Language } from '../language.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, page, post, type Route, redirect } from '../route.ts';
import type { Signposts } from '../signposts.ts';
import type { Problem } from '../views.ts';

/** Sign-in with the main password, and the way to those that people of other domains sign in with. */
export function signInRoutes(parts: {
  readonly config: Config;
  readonly actions: SignInActions;
  readonly oidc: OidcSignIn;
  readonly signposts: Signposts;
  readonly notices: Notices;
}): readonly Route[] {
  const { config, actions, oidc, signposts, notices } = parts;
  const hasPasswords = Object.values(config.domains).some((domain) => domain.signIn.method === 'imap');
  const providers = oidc.offered().map(({ name, label }) => ({ href: startOf(name), label }));
  const elsewhere = ({ name, label }: OfferedProvider, { texts }: Language): Answer =>
    notices.notice(200, texts.oidc.elsewhereTitle(label), [texts.oidc.elsewhere], {
      href: startOf(name),
      label: texts.oidc.continueWith(label),
    });
  const form = (address: string, problems: readonly Problem[], status = 200): Answer =>
    page({ view: 'sign-in', data: { address, problems, hasPasswords, providers } }, status);
  const fields = { address: z.string().max(1_000), password: z.string().max(1_000) };
  return [
    get('/sign-in', 'anyone', async ({ session }) => {
      const home = await signposts.homeOf(session);
      return home === '/sign-in' ? form('', []) : redirect(home);
    }),
    post('/sign-in', 'anyone', fields, async ({ body, peer, session, language }) => {
      const t = language.texts.signIn;
      const address = body.address.trim();
      const result = await actions.signIn(body, session, peer);
      switch (result.kind) {
        case 'signed-in':
          return redirect(await signposts.homeOf(result.started.session), result.started);
        case 'provider':
          return elsewhere(result.provider, language);
        case 'missing': {
          const texts = { address: t.noAddress, password: t.noPassword };
          return form(
            address,
            result.fields.map((field) => ({ field, text: texts[field] })),
            422,
          );
        }
        case 'wrong':
          return form(address, [{ field: 'password', text: t.wrong }], 401);
        case 'throttled':
          return notices.throttled(language, result.until);
        case 'unavailable':
          return form(address, [{ field: 'password', text: t.cannotCheck }], 503);
        default:
          return result satisfies never;
      }
    }),
  ];
}

function startOf(provider: string): string {
  return `/oidc/${provider}/start`;
}
