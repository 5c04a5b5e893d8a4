import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../../config/schema.ts';
import { isCsrfToken, type PortalSession, type PortalSessions } from '../../identity/portal-session.ts';
import type { Logger } from '../../observability/logger.ts';
import { isStoreOutage } from '../../store/outage.ts';
import { ForgedRowError } from '../../store/row-guard.ts';
import { type Hindrance, hindranceOf } from '../admission.ts';
import { peerOf, type Refusal } from '../guards.ts';
import type { Language } from '../language.ts';
import { clearSession, sessionOf, showSession } from '../session-cookie.ts';
import { apiRouteSettings } from './api-request.ts';
import { type ApiProblem, bodyOf, errorsOf, problem, statusOf } from './problem.ts';
import type { ApiResult, ApiRoute } from './route.ts';
import { parseStrictJson } from './strict-json.ts';

/** S-63: what the parser answers for a body that is not JSON of ours. */
const malformed = Symbol('malformed');

export type SendProblem = (reply: FastifyReply, answer: ApiProblem) => FastifyReply;

export function createSendProblem(now: () => number): SendProblem {
  return (reply, answer) => {
    if (answer.session === 'ended') clearSession(reply);
    if (answer.code === 'throttled' && answer.until !== undefined) {
      reply.header('retry-after', String(Math.max(1, Math.ceil((answer.until - now()) / 1_000))));
    }
    return reply
      .status(statusOf(answer.code))
      .type('application/problem+json')
      .send(JSON.stringify(bodyOf(answer)));
  };
}

/** Mounts the API in a scope of its own: it knows no form, and the pages know no JSON. */
export async function mountApi(
  app: FastifyInstance,
  routes: readonly ApiRoute[],
  parts: {
    readonly config: Config;
    readonly sessions: PortalSessions;
    readonly languageOf: (request: FastifyRequest) => Language;
    readonly logger: Logger;
    readonly sendProblem: SendProblem;
  },
): Promise<void> {
  const { logger, sendProblem } = parts;
  await app.register((api, _options, done) => {
    api.removeAllContentTypeParsers();
    api.addContentTypeParser(
      'application/json',
      { parseAs: 'buffer' },
      async (_request: FastifyRequest, body: string | Buffer) => {
        const value = parseStrictJson(Buffer.from(body));
        return value === undefined ? malformed : value;
      },
    );
    api.setErrorHandler((error: Error & { readonly statusCode?: number }, request, reply) => {
      const found = problemOfError(error, request);
      if (found.code === 'failed') {
        logger.error(
          {
            err: error,
            event: 'portal-error',
            reference: request.id,
            route: request.routeOptions.url ?? null,
          },
          'a request to the API failed',
        );
      }
      return sendProblem(reply, found);
    });
    for (const route of routes) mountRoute(api, route, parts);
    done();
  });
}

function mountRoute(
  api: FastifyInstance,
  route: ApiRoute,
  {
    config,
    sessions,
    languageOf,
    sendProblem,
  }: {
    readonly config: Config;
    readonly sessions: PortalSessions;
    readonly languageOf: (request: FastifyRequest) => Language;
    readonly sendProblem: SendProblem;
  },
): void {
  api.route<{ Params: { id?: string }; Querystring: Record<string, unknown> }>({
    ...apiRouteSettings,
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const session = await sessionOf(request, sessions);
      const hindrance = hindranceOf(route, session, config);
      if (hindrance !== null) return sendProblem(reply, problemOfHindrance(hindrance));
      const checked = route.method === 'POST' ? checkedBody(route, session, request.body) : { body: {} };
      if ('code' in checked) return sendProblem(reply, checked);
      const { id } = request.params;
      const answer = await route.handle({
        session,
        body: checked.body,
        language: languageOf(request),
        id: id !== undefined && /^[0-9a-f]{32}$/.test(id) ? Buffer.from(id, 'hex') : null,
        query: queryOf(route, request.query),
        peer: peerOf(request, config),
        userAgent: request.headers['user-agent'] ?? '',
      });
      if (answer.kind === 'problem') return sendProblem(reply, answer);
      return sendResult(reply, route, answer);
    },
  });
}

function sendResult(
  reply: FastifyReply,
  route: ApiRoute,
  { body, session }: ApiResult<unknown>,
): FastifyReply {
  if (session === 'ended') {
    clearSession(reply);
    reply.header('clear-site-data', '"cache", "storage"');
  } else if (session !== undefined) showSession(reply, session);
  return reply
    .status(route.status)
    .type('application/json')
    .send(JSON.stringify(route.result.parse(body)));
}

/** The token first: whoever has none learns nothing of what a body may hold. */
function checkedBody(
  route: ApiRoute,
  session: PortalSession,
  given: unknown,
): { readonly body: unknown } | ApiProblem {
  if (given === malformed || given === undefined || given === null) return problem('malformed');
  if (route.level !== 'anyone') {
    const { csrf } = Object(given) as { readonly csrf?: unknown };
    const isOwn = session.level !== 'anonymous' && typeof csrf === 'string' && isCsrfToken(session, csrf);
    if (!isOwn) return problem('wrong-token');
  }
  const parsed = route.body.safeParse(given, { reportInput: true });
  return parsed.success ? { body: parsed.data } : problem('invalid', { errors: errorsOf(parsed.error) });
}

/** What the route knows, each given once. */
function queryOf(
  route: ApiRoute,
  given: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.keys(route.query).flatMap((name) => {
      const value = Object.hasOwn(given, name) ? given[name] : undefined;
      return typeof value === 'string' ? [[name, value] as const] : [];
    }),
  );
}

function problemOfHindrance(hindrance: Hindrance): ApiProblem {
  switch (hindrance) {
    case 'not-signed-in':
      return problem('not-signed-in', { needs: 'signed-in' });
    case 'session-ended':
      return { ...problem('session-ended', { needs: 'signed-in' }), session: 'ended' };
    case 'past':
      return problem('elsewhere-now', { next: 'nothing' });
    case 'second-factor':
      return problem('second-factor-needed', { needs: 'full' });
    case 'fresh-factor':
      return problem('fresh-factor-needed', { needs: 'stepped-up' });
    case 'hidden':
      return problem('not-found');
    default:
      return hindrance satisfies never;
  }
}

/** What stood before every route, as the API says it. */
export function problemOfRefusal(refusal: Refusal): ApiProblem {
  return refusal.kind === 'throttled'
    ? problem('throttled', { until: refusal.until })
    : problem(refusal.kind);
}

function problemOfError(
  error: Error & { readonly statusCode?: number },
  request: FastifyRequest,
): ApiProblem {
  if (error instanceof ForgedRowError || isStoreOutage(error)) return problem('unavailable');
  switch (error.statusCode) {
    case 413:
      return problem('too-large');
    case 415:
      return problem('wrong-type');
    default:
      if (error.statusCode !== undefined && error.statusCode < 500) return problem('malformed');
      return problem('failed', { reference: request.id });
  }
}
