import type { Texts } from './locales/en.ts';
import type { Answer } from './route.ts';

/** The pages that only say something. Each as an answer with its status. */
export type Notices = ReturnType<typeof createNotices>;

export function createNotices(t: Texts, now: () => number) {
  const notice = (
    status: number,
    heading: string,
    paragraphs: readonly string[],
    action: { readonly href: string; readonly label: string } | null,
    reference: string | null = null,
  ): Extract<Answer, { kind: 'page' }> => ({
    kind: 'page',
    status,
    page: { view: 'notice', data: { heading, paragraphs, action, reference } },
  });
  const toStart = { href: '/', label: t.notFound.button };
  return {
    notRequired: () =>
      notice(200, t.notRequired.title, [t.notRequired.body, t.notRequired.refuse, t.notRequired.ask], null),
    factorDisabled: () => notice(403, t.confirm.disabledTitle, [t.confirm.disabled], null),
    alreadyShown: () =>
      notice(200, t.secret.shownTitle, [t.secret.shown], { href: '/app-passwords', label: t.secret.toList }),
    throttled: (until: number) => ({
      ...notice(429, t.throttled.title, [t.throttled.body(t.wait(until - now()))], null),
      retryAfterMs: until - now(),
    }),
    sessionEnded: () => ({
      ...notice(401, t.ended.title, [t.ended.body, t.ended.secret], {
        href: '/sign-in',
        label: t.ended.button,
      }),
      session: 'ended' as const,
    }),
    outdated: () => notice(403, t.outdated.title, [t.outdated.body], toStart),
    badRequest: (status: number) => notice(status, t.badRequest.title, [t.badRequest.body], toStart),
    notFound: () => notice(404, t.notFound.title, [t.notFound.body], toStart),
    unavailable: () => notice(503, t.unavailable.title, [t.unavailable.body], null),
    failed: (reference: string) => notice(500, t.failed.title, [t.failed.body], null, reference),
  };
}
