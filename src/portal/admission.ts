import type { Config } from '../config/schema.ts';
import type { PortalSession } from '../identity/portal-session.ts';
import { isAdministrator } from './administrators.ts';
import type { RouteRule } from './route.ts';

/** What keeps a session out of a route. Pages and the API ask the same, and answer it each in their own way (S-60). */
export type Hindrance =
  | 'not-signed-in'
  /** The browser showed a session that is over. */
  | 'session-ended'
  /** For sessions without a second factor, and one was shown. */
  | 'past'
  | 'second-factor'
  | 'fresh-factor'
  /** To this person it does not exist, so no factor is asked for it. */
  | 'hidden';

/** null: the session may enter, and is of the type that the route's handler counts on. */
export function hindranceOf(
  rule: RouteRule,
  session: PortalSession,
  config: Pick<Config, 'portal'>,
): Hindrance | null {
  if (rule.level === 'anyone') return null;
  if (session.level === 'anonymous') return session.ended ? 'session-ended' : 'not-signed-in';
  const isPastFirst = session.level !== 'first-factor';
  if (rule.role === 'administrator' && isPastFirst && !isAdministrator(session, config)) return 'hidden';
  switch (rule.level) {
    case 'signed-in':
      return null;
    case 'first-factor':
      return isPastFirst ? 'past' : null;
    case 'full':
      return isPastFirst ? null : 'second-factor';
    case 'stepped-up':
      if (session.level === 'stepped-up') return null;
      return isPastFirst ? 'fresh-factor' : 'second-factor';
    default:
      return rule.level satisfies never;
  }
}
