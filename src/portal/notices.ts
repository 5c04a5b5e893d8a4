import type { Language } from './language.ts';
import type { Answer } from './route.ts';

type NoticePage = Extract<Answer, { kind: 'page' }>;

/** The pages that only say something. Each as an answer with its status. */
export type Notices = ReturnType<typeof createNotices>;

export function createNotices(now: () => number) {
  const notice = (
    status: number,
    heading: string,
    paragraphs: readonly string[],
    action: { readonly href: string; readonly label: string } | null,
    reference: string | null = null,
  ): NoticePage => ({
    kind: 'page',
    status,
    page: { view: 'notice', data: { heading, paragraphs, action, reference } },
  });
  const toStart = ({ texts }: Language) => ({ href: '/', label: texts.notFound.button });
  const again = ({ texts }: Language) => ({ href: '/', label: texts.tryAgain });
  return {
    notice,
    notRequired: ({ texts: { notRequired: t } }: Language) =>
      notice(200, t.title, [t.body, t.refuse, t.ask], null),
    held: ({ texts: t, formats }: Language, until: number) => {
      const action = { href: '/app-passwords', label: t.secret.toList };
      return notice(403, t.methods.heldTitle, [t.replace.hold(formats.dateTime(until))], action);
    },
    factorDisabled: ({ texts: { confirm: t } }: Language) => notice(403, t.disabledTitle, [t.disabled], null),
    /** `place`: the page of the app password. `worked`: that it was used meanwhile, so that nothing is missing. */
    alreadyShown: ({ texts: { secret: t } }: Language, place: string, worked: string | null) =>
      notice(200, t.shownTitle, worked === null ? [t.shown] : [worked, t.shown], {
        href: place,
        label: t.details,
      }),
    throttled: (language: Language, until: number) => {
      const t = language.texts.throttled;
      return {
        ...notice(429, t.title, [t.body(language.formats.until(until - now()))], toStart(language)),
        retryAfterMs: until - now(),
      };
    },
    sessionEnded: ({ texts: { ended: t } }: Language) => ({
      ...notice(401, t.title, [t.body, t.secret], { href: '/sign-in', label: t.button }),
      session: 'ended' as const,
    }),
    outdated: (language: Language) => {
      const t = language.texts.outdated;
      return notice(403, t.title, [t.body], toStart(language));
    },
    badRequest: (language: Language, status: number) => {
      const t = language.texts.badRequest;
      return notice(status, t.title, [t.body], toStart(language));
    },
    notFound: (language: Language) => {
      const t = language.texts.notFound;
      return notice(404, t.title, [t.body], toStart(language));
    },
    unavailable: (language: Language) => {
      const t = language.texts.unavailable;
      return notice(503, t.title, [t.body], again(language));
    },
    failed: (language: Language, reference: string) => {
      const t = language.texts.failed;
      return notice(500, t.title, [t.body], again(language), reference);
    },
  };
}
