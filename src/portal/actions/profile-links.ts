import type { SteppedUpSession } from '../../identity/portal-session.ts';
import type { Account } from '../../store/schema.ts';
import type { ProfileIssuer } from '../client-setup/profile-issuer.ts';
import type { ProfileLinks } from '../client-setup/profile-links.ts';

/** Room for a number behind it within what a label may have. */
export const deviceCharacters = 50;

export type DeviceCheck =
  | { readonly kind: 'ready'; readonly device: string }
  /** There is nothing that a profile could set up. */
  | { readonly kind: 'impossible' }
  | { readonly kind: 'missing-name' | 'bad-name' }
  /** Not this account, or not now. */
  | { readonly kind: 'not-allowed' };

export type LinkMade =
  /** `link`: shown once, and to be opened by the device. */
  | { readonly kind: 'made'; readonly id: Buffer; readonly link: string }
  | Exclude<DeviceCheck, { readonly kind: 'ready' }>;

/** Setting up one of Apple's devices: what has to hold before, and the link for another one (S-71). */
export class ProfileLinkActions {
  readonly #issuer: ProfileIssuer;
  readonly #links: ProfileLinks;
  readonly #publicUrl: URL;

  constructor(parts: {
    readonly issuer: ProfileIssuer;
    readonly links: ProfileLinks;
    readonly publicUrl: URL;
  }) {
    this.#issuer = parts.issuer;
    this.#links = parts.links;
    this.#publicUrl = parts.publicUrl;
  }

  check(account: Account, typed: string): DeviceCheck {
    if (!this.#issuer.isPossible) return { kind: 'impossible' };
    const device = typed.trim();
    if (device === '') return { kind: 'missing-name' };
    const isBad = [...device].length > deviceCharacters || /\p{C}|[\p{Zl}\p{Zp}]/u.test(device);
    if (isBad) return { kind: 'bad-name' };
    return this.#issuer.mayIssue(account) ? { kind: 'ready', device } : { kind: 'not-allowed' };
  }

  async make(session: SteppedUpSession, typed: string): Promise<LinkMade> {
    const checked = this.check(session.account, typed);
    if (checked.kind !== 'ready') return checked;
    const id = await this.#links.create(session, checked.device);
    return { kind: 'made', id, link: this.linkOf(this.#links.take(session, id) ?? '') };
  }

  /** The token stands behind `#`: in no log, and in no referrer. */
  linkOf(token: string): string {
    return `${this.#publicUrl.origin}/p#${token}`;
  }
}
