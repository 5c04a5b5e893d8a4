import { z } from 'zod';
import { isoOf } from '../../../credentials/app-password-json.ts';
import type { Banner, Notices } from '../../../credentials/notices.ts';
import { maskedAddress } from '../../../identity/second-factor/email-code.ts';
import type { Database } from '../../../store/database.ts';
import { pageLoginEvents } from '../../../store/login-events.ts';
import type { MailSessionActions } from '../../actions/sessions.ts';
import { eventPlace, eventPlaceText } from '../../activity-texts.ts';
import { problem } from '../problem.ts';
import { type ApiRoute, act, read, result } from '../route.ts';
import {
  describeEvent,
  describeMailSession,
  done,
  doneShape,
  eventShape,
  hexId,
  mailSessionsShape,
  time,
} from '../shapes.ts';

const perPage = 50;

const noticeShape = z.object({
  id: hexId,
  kind: z.string(),
  at: time,
  /** Those of its kind: a newer version may know others. */
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.null(), z.array(z.string())])),
});

export const eventPageShape = z.object({
  events: z.array(eventShape),
  /** What `after` is to be for the next ones; null: these were the last. */
  next: z.string().nullable(),
});

/** What happened to the own account, and to no other (S-95). */
export function activityRoutes(parts: {
  readonly database: Database;
  readonly mailSessions: MailSessionActions;
  /** null: nobody is told of anything. */
  readonly notifications: Pick<Notices, 'listBanners' | 'dismiss'> | null;
}): readonly ApiRoute[] {
  const { database, mailSessions, notifications } = parts;
  return [
    read(
      '/activity',
      'full',
      {
        summary: 'Sign-ins and refusals, the newest first.',
        query: { after: '"next" of the page before.' },
        result: eventPageShape,
      },
      async ({ session, query }) =>
        result(
          await pageOfEvents(query.after, async (after, limit) =>
            pageLoginEvents(database, session.account.id, after, limit),
          ),
        ),
    ),
    read(
      '/mail-sessions',
      'full',
      { summary: 'Open connections of mail programs.', result: mailSessionsShape, problems: ['unavailable'] },
      async ({ session }) => {
        const open = await mailSessions.list(session.account);
        if (open === null) return problem('unavailable');
        return result({ sessions: open.sessions.map(describeMailSession), isPartial: open.isPartial });
      },
    ),
    act(
      '/mail-sessions/end',
      'full',
      {
        summary: 'Ends one of them. None where it is gone, or was never of this account.',
        body: { session: z.string().max(64) },
        result: z.object({ ended: z.int() }),
      },
      async ({ session, body }) =>
        result({ ended: await mailSessions.endOne(session.account, body.session) }),
    ),
    read(
      '/notices',
      'full',
      {
        summary: 'What was done to the account in the last 30 days, until it is dismissed.',
        result: z.object({ notices: z.array(noticeShape) }),
      },
      async ({ session }) => {
        const banners = (await notifications?.listBanners(session.account.id)) ?? [];
        return result({
          notices: banners.map(({ id, kind, at, facts }) => ({
            ...{ id: id.toString('hex'), kind, at: isoOf(at) },
            facts: shownFacts(facts),
          })),
        });
      },
    ),
    act(
      '/notices/:id/dismiss',
      'full',
      { summary: 'Shows one no more.', body: {}, result: doneShape },
      async ({ session, id }) =>
        id !== null && (await notifications?.dismiss(session.account.id, id)) === true
          ? result(done)
          : problem('not-found'),
    ),
    act(
      '/notices/dismiss-all',
      'full',
      { summary: 'Shows none of these any more.', body: {}, result: doneShape },
      async ({ session }) => {
        for (const { id } of (await notifications?.listBanners(session.account.id)) ?? []) {
          await notifications?.dismiss(session.account.id, id);
        }
        return result(done);
      },
    ),
  ];
}

/** As the mails have them: enough of an address to know one's own by, and nobody's whereabouts but the person's. */
function shownFacts(facts: Banner['facts']) {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => {
      if (name === 'from' && facts.by === 'administrator') return [name, null];
      if (value !== null && typeof value === 'object') return [name, [...value]];
      const isAddress = (name === 'old' || name === 'new') && typeof value === 'string';
      return [name, isAddress ? maskedAddress(value) : value];
    }),
  );
}

/** One page of a login log and the way to the next. */
export async function pageOfEvents(
  after: string | undefined,
  read: (
    after: ReturnType<typeof eventPlace>,
    limit: number,
  ) => Promise<Awaited<ReturnType<typeof pageLoginEvents>>>,
): Promise<z.input<typeof eventPageShape>> {
  // One more tells whether there is a next page.
  const found = await read(eventPlace(after), perPage + 1);
  const events = found.slice(0, perPage);
  const last = events.at(-1);
  return {
    events: events.map(describeEvent),
    next: found.length > perPage && last !== undefined ? eventPlaceText(last) : null,
  };
}
