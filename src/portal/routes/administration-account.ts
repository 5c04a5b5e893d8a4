import type { AccountOverview } from '../actions/account-overview.ts';
import type { AdministrationActions, Subject } from '../actions/administration.ts';
import { activityDays, eventPlace, eventPlaceText } from '../activity-texts.ts';
import { actLinks, appPasswordActLinks, withoutLinks } from '../administration-texts.ts';
import { entryOf, staleText } from '../app-password-texts.ts';
import type { Language } from '../language.ts';
import { type Answer, administratorGet, page, type Route } from '../route.ts';
import { mailSessionGroups } from '../session-texts.ts';

const eventsOnPage = 10;
const eventsPerPage = 30;

/** An account as helpdesk sees it: state, methods, app passwords without their secrets, what is connected, the log. */
export function administrationAccountRoutes(parts: {
  readonly administration: AdministrationActions;
  readonly overview: AccountOverview;
  readonly now: () => number;
}): readonly Route[] {
  const { administration, overview, now } = parts;

  const accountPage = async (
    { account, genuine }: Subject,
    isOwn: boolean,
    language: Language,
    done: string | undefined,
  ): Promise<Answer> => {
    const { texts, formats } = language;
    const t = texts.administration;
    const id = account.id.toString('hex');
    const { appPasswords: own, methods, stale, open } = await overview.read({ account, genuine });
    const labels = new Map(own.map((view) => [view.id.toString('hex'), view.label]));
    const live = own.filter(({ state }) => state !== 'revoked');
    const events = await overview.activity(account, null, eventsOnPage + 1);
    const state = genuine === null ? ('forged' as const) : account.state;
    const methodName = ({ name, kind, masked, isDisabled }: (typeof methods)[number]) => {
      const said = [name === '' ? texts.methods.kinds[kind] : name, masked].filter((part) => part !== null);
      return isDisabled ? t.account.methodDisabled(said.join(', ')) : said.join(', ');
    };
    const data = {
      heading: account.address,
      state,
      done: done !== undefined && isActName(done, t.acts) ? t.acts[done].done : null,
      note: genuine === null ? t.account.forged : isOwn ? t.account.ownAccount : null,
      facts: [
        { name: t.account.created, values: [formats.dateTime(account.created_at)] },
        { name: t.account.policy, values: [t.policies[account.mfa ?? 'domain']] },
        {
          name: t.account.methods,
          values: methods.length === 0 ? [t.account.noMethods] : methods.map(methodName),
        },
      ],
      live: live.map((view) => ({
        entry: entryOf(view, language, now()),
        acts: isOwn || genuine === null ? [] : appPasswordActLinks(id, view, language),
      })),
      ended: own.length > live.length ? t.account.ended(formats.number(own.length - live.length)) : null,
      stale: stale.map((each) => staleText(each, language, now())),
      groups: open === null ? null : mailSessionGroups(open.sessions, labels, language, now()),
      days: withoutLinks(activityDays(events.slice(0, eventsOnPage), labels, language, now())),
      allActivity: events.length > eventsOnPage ? `/administration/accounts/${id}/activity` : null,
      trail: `/administration/trail?account=${id}`,
      acts: isOwn ? [] : actLinks(id, state, account.enrolled_at !== null, language),
    };
    return page({ view: 'account', data });
  };

  return [
    administratorGet('/administration/accounts/:id', async ({ session, id, language, peer, query }) => {
      const subject = id === null ? null : await administration.find(id);
      if (subject === null) return { kind: 'not-found' };
      await administration.look(session, subject, peer);
      return await accountPage(subject, session.account.id.equals(subject.account.id), language, query.done);
    }),
    administratorGet(
      '/administration/accounts/:id/activity',
      async ({ session, id, language, peer, query }) => {
        const subject = id === null ? null : await administration.find(id);
        if (subject === null) return { kind: 'not-found' };
        await administration.look(session, subject, peer);
        const { account } = subject;
        const found = await overview.activity(account, eventPlace(query.after), eventsPerPage + 1);
        const events = found.slice(0, eventsPerPage);
        const last = events.at(-1);
        const own = await overview.appPasswords(account);
        const labels = new Map(own.map((view) => [view.id.toString('hex'), view.label]));
        const path = `/administration/accounts/${account.id.toString('hex')}`;
        const data = {
          heading: account.address,
          days: withoutLinks(activityDays(events, labels, language, now())),
          older:
            found.length > eventsPerPage && last !== undefined
              ? `${path}/activity?after=${eventPlaceText(last)}`
              : null,
          back: { href: path, label: language.texts.administration.account.back },
        };
        return page({ view: 'account-activity', data });
      },
    ),
  ];
}

function isActName<T extends object>(name: string, acts: T): name is Extract<keyof T, string> {
  return Object.hasOwn(acts, name);
}
