import type { TlsOptions } from 'node:tls';
import cookie from '@fastify/cookie';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { CertificateFiles } from '../config/certificate.ts';
import type { Config } from '../config/schema.ts';
import type { AppPasswords } from '../credentials/app-passwords.ts';
import type { Notices as Notifications } from '../credentials/notices.ts';
import type { SealBox } from '../credentials/seal.ts';
import type { SessionDirectory } from '../credentials/session-directory.ts';
import type { AccountCare } from '../identity/account-care.ts';
import { type PortalSession, PortalSessions } from '../identity/portal-session.ts';
import type { Factors } from '../identity/second-factor/factors.ts';
import type { ImapSignIn } from '../identity/sign-in/imap.ts';
import type { OidcSignIn } from '../identity/sign-in/oidc.ts';
import type { Logger } from '../observability/logger.ts';
import type { Database } from '../store/database.ts';
import { setAccountLanguage } from '../store/notices.ts';
import { isStoreOutage } from '../store/outage.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';
import { AccountOverview } from './actions/account-overview.ts';
import { AdministrationActions } from './actions/administration.ts';
import { AppPasswordActions } from './actions/app-passwords.ts';
import { EnrollmentActions } from './actions/enrollment.ts';
import { MethodActions } from './actions/methods.ts';
import { SecondFactorActions } from './actions/second-factor.ts';
import { MailSessionActions } from './actions/sessions.ts';
import { SignInActions } from './actions/sign-in.ts';
import { isApiRequest } from './api/api-request.ts';
import { createSendProblem, mountApi, problemOfRefusal } from './api/mount.ts';
import { problem } from './api/problem.ts';
import { apiRoutes } from './api/routes.ts';
import { type Assets, loadAssets } from './assets.ts';
import { ConnectionGuard } from './connection-guard.ts';
import { Drafts } from './drafts.ts';
import { guardRequests, type Refusal } from './guards.ts';
import { securityHeaders } from './headers.ts';
import { HeldCodes } from './held-codes.ts';
import { createHttpServer } from './http-server.ts';
import { type Language, loadLanguages } from './language.ts';
import { languageReader } from './language-cookie.ts';
import { createSend, mount } from './mount.ts';
import { createNotices, type Notices } from './notices.ts';
import { mountPublicDocuments } from './public-documents.ts';
import { RequestLimit } from './request-limit.ts';
import { Reveals } from './reveals.ts';
import type { Answer, Route } from './route.ts';
import { activityRoutes } from './routes/activity.ts';
import { administrationRoutes } from './routes/administration.ts';
import { administrationAccountRoutes } from './routes/administration-account.ts';
import { administrationActRoutes } from './routes/administration-acts.ts';
import { appPasswordOptionRoutes } from './routes/app-password-options.ts';
import { appPasswordRoutes } from './routes/app-passwords.ts';
import { clientSetupRoutes } from './routes/client-setup.ts';
import { confirmRoutes } from './routes/confirm.ts';
import { enrollmentRoutes } from './routes/enrollment.ts';
import { homeRoutes } from './routes/home.ts';
import { languageRoutes } from './routes/language.ts';
import { methodRoutes } from './routes/methods.ts';
import { oidcRoutes } from './routes/oidc.ts';
import { recoveryCodeRoutes } from './routes/recovery-codes.ts';
import { secretRoutes } from './routes/secret.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { Signposts } from './signposts.ts';
import { Views } from './views.ts';

export interface PortalParts {
  readonly config: Config;
  readonly database: Database;
  readonly guard: RowGuard;
  readonly appPasswords: AppPasswords;
  readonly factors: Factors;
  readonly sealBox: SealBox;
  readonly signIn: ImapSignIn;
  readonly oidc: OidcSignIn;
  /** What signs profiles for Apple's devices at this moment; null for nothing. */
  readonly profileCertificate: () => CertificateFiles | null;
  /** Live mail sessions, of this node or of all. Without it their page says that it cannot tell. */
  readonly liveSessions?: SessionDirectory;
  /** What administrators do to accounts of others. */
  readonly care: AccountCare;
  /** What people were told of their accounts; without it the pages tell nothing. */
  readonly notifications?: Notifications | null;
  readonly logger: Logger;
  readonly now: () => number;
  /** null: clear text, behind a web proxy that speaks TLS. */
  readonly tls: TlsOptions | null;
  /** While false every page says that it is temporarily unavailable. */
  readonly isReady: () => boolean;
}

