import { z } from 'zod';
import type { PortalSessions } from '../../identity/portal-session.ts';
import type { AppPasswordActions } from '../actions/app-passwords.ts';
import type { MailSessionActions } from '../actions/sessions.ts';
import type { Language } from '../language.ts';
import { type Answer, get, page, post, type Route, redirect } from '../route.ts';
import { mailSessionGroups, portalSessionEntry } from '../session-texts.ts';

/** Live mail sessions and the sessions of these pages: seen and ended by their owner (S-67, S-69). */
export function sessionRoutes(parts: {
  readonly sessions: PortalSessions;
  readonly mailSessions: MailSessionActions;
  readonly actions: AppPasswordActions;
  readonly now: () => number;
}): readonly Route[] {
  const { sessions, mailSessions, actions, now } = parts;
  const endedMail = (ended: number): Answer => redirect(`/sessions?ended=${ended}`);
  return [
    get('/sessions', 'full', async ({ session, language, query }) => {
      const open = await mailSessions.list(session.account);
      const own = await actions.list(session.account);
      const labels = new Map(own.map(({ id, label }) => [id.toString('hex'), label]));
      const portal = await sessions.list(session);
      const data = {
        done: doneText(query, language),
        groups: open === null ? null : mailSessionGroups(open.sessions, labels, language, now()),
        isPartial: open?.isPartial === true,
        portal: portal.map((each) => portalSessionEntry(each, language, now())),
      };
      return page({ view: 'sessions', data });
    }),
    post('/sessions/mail/end', 'full', { session: z.string().max(64) }, async ({ session, body }) =>
      endedMail(await mailSessions.endOne(session.account, body.session)),
    ),
    post('/sessions/mail/end-all', 'full', { credential: z.string().max(64) }, async ({ session, body }) =>
      endedMail(await mailSessions.endCredential(session.account, body.credential)),
    ),
    post('/sessions/portal/end', 'full', { session: z.string().max(64) }, async ({ session, body }) =>
      (await sessions.endOne(session, body.session))
        ? redirect('/sessions?ended=browser')
        : { kind: 'not-found' },
    ),
    post('/sessions/portal/end-all', 'full', {}, async ({ session }) => {
      await sessions.endAll(session);
      return redirect('/sign-in', 'ended');
    }),
  ];
}

function doneText({ ended }: Readonly<Record<string, string>>, { texts: { sessions: t } }: Language) {
  if (ended === 'browser') return t.signedOut;
  if (ended === undefined || !/^\d{1,4}$/.test(ended)) return null;
  const count = Number(ended);
  return count === 0 ? t.endedNone : t.ended(count);
}
