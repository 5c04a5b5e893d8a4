import type { PortalSessions } from '../../identity/portal-session.ts';
import type { Notices } from '../notices.ts';
import { get, post, type Route, redirect } from '../route.ts';
import type { Signposts } from '../signposts.ts';

/** Start page, sign-out and the page for whom there is nothing here. */
export function homeRoutes(parts: {
  readonly signposts: Signposts;
  readonly sessions: PortalSessions;
  readonly notices: Notices;
}): readonly Route[] {
  const { signposts, sessions, notices } = parts;
  return [
    get('/', 'anyone', async ({ session }) => redirect(await signposts.homeOf(session))),
    get('/not-required', 'first-factor', async ({ session, language }) => {
      const home = await signposts.homeOf(session);
      return home === '/not-required' ? notices.notRequired(language) : redirect(home);
    }),
    post('/sign-out', 'signed-in', {}, async ({ session }) => {
      await sessions.end(session);
      return redirect('/sign-in', 'ended');
    }),
  ];
}
