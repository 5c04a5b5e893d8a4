import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/schema.ts';
import { isCsrfToken, type PortalSession, type PortalSessions } from '../identity/portal-session.ts';
import type { Account } from '../store/schema.ts';
import { isAdministrator } from './administrators.ts';
import { type Hindrance, hindranceOf } from './admission.ts';
import type { Drafts } from './drafts.ts';
import { peerOf } from './guards.ts';
import type { Language } from './language.ts';
import { showLanguage } from './language-cookie.ts';
import { navigationOf, sessionEndOf } from './navigation.ts';
import type { Notices } from './notices.ts';
import { clearTransaction, showTransaction, transactionOf } from './oidc-cookie.ts';
import { type Answer, type Route, redirect } from './route.ts';
import { callbackPath } from './routes/oidc.ts';
import { clearSession, sessionOf, showSession } from './session-cookie.ts';
import { confirmPath } from './step-up.ts';
import { titleOf, type Views } from './views.ts';

export type Send = (
  request: FastifyRequest,
  reply: FastifyReply,
  session: PortalSession,
  answer: Answer,
) => FastifyReply;

/** Turns an answer into a response in the language of the request. */
export function createSend(parts: {
  readonly views: Views;
  readonly notices: Notices;
  readonly languageOf: (request: FastifyRequest) => Language;
  /** Whether a path is a page of ours, so that no link leads nowhere. */
  readonly isPage: (path: string) => boolean;
  readonly config: Config;
  readonly now: () => number;
}): Send {
  const { config, views, notices, languageOf, isPage, now } = parts;
  const send: Send = (request, reply, session, answer) => {
    const language = languageOf(request);
    if (answer.kind === 'not-found') return send(request, reply, session, notices.notFound(language));
    if (answer.kind === 'away') {
      showTransaction(reply, answer.transaction);
      return reply.redirect(answer.to.href, 303);
    }
    if (answer.kind === 'file') {
      return reply
        .type(answer.type)
        .header('content-disposition', `attachment; filename="${answer.filename}"`)
        .send(answer.body);
    }
    let shown = session;
    if (answer.session === 'ended') {
      clearSession(reply);
      shown = { level: 'anonymous', ended: false };
    } else if (answer.session !== undefined) {
      showSession(reply, answer.session);
      shown = answer.session.session;
    }
    if (answer.kind === 'redirect') {
      if (answer.language !== undefined) showLanguage(reply, answer.language);
      return reply.redirect(answer.to, 303);
    }
    if (answer.continueTo !== undefined) reply.header('refresh', `0; url=${answer.continueTo}`);
    if (answer.retryAfterMs !== undefined) {
      reply.header('retry-after', String(Math.max(1, Math.ceil(answer.retryAfterMs / 1_000))));
    }
    const path = pathOf(request);
    const navigation = navigationOf(
      shown,
      path,
      language,
      isPage,
      (shown.level === 'full' || shown.level === 'stepped-up') && isAdministrator(shown, config),
    );
    const html = views.render(answer.page, {
      language,
      title: titleOf(answer.page, language.texts),
      address: shown.level === 'anonymous' ? null : shown.account.address,
      csrf: shown.level === 'anonymous' ? null : shown.csrf,
      level: shown.level,
      navigation,
      help: navigation.length === 0 && isPage('/help') ? '/help' : null,
      end: sessionEndOf(shown, language, now()),
      path,
    });
    return reply
      .status(answer.status ?? 200)
      .type('text/html; charset=utf-8')
      .send(html);
  };
  return send;
}

/** Puts a route behind its level, its token and its schema; the handler is called when all three hold. */
export function mount(
  app: FastifyInstance,
  route: Route,
  parts: {
    readonly config: Config;
    readonly sessions: PortalSessions;
    readonly notices: Notices;
    readonly languageOf: (request: FastifyRequest) => Language;
    readonly drafts: Drafts;
    /** The language a person signs in in is the one of the mails to come. */
    readonly remember: (account: Account, tag: string) => Promise<void>;
    readonly send: Send;
  },
): void {
  const { config, sessions, notices, languageOf, drafts, remember, send } = parts;
  app.route<{
    Params: { id?: string; purpose?: string; provider?: string };
    Querystring: Record<string, unknown>;
  }>({
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const language = languageOf(request);
      const session = await sessionOf(request, sessions);
      const { id: idText, purpose } = request.params;
      const id = idText !== undefined && /^[0-9a-f]{32}$/.test(idText) ? Buffer.from(idText, 'hex') : null;
      const path = pathOf(request);
      const hindrance = hindranceOf(route, session, config);
      const detour = hindrance === null ? null : detourOf(hindrance, route, id, notices, language);
      if (detour !== null) {
        if (route.keepsDraft && hindrance === 'fresh-factor' && session.level === 'full') {
          const parsed = route.body.safeParse({ ...(request.body as object | null) });
          const token = parsed.success && 'csrf' in parsed.data ? String(parsed.data.csrf) : '';
          if (parsed.success && isCsrfToken(session, token)) drafts.hold(session, path, parsed.data);
        }
        return send(request, reply, session, detour);
      }
      let body: unknown = {};
      if (route.method === 'POST') {
        const parsed = route.body.safeParse({ ...(request.body as object | null) });
        if (request.body === null || !parsed.success) {
          return send(request, reply, session, notices.badRequest(language, 400));
        }
        body = parsed.data;
        const token = 'csrf' in parsed.data ? String(parsed.data.csrf) : '';
        if (route.level !== 'anyone' && (session.level === 'anonymous' || !isCsrfToken(session, token))) {
          return send(request, reply, session, notices.outdated(language));
        }
      }
      const answer = await route.handle({
        session,
        body,
        language,
        id,
        purpose: purpose ?? '',
        provider: request.params.provider ?? '',
        transaction: transactionOf(request),
        query: Object.fromEntries(
          Object.entries(request.query).flatMap(([name, value]) =>
            typeof value === 'string' ? [[name, value] as const] : [],
          ),
        ),
        draft: route.method === 'GET' && session.level === 'stepped-up' ? drafts.take(session, path) : null,
        peer: peerOf(request, config),
        userAgent: request.headers['user-agent'] ?? '',
      });
      if (route.path === callbackPath) clearTransaction(reply);
      if ('session' in answer && answer.session !== undefined && answer.session !== 'ended') {
        const { session: next } = answer.session;
        if (session.level !== 'anonymous') drafts.follow(session, next);
        const { account, level } = next;
        if (level !== 'first-factor') await remember(account, language.tag);
      }
      // S-70: whoever signs out leaves nothing behind, here or everywhere.
      if (route.method === 'POST' && 'session' in answer && answer.session === 'ended') {
        reply.header('clear-site-data', '"cache", "storage"');
      }
      return send(request, reply, session, answer);
    },
  });
}

/** Where a session goes that the route does not let in. */
function detourOf(
  hindrance: Hindrance,
  route: Route,
  id: Buffer | null,
  notices: Notices,
  language: Language,
): Answer {
  switch (hindrance) {
    case 'hidden':
      return { kind: 'not-found' };
    case 'not-signed-in':
      return route.method === 'GET' ? redirect('/sign-in') : notices.sessionEnded(language);
    case 'session-ended':
      return notices.sessionEnded(language);
    case 'past':
      return redirect('/app-passwords');
    case 'second-factor':
      return redirect('/');
    case 'fresh-factor':
      return redirect(route.purpose === null ? '/' : confirmPath(route.purpose, id));
    default:
      return hindrance satisfies never;
  }
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}