/** Builds the side-port, not listening yet. `close()` forgets app passwords that nobody has looked at. */
export async function createPortal(parts: PortalParts): Promise<FastifyInstance> {
  const { config, factors, logger, now } = parts;
  const assets = loadAssets();
  const languages = await loadLanguages({
    defaultTag: config.portal.defaultLanguage,
    timeZone: config.portal.timeZone,
  });
  const languageOf = languageReader(languages);
  const notices = createNotices(now);
  const sessions = new PortalSessions({ database: parts.database, guard: parts.guard, now });
  const signposts = new Signposts({ config, factors });
  const reveals = new Reveals({ now });
  const held = new HeldCodes({ now });
  const views = new Views({ assets, languages, host: config.hostname });
  const clientSetup = clientSetupRoutes({ ...parts, languages, notices });
  const own = {
    actions: new AppPasswordActions({ appPasswords: parts.appPasswords, logger }),
    mailSessions: new MailSessionActions({ directory: parts.liveSessions ?? null, logger }),
    notices,
    now,
  };
  const administration = new AdministrationActions({
    ...parts,
    enrollmentCodes: factors.enrollmentCodes,
    sessions: parts.liveSessions ?? null,
  });
  const secondFactor = new SecondFactorActions({ factors, sessions, logger });
  const methods = new MethodActions({ factors, sessions, logger });
  const enrollment = new EnrollmentActions({ factors, sessions, signposts, logger });
  const signIn = new SignInActions({ ...parts, sessions });
  const overview = new AccountOverview({ ...parts, ...own });
  const remember = async ({ id, language }: Account, tag: string) => {
    if (language !== tag) await setAccountLanguage(parts.database, id, tag);
  };
  const pages: readonly Route[] = [
    ...homeRoutes({ signposts, sessions, notices }),
    ...signInRoutes({ config, actions: signIn, oidc: parts.oidc, signposts, notices }),
    ...enrollmentRoutes({ config, factors, actions: enrollment, methods, notices, now }),
    ...confirmRoutes({ factors, actions: secondFactor, signposts, notices, oidc: parts.oidc }),
    ...methodRoutes({ factors, actions: methods, notices, logger, now }),
    ...recoveryCodeRoutes({ config, factors, held, logger }),
    ...appPasswordRoutes({
      ...own,
      config,
      factors,
      database: parts.database,
      notifications: parts.notifications ?? null,
    }),
    ...appPasswordOptionRoutes({ ...own, config, reveals, isPage: (path) => isPage(path) }),
    ...secretRoutes({ ...own, config, reveals, factors }),
    ...activityRoutes({ ...own, config, database: parts.database }),
    ...sessionRoutes({ ...own, sessions }),
    ...administrationRoutes({ ...parts, administration }),
    ...administrationAccountRoutes({ administration, overview, now }),
    ...administrationActRoutes({ ...parts, administration, notices }),
    ...clientSetup.routes,
  ];
  const isPage = (path: string) => pages.some((route) => route.method === 'GET' && matches(route.path, path));
  const routes = [
    ...pages,
    // No pages to come back to after another language was chosen: each can be opened once.
    ...oidcRoutes({ oidc: parts.oidc, sessions, signposts, notices }),
    ...languageRoutes({ languages, isPage, remember }),
  ];

  const app = createHttpServer(parts.tls);
  const connections = new ConnectionGuard(
    app.server,
    config.portal.tls === 'none' ? null : config.limits.connectionsPerNetwork,
  );
  const send = createSend({ config, views, notices, languageOf, isPage, now });
  const anonymous: PortalSession = { level: 'anonymous', ended: false };
  const refuse = (request: FastifyRequest, reply: FastifyReply, answer: Answer) =>
    send(request, reply, anonymous, answer);

  const sendProblem = createSendProblem(now);

  await app.register(cookie);
  const limit = new RequestLimit({ now, perMinute: config.throttle.portalRequestsPerMinute });
  await mountPublicDocuments(app, { config, languages, limit, now });
  guardRequests(app, {
    ...parts,
    limit,
    refuse: (request, reply, refusal) =>
      isApiRequest(request)
        ? sendProblem(reply, problemOfRefusal(refusal))
        : refuse(request, reply, noticeOfRefusal(refusal, notices, languageOf(request))),
  });
  mountAssets(app, assets);
  await mountApi(
    app,
    apiRoutes({
      ...{ ...parts, ...own, sessions, signposts, signIn, secondFactor, enrollment, methods, administration },
      appPasswordActions: own.actions,
      profileLinks: clientSetup.actions,
      links: clientSetup.links,
      notifications: parts.notifications ?? null,
      overview,
    }),
    { config, sessions, languageOf, logger, sendProblem },
  );
  const drafts = new Drafts({ now });
  for (const route of routes) {
    mount(app, route, { config, sessions, notices, languageOf, drafts, remember, send });
  }
  app.setNotFoundHandler((request, reply) =>
    isApiRequest(request)
      ? sendProblem(reply, problem('not-found'))
      : refuse(request, reply, notices.notFound(languageOf(request))),
  );
  app.setErrorHandler((error: Error & { readonly statusCode?: number }, request, reply) => {
    const language = languageOf(request);
    // The alarm is raised already; to the person it is an outage, and nothing she could set right by trying.
    if (error instanceof ForgedRowError) return refuse(request, reply, notices.unavailable(language));
    const status = error.statusCode ?? 500;
    if (status < 500) return refuse(request, reply, notices.badRequest(language, status));
    if (isStoreOutage(error)) return refuse(request, reply, notices.unavailable(language));
    logger.error(
      { err: error, event: 'portal-error', reference: request.id, route: request.routeOptions.url ?? null },
      'a portal page failed',
    );
    return refuse(request, reply, notices.failed(language, request.id));
  });
  app.addHook('preClose', async () => connections.end());
  app.addHook('onClose', async () => {
    reveals.clear();
    held.clear();
    clientSetup.clear();
  });
  return app;
}

