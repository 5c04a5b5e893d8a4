import type { CertificateFiles } from '../../config/certificate.ts';
import type { Config } from '../../config/schema.ts';
import type { AppPasswords } from '../../credentials/app-passwords.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Database } from '../../store/database.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import { ProfileLinkActions } from '../actions/profile-links.ts';
import { mailSettings } from '../client-setup/mail-settings.ts';
import { ProfileIssuer } from '../client-setup/profile-issuer.ts';
import { ProfileLinks } from '../client-setup/profile-links.ts';
import type { Languages } from '../language.ts';
import type { Notices } from '../notices.ts';
import type { Route } from '../route.ts';
import { appleDeviceRoutes } from './apple-device.ts';
import { helpRoutes } from './help.ts';

/** The pages about mail programs. `clear()` forgets the codes that nobody has looked at. */
export function clientSetupRoutes(parts: {
  readonly config: Config;
  readonly database: Database;
  readonly guard: RowGuard;
  readonly appPasswords: AppPasswords;
  /** What signs profiles at this moment; null for nothing. */
  readonly profileCertificate: () => CertificateFiles | null;
  readonly languages: Languages;
  readonly notices: Notices;
  readonly logger: Logger;
  readonly now: () => number;
}): {
  readonly routes: readonly Route[];
  readonly links: ProfileLinks;
  readonly actions: ProfileLinkActions;
  readonly clear: () => void;
} {
  const settings = mailSettings(parts.config);
  const issuer = new ProfileIssuer({ ...parts, settings, certificate: parts.profileCertificate });
  const links = new ProfileLinks({ ...parts, issuer });
  const { publicUrl } = parts.config.portal;
  const actions = new ProfileLinkActions({ issuer, links, publicUrl });
  return {
    routes: [
      ...helpRoutes({ settings }),
      ...appleDeviceRoutes({ settings, issuer, links, notices: parts.notices, actions, now: parts.now }),
    ],
    links,
    actions,
    clear: () => links.clear(),
  };
}
