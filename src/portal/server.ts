import type { TlsOptions } from 'node:tls';
import cookie from '@fastify/cookie';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/schema.ts';
import type { AppPasswords } from '../credentials/app-passwords.ts';
import { networkOf } from '../credentials/network.ts';
import type { SealBox } from '../credentials/seal.ts';
import { isCsrfToken, type PortalSession, PortalSessions } from '../identity/portal-session.ts';
import { TotpFactors } from '../identity/second-factor/totp.ts';
import type { ImapSignIn, Peer } from '../identity/sign-in/imap.ts';
import type { Logger } from '../observability/logger.ts';
import type { Database } from '../store/database.ts';
import { isStoreOutage } from '../store/outage.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import { type Assets, loadAssets } from './assets.ts';
import { ConnectionGuard } from './connection-guard.ts';
import { securityHeaders } from './headers.ts';
import { createHttpServer } from './http-server.ts';
import { en } from './locales/en.ts';
import { createNotices, type Notices } from './notices.ts';
import { isFormContent, isOwnOrigin, isPublicHost } from './request-checks.ts';
import { RequestLimit } from './request-limit.ts';
import { Reveals } from './reveals.ts';
import { type Answer, type Route, redirect } from './route.ts';
import { appPasswordRoutes } from './routes/app-passwords.ts';
import { confirmRoutes } from './routes/confirm.ts';
import { enrollmentRoutes } from './routes/enrollment.ts';
import { homeRoutes, Signposts } from './routes/home.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { clearSession, sessionOf, showSession } from './session-cookie.ts';
import { titleOf, Views } from './views.ts';

export interface PortalParts {
  readonly config: Config;
  readonly database: Database;
  readonly guard: RowGuard;
  readonly appPasswords: AppPasswords;
  readonly sealBox: SealBox;
  readonly signIn: ImapSignIn;
  readonly logger: Logger;
  readonly now: () => number;
  /** null: clear text, behind a web proxy that speaks TLS. */
  readonly tls: TlsOptions | null;
  /** While false every page says that it is temporarily unavailable. */
  readonly isReady: () => boolean;
}

/** Builds the side-port, not listening yet. `close()` forgets app passwords that nobody has looked at. */
export async function createPortal(parts: PortalParts): Promise<FastifyInstance> {
  const { config, logger, now } = parts;
  const texts = en;
  const assets = loadAssets();
  const notices = createNotices(texts, now);
  const sessions = new PortalSessions({ database: parts.database, guard: parts.guard, now });
  const factors = new TotpFactors({
    database: parts.database,
    guard: parts.guard,
    sealBox: parts.sealBox,
    now,
    issuer: config.hostname,
  });
  const signposts = new Signposts({ config, factors });
  const reveals = new Reveals({ now });
  const views = new Views({ texts, assets, host: config.hostname });
  const routes = [
    ...homeRoutes({ signposts, sessions, notices }),
    ...signInRoutes({ signIn: parts.signIn, sessions, signposts, notices, texts }),
    ...enrollmentRoutes({ config, factors, sessions, signposts, logger, texts }),
    ...confirmRoutes({ factors, sessions, signposts, notices, logger, texts }),
    ...appPasswordRoutes({
      config,
      appPasswords: parts.appPasswords,
      reveals,
      notices,
      logger,
      texts,
      now,
    }),
  ];

  const app = createHttpServer(parts.tls);
  const connections = new ConnectionGuard(
    app.server,
    config.portal.tls === 'none' ? null : config.limits.connectionsPerNetwork,
  );
  const send = (reply: FastifyReply, session: PortalSession, answer: Answer): FastifyReply => {
    if (answer.kind === 'not-found') return send(reply, session, notices.notFound());
    let shown = session;
    if (answer.session === 'ended') {
      clearSession(reply);
      shown = { level: 'anonymous', ended: false };
    } else if (answer.session !== undefined) {
      showSession(reply, answer.session);
      shown = answer.session.session;
    }
    if (answer.kind === 'redirect') return reply.redirect(answer.to, 303);
    if (answer.retryAfterMs !== undefined) {
      reply.header('retry-after', String(Math.max(1, Math.ceil(answer.retryAfterMs / 1_000))));
    }
    const html = views.render(answer.page, {
      title: titleOf(answer.page, texts),
      address: shown.level === 'anonymous' ? null : shown.account.address,
      csrf: shown.level === 'anonymous' ? null : shown.csrf,
    });
    return reply
      .status(answer.status ?? 200)
      .type('text/html; charset=utf-8')
      .send(html);
  };
  const anonymous: PortalSession = { level: 'anonymous', ended: false };
  const refuse = (reply: FastifyReply, answer: Answer) => send(reply, anonymous, answer);

  await app.register(cookie);
  guard(app, parts, notices, refuse);
  mountAssets(app, assets);
  for (const route of routes) mount(app, route, { config, sessions, notices, send });
  app.setNotFoundHandler((_request, reply) => refuse(reply, notices.notFound()));
  app.setErrorHandler((error: Error & { readonly statusCode?: number }, request, reply) => {
    // The alarm is raised already; to the person it is an outage, and nothing she could set right by trying.
    if (error instanceof ForgedRowError) return refuse(reply, notices.unavailable());
    const status = error.statusCode ?? 500;
    if (status < 500) return refuse(reply, notices.badRequest(status));
    if (isStoreOutage(error)) return refuse(reply, notices.unavailable());
    logger.error(
      { err: error, event: 'portal-error', reference: request.id, route: request.routeOptions.url ?? null },
      'a portal page failed',
    );
    return refuse(reply, notices.failed(request.id));
  });
  app.addHook('preClose', async () => connections.end());
  app.addHook('onClose', async () => reveals.clear());
  return app;
}