/** What stood before every route, as a page says it. */
function noticeOfRefusal(refusal: Refusal, notices: Notices, language: Language): Answer {
  switch (refusal.kind) {
    case 'wrong-host':
      return notices.badRequest(language, 421);
    case 'throttled':
      return notices.throttled(language, refusal.until);
    case 'unavailable':
      return notices.unavailable(language);
    case 'foreign-origin':
      return notices.outdated(language);
    case 'wrong-type':
      return notices.badRequest(language, 415);
    default:
      return refusal satisfies never;
  }
}

/** Whether a path is one of a route's, whose `:parts` stand for anything but a slash. */
function matches(route: string, path: string): boolean {
  const [wanted, given] = [route.split('/'), path.split('/')];
  return (
    wanted.length === given.length &&
    wanted.every((part, at) => (part.startsWith(':') ? /^[\w-]+$/.test(given[at] ?? '') : part === given[at]))
  );
}

function mountAssets(app: FastifyInstance, assets: Assets): void {
  for (const asset of Object.values(assets)) {
    app.get(asset.path, async (request, reply) => {
      const isGzip = /(?:^|[\s,])gzip(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(
        request.headers['accept-encoding'] ?? '',
      );
      if (isGzip) reply.header('content-encoding', 'gzip');
      return reply
        .header('cache-control', 'public, max-age=31536000, immutable')
        .header('vary', `${securityHeaders.vary}, Accept-Encoding`)
        .type(asset.type)
        .send(isGzip ? asset.gzipped : asset.body);
    });
  }
}
