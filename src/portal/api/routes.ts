import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { Notices } from '../../credentials/notices.ts';
import type { PortalSessions } from '../../identity/portal-session.ts';
import type { Factors } from '../../identity/second-factor/factors.ts';
import type { OidcSignIn } from '../../identity/sign-in/oidc.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Database } from '../../store/database.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { AccountOverview } from '../actions/account-overview.ts';
import type { AdministrationActions } from '../actions/administration.ts';
import type { AppPasswordActions } from '../actions/app-passwords.ts';
import type { EnrollmentActions } from '../actions/enrollment.ts';
import type { MethodActions } from '../actions/methods.ts';
import type { ProfileLinkActions } from '../actions/profile-links.ts';
import type { SecondFactorActions } from '../actions/second-factor.ts';
import type { MailSessionActions } from '../actions/sessions.ts';
import type { SignInActions } from '../actions/sign-in.ts';
import type { ProfileLinks } from '../client-setup/profile-links.ts';
import type { Signposts } from '../signposts.ts';
import { openApiDocument } from './openapi.ts';
import { type ApiRoute, read, result } from './route.ts';
import { activityRoutes } from './routes/activity.ts';
import { administrationRoutes } from './routes/administration.ts';
import { appPasswordRoutes } from './routes/app-passwords.ts';
import { enrollmentRoutes } from './routes/enrollment.ts';
import { methodSetUpRoutes } from './routes/method-set-up.ts';
import { methodRoutes } from './routes/methods.ts';
import { profileLinkRoutes } from './routes/profile-links.ts';
import { secondFactorRoutes } from './routes/second-factor.ts';
import { sessionRoutes } from './routes/session.ts';
import { SessionStates } from './session-state.ts';

/** Everything the pages do, by the same actions, and the document that says so. */
export function apiRoutes(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly guard: RowGuard;
  readonly sessions: PortalSessions;
  readonly signposts: Signposts;
  readonly factors: Factors;
  readonly oidc: OidcSignIn;
  readonly signIn: SignInActions;
  readonly secondFactor: SecondFactorActions;
  readonly enrollment: EnrollmentActions;
  readonly methods: MethodActions;
  readonly appPasswordActions: AppPasswordActions;
  readonly mailSessions: MailSessionActions;
  readonly profileLinks: ProfileLinkActions;
  readonly links: ProfileLinks;
  readonly notifications: Pick<Notices, 'listBanners' | 'dismiss'> | null;
  readonly administration: AdministrationActions;
  readonly overview: AccountOverview;
  readonly logger: Logger;
  readonly now: () => number;
}): readonly ApiRoute[] {
  const states = new SessionStates(parts);
  const setUp = methodSetUpRoutes({ ...parts, states, actions: parts.methods });
  let document: Readonly<Record<string, unknown>> | null = null;
  const routes: readonly ApiRoute[] = [
    ...sessionRoutes({ ...parts, states }),
    ...secondFactorRoutes({ ...parts, states, actions: parts.secondFactor }),
    ...enrollmentRoutes({ ...parts, states, actions: parts.enrollment, setUp }),
    ...methodRoutes({ ...parts, states, actions: parts.methods, setUp }),
    ...appPasswordRoutes({ ...parts, actions: parts.appPasswordActions }),
    ...activityRoutes(parts),
    ...profileLinkRoutes({ ...parts, actions: parts.profileLinks }),
    ...administrationRoutes(parts),
    read(
      '/openapi.json',
      'anyone',
      { summary: 'This document.', result: z.looseObject({ openapi: z.string() }) },
      async () => {
        document ??= openApiDocument(routes, parts.config.portal.publicUrl.origin);
        return result({ ...document, openapi: String(document.openapi) });
      },
    ),
  ];
  return routes;
}