/** What every request passes before a route sees it, unknown addresses included. */
function guard(
  app: FastifyInstance,
  { config, now, isReady }: PortalParts,
  notices: Notices,
  refuse: (reply: FastifyReply, answer: Answer) => FastifyReply,
): void {
  const limit = new RequestLimit({ now });
  const { publicUrl } = config.portal;
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...securityHeaders });
    if (!isPublicHost(request.headers, publicUrl)) return refuse(reply, notices.badRequest(421));
    // Assets cost nothing and are kept by browsers; a page of its own needs several.
    const { network } = peerOf(request, config);
    const until = network === null || request.url.startsWith('/assets/') ? null : limit.blockedUntil(network);
    if (until !== null) return refuse(reply, notices.throttled(until));
    if (!isReady()) return refuse(reply, notices.unavailable());
    if (request.method === 'GET' || request.method === 'HEAD') return;
    if (!isOwnOrigin(request.headers, publicUrl)) return refuse(reply, notices.outdated());
    if (!isFormContent(request.headers)) return refuse(reply, notices.badRequest(415));
  });
}

function mountAssets(app: FastifyInstance, assets: Assets): void {
  for (const asset of Object.values(assets)) {
    app.get(asset.path, async (_request, reply) =>
      reply.header('cache-control', 'public, max-age=31536000, immutable').type(asset.type).send(asset.body),
    );
  }
}

/** Puts a route behind its level, its token and its schema; the handler is called when all three hold. */
function mount(
  app: FastifyInstance,
  route: Route,
  parts: {
    readonly config: Config;
    readonly sessions: PortalSessions;
    readonly notices: Notices;
    readonly send: (reply: FastifyReply, session: PortalSession, answer: Answer) => FastifyReply;
  },
): void {
  const { config, sessions, notices, send } = parts;
  app.route<{ Params: { id?: string; purpose?: string }; Querystring: { revoked?: unknown } }>({
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const session = await sessionOf(request, sessions);
      const detour = detourOf(route, session, notices);
      if (detour !== null) return send(reply, session, detour);
      let body: unknown = {};
      if (route.method === 'POST') {
        const parsed = route.body.safeParse({ ...(request.body as object | null) });
        if (request.body === null || !parsed.success) return send(reply, session, notices.badRequest(400));
        body = parsed.data;
        const token = 'csrf' in parsed.data ? String(parsed.data.csrf) : '';
        if (route.level !== 'anyone' && (session.level === 'anonymous' || !isCsrfToken(session, token))) {
          return send(reply, session, notices.outdated());
        }
      }
      const { id, purpose } = request.params;
      const { revoked } = request.query;
      const answer = await route.handle({
        session,
        body,
        id: id !== undefined && /^[0-9a-f]{32}$/.test(id) ? Buffer.from(id, 'hex') : null,
        purpose: purpose ?? '',
        revoked: typeof revoked === 'string' ? revoked : null,
        peer: peerOf(request, config),
        userAgent: request.headers['user-agent'] ?? '',
      });
      if (route.path === '/sign-out') reply.header('clear-site-data', '"cache", "storage"');
      return send(reply, session, answer);
    },
  });
}

/** Where a session goes that the route does not let in; null for one that may enter. */
function detourOf(route: Route, session: PortalSession, notices: Notices): Answer | null {
  if (route.level === 'anyone') return null;
  if (session.level === 'anonymous') {
    return route.method === 'GET' && !session.ended ? redirect('/sign-in') : notices.sessionEnded();
  }
  switch (route.level) {
    case 'signed-in':
      return null;
    case 'first-factor':
      return session.level === 'first-factor' ? null : redirect('/app-passwords');
    case 'full':
      return session.level === 'first-factor' ? redirect('/') : null;
    case 'stepped-up':
      if (session.level === 'stepped-up') return null;
      return redirect(session.level === 'first-factor' ? '/' : `/confirm/${route.purpose}`);
    default:
      return route.level satisfies never;
  }
}

function peerOf(request: FastifyRequest, config: Config): Peer {
  const address = request.socket.remoteAddress ?? '';
  // Behind a web proxy every request has the proxy's address, which limits nobody but everybody.
  return { address, network: config.portal.tls === 'none' ? null : networkOf(address) };
}
