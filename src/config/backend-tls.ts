import { isIP } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  createSecureContext,
  type SecureContext,
} from 'node:tls';

/**
 * The one TLS client context for a backend: TLS 1.2 at least, and the named authority alone where there is one. One for
 * all connections: a context of its own costs each connection some 20 KB.
 */
export function backendContext(ca: Buffer | null): SecureContext {
  return createSecureContext({ minVersion: 'TLSv1.2', ...(ca === null ? {} : { ca }) });
}

/**
 * How every TLS connection to a backend is checked (S-44). Throws on a name that is not ASCII: one with Unicode dots or a
 * NUL is compared differently by different TLS stacks.
 */
export function backendIdentity(secureContext: SecureContext, serverName: string): ConnectionOptions {
  if (!/^[A-Za-z0-9.:-]+$/.test(serverName)) throw new TypeError('not an ASCII host name or address');
  return {
    secureContext,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    // No `session` is ever given: a resumed session skips the check of the name.
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName, certificate),
  };
}
