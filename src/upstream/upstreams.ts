import { createSecureContext, type SecureContext } from 'node:tls';
import type { Backend, BackendEndpoint, Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import type { Secret } from '../secret.ts';

/** A backend with everything its legs need: settings, the gateway's credential, one TLS context per leg. */
export interface Upstream {
  readonly backend: Backend;
  readonly password: Secret;
  /** null where the leg is clear text. */
  readonly imapTls: SecureContext | null;
  readonly smtpTls: SecureContext | null;
}

/** Backends by the name the domains use. */
export type Upstreams = ReadonlyMap<string, Upstream>;

/** Throws when a backend has no password or CA among the secrets, which loading the configuration rules out. */
export function createUpstreams(config: Config, secrets: Secrets): Upstreams {
  const upstreams = new Map<string, Upstream>();
  for (const [name, backend] of Object.entries(config.backends)) {
    const password = secrets.masterPasswords.get(name);
    if (password === undefined) throw new Error(`no master password was loaded for backend ${name}`);
    upstreams.set(name, {
      backend,
      password,
      imapTls: contextOf(backend.imap, secrets),
      smtpTls: contextOf(backend.smtp, secrets),
    });
  }
  return upstreams;
}

function contextOf(endpoint: BackendEndpoint, secrets: Secrets): SecureContext | null {
  if (endpoint.tls === 'none') return null;
  const ca = endpoint.caFile === null ? undefined : secrets.authorities.get(endpoint.caFile);
  if (endpoint.caFile !== null && ca === undefined) throw new Error(`${endpoint.caFile} was not loaded`);
  // One context for all connections: a context of its own costs each connection some 20 KB.
  return createSecureContext({ minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) });
}
