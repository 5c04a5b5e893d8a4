import { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { LoadedConfig } from '../config/load.ts';
import { profileCertificate } from '../config/profile-signing.ts';
import type { Config } from '../config/schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { portalCertificates, portalTls } from '../config/server-tls.ts';
import { SealBox } from '../credentials/seal.ts';
import type { SessionDirectory } from '../credentials/session-directory.ts';
import { AccountCare } from '../identity/account-care.ts';
import type { CodeSender } from '../identity/second-factor/email-code.ts';
import { Factors } from '../identity/second-factor/factors.ts';
import { ImapSignIn } from '../identity/sign-in/imap.ts';
import { OidcSignIn } from '../identity/sign-in/oidc.ts';
import type { Logger } from '../observability/logger.ts';
import { serveRedirects } from '../portal/redirect-server.ts';
import { createPortal } from '../portal/server.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { Closers } from './closers.ts';
import type { Credentials } from './credentials.ts';

/** The side-port, listening. */
export interface Portal {
  readonly port: number;
  /** Takes new certificates into use. */
  reload(loaded: Pick<LoadedConfig & { kind: 'loaded' }, 'config' | 'secrets'>): void;
}

/** Builds the side-port and opens its ports. Rejects when one cannot be opened. */
export async function openPortal(
  given: {
    readonly config: Config;
    readonly secrets: Secrets;
    readonly logger: Logger;
    readonly now: () => number;
    readonly credentials: Credentials;
    readonly upstreams: Upstreams;
    readonly liveSessions: SessionDirectory;
    readonly codeSender: CodeSender;
    readonly isReady: () => boolean;
  },
  closers: Closers,
): Promise<Portal> {
  const { config, secrets, logger, now, credentials, upstreams, codeSender } = given;
  const { database, guard, journal, appPasswords } = credentials;
  const sealBox = new SealBox(credentials.keys);
  let profileSigner = profileCertificate(config, secrets);
  const server = await createPortal({
    ...{ config, database, guard, appPasswords, sealBox, logger, now },
    liveSessions: given.liveSessions,
    isReady: given.isReady,
    notifications: credentials.notices,
    factors: new Factors({ ...credentials, config, sealBox, logger, now, codeSender }),
    signIn: new ImapSignIn({
      ...{ config, upstreams, database, guard, journal, logger, now },
      monotonic: () => performance.now(),
    }),
    oidc: new OidcSignIn({ config, secrets, database, guard, sealBox, logger, now, journal }),
    care: new AccountCare({ ...credentials, now }),
    profileCertificate: () => profileSigner,
    tls: config.portal.tls === 'none' ? null : portalTls(config.tls, ...portalCertificates(config, secrets)),
  });
  closers.add(() => server.close());
  const { host, port, redirectPort } = config.portal;
  await server.listen({ host, port });
  if (redirectPort !== null) {
    const redirects = await serveRedirects(config, { host, port: redirectPort });
    closers.add(redirects.close);
  }
  return {
    port: boundPort(server.server.address()),
    reload: (loaded) => {
      profileSigner = profileCertificate(loaded.config, loaded.secrets);
      const { server: http } = server as { server: object };
      if (http instanceof HttpsServer) {
        http.setSecureContext(
          portalTls(loaded.config.tls, ...portalCertificates(loaded.config, loaded.secrets)),
        );
      }
    },
  };
}

function boundPort(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the portal has no TCP port');
  return address.port;
}
