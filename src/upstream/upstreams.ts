import type { SecureContext } from 'node:tls';
import { backendContext } from '../config/backend-tls.ts';
import type { Backend, BackendEndpoint, Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import type { Secret } from '../secret.ts';
import type { Leg } from './leg.ts';
import { Route, type RouteContext } from './route.ts';

/** A backend with everything its legs need: settings, the gateway's credential, one TLS context per leg. */
export interface Upstream {
  readonly backend: Backend;
  readonly password: Secret;
  /** null where the leg is clear text. */
  readonly imapTls: SecureContext | null;
  readonly smtpTls: SecureContext | null;
  /** null also where the backend has no POP3. */
  readonly pop3Tls: SecureContext | null;
  /** Left out: every connection is the first one, as for a single question. */
  readonly routes?: Readonly<Partial<Record<Leg, Route>>>;
}

/** Backends by the name the domains use. */
export type Upstreams = ReadonlyMap<string, Upstream>;

/**
 * With a context they remember addresses, leave a backend that is down alone and never reach the gateway itself. Throws
 * when a backend has no password or CA among the secrets, which loading the configuration rules out.
 */
export function createUpstreams(
  config: Config,
  secrets: Secrets,
  context: RouteContext | null = null,
): Upstreams {
  const upstreams = new Map<string, Upstream>();
  for (const [name, backend] of Object.entries(config.backends)) {
    const password = secrets.masterPasswords.get(name);
    if (password === undefined) throw new Error(`no master password was loaded for backend ${name}`);
    upstreams.set(name, {
      backend,
      password,
      imapTls: contextOf(backend.imap, secrets),
      smtpTls: contextOf(backend.smtp, secrets),
      pop3Tls: backend.pop3 === null ? null : contextOf(backend.pop3, secrets),
      ...(context === null ? {} : { routes: routesTo(backend, context) }),
    });
  }
  return upstreams;
}

function contextOf(endpoint: BackendEndpoint, secrets: Secrets): SecureContext | null {
  if (endpoint.tls === 'none') return null;
  const ca = endpoint.caFile === null ? undefined : secrets.authorities.get(endpoint.caFile);
  if (endpoint.caFile !== null && ca === undefined) throw new Error(`${endpoint.caFile} was not loaded`);
  return backendContext(ca ?? null);
}

function routesTo(backend: Backend, context: RouteContext): Partial<Record<Leg, Route>> {
  const routes: Partial<Record<Leg, Route>> = {};
  for (const leg of ['imap', 'smtp', 'pop3'] as const) {
    const host = backend[leg]?.host;
    if (host !== undefined) routes[leg] = new Route(backend.name, leg, host, context);
  }
  return routes;
}
