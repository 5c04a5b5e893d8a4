import { z } from 'zod';
import type { PortalSessions } from '../../identity/portal-session.ts';
import type { ImapSignIn } from '../../identity/sign-in/imap.ts';
import { Secret } from '../../secret.ts';
import type { Texts } from '../locales/en.ts';
import type { Notices } from '../notices.ts';
import { type Answer, get, page, post, type Route, redirect } from '../route.ts';
import type { Problem } from '../views.ts';
import type { Signposts } from './home.ts';

/** Sign-in with the main password. */
export function signInRoutes(parts: {
  readonly signIn: ImapSignIn;
  readonly sessions: PortalSessions;
  readonly signposts: Signposts;
  readonly notices: Notices;
  readonly texts: Texts;
}): readonly Route[] {
  const { signIn, sessions, signposts, notices } = parts;
  const t = parts.texts.signIn;
  const form = (address: string, problems: readonly Problem[], status = 200): Answer =>
    page({ view: 'sign-in', data: { address, problems } }, status);
  const fields = { address: z.string().max(1_000), password: z.string().max(1_000) };
  return [
    get('/sign-in', 'anyone', async ({ session }) => {
      const home = await signposts.homeOf(session);
      return home === '/sign-in' ? form('', []) : redirect(home);
    }),
    post('/sign-in', 'anyone', fields, async ({ body, peer, session }) => {
      const address = body.address.trim();
      const problems: Problem[] = [];
      if (address === '') problems.push({ field: 'address', text: t.noAddress });
      if (body.password === '') problems.push({ field: 'password', text: t.noPassword });
      if (problems.length > 0) return form(address, problems, 422);
      const result = await signIn.signIn(address, Secret.fromText(body.password), peer);
      switch (result.kind) {
        case 'signed-in': {
          if (session.level !== 'anonymous') await sessions.end(session);
          const started = await sessions.startFirstFactor(result.account);
          return redirect(await signposts.homeOf(started.session), started);
        }
        case 'wrong':
          return form(address, [{ field: 'password', text: t.wrong }], 401);
        case 'throttled':
          return notices.throttled(result.until);
        case 'unavailable':
          return form(address, [{ field: 'password', text: t.cannotCheck }], 503);
        default:
          return result satisfies never;
      }
    }),
  ];
}
