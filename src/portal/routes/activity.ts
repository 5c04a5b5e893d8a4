import type { Config } from '../../config/schema.ts';
import type { Database } from '../../store/database.ts';
import { pageLoginEvents } from '../../store/login-events.ts';
import type { AppPasswordActions } from '../actions/app-passwords.ts';
import { activityDays, eventPlace, eventPlaceText } from '../activity-texts.ts';
import { get, page, type Route } from '../route.ts';

const perPage = 30;

/** Sign-ins and refusals of one's own account, and of no other (S-95). */
export function activityRoutes(parts: {
  readonly config: Pick<Config, 'loginLog'>;
  readonly database: Database;
  readonly actions: AppPasswordActions;
  readonly now: () => number;
}): readonly Route[] {
  const { config, database, actions, now } = parts;
  return [
    get('/activity', 'full', async ({ session, language, query }) => {
      const after = eventPlace(query.after);
      // One more tells whether there is a next page.
      const found = await pageLoginEvents(database, session.account.id, after, perPage + 1);
      const events = found.slice(0, perPage);
      const own = await actions.list(session.account);
      const labels = new Map(own.map(({ id, label }) => [id.toString('hex'), label]));
      const last = events.at(-1);
      const data = {
        days: activityDays(events, labels, language, now()),
        older:
          found.length > perPage && last !== undefined ? `/activity?after=${eventPlaceText(last)}` : null,
        isOlder: after !== null,
        keptDays: Math.round(config.loginLog.keepMs / 86_400_000),
      };
      return page({ view: 'activity', data });
    }),
  ];
}
