import type { CertificateFiles } from '../../config/certificate.ts';
import type { AppPasswords } from '../../credentials/app-passwords.ts';
import type { Actor } from '../../credentials/journal-event.ts';
import { holdOf } from '../../identity/second-factor/factors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Database } from '../../store/database.ts';
import type { Account } from '../../store/schema.ts';
import type { Language, Languages } from '../language.ts';
import type { MailSettings } from './mail-settings.ts';
import { isProfilePossible, mobileconfig } from './mobileconfig.ts';
import { signProfile } from './profile-signing.ts';

/** A profile that nobody installs holds an app password that nobody uses. */
const unusedAfterMs = 15 * 60_000;

export type IssuedProfile =
  | { readonly kind: 'issued'; readonly profile: Buffer; readonly credentialId: Buffer }
  | { readonly kind: 'cap-reached'; readonly cap: number }
  | { readonly kind: 'too-many-recently' }
  /** Turned off, held back after a recovery code, or what it was ordered by has ended. */
  | { readonly kind: 'not-allowed' };

/** Makes profiles for Apple's devices, each with an app password of its own. */
export class ProfileIssuer {
  readonly #appPasswords: AppPasswords;
  readonly #settings: MailSettings;
  readonly #languages: Languages;
  readonly #certificate: () => CertificateFiles | null;
  readonly #logger: Logger;
  readonly #now: () => number;

  constructor(parts: {
    readonly appPasswords: AppPasswords;
    readonly settings: MailSettings;
    readonly languages: Languages;
    /** What signs at this moment; null for nothing. */
    readonly certificate: () => CertificateFiles | null;
    readonly logger: Logger;
    readonly now: () => number;
  }) {
    this.#appPasswords = parts.appPasswords;
    this.#settings = parts.settings;
    this.#languages = parts.languages;
    this.#certificate = parts.certificate;
    this.#logger = parts.logger;
    this.#now = parts.now;
  }

  get isPossible(): boolean {
    return isProfilePossible(this.#settings);
  }

  get isSigned(): boolean {
    return this.#certificate() !== null;
  }

  /** Whether the account may have a new app password at this moment. */
  mayIssue(account: Account): boolean {
    return this.isPossible && account.state === 'active' && holdOf(account, this.#now()) === null;
  }

  /** `device` names the app password; `by` as in an order of one. The profile holds its secret: it is sent once and kept nowhere. */
  async issue(
    account: Account,
    device: string,
    by: { readonly actor: Actor; readonly isStill: (transaction: Database) => Promise<boolean> },
    language: Language,
  ): Promise<IssuedProfile> {
    if (!this.mayIssue(account)) return { kind: 'not-allowed' };
    const created = await this.#appPasswords.create({
      account,
      label: await this.#freeLabel(account, device),
      scopes: ['imap', 'smtp'],
      networks: [],
      expiresInMs: undefined,
      unusedAfterMs,
      createdBy: 'portal',
      ...by,
    });
    switch (created.kind) {
      case 'created': {
        const { id, secret, row } = created;
        this.#logger.info(
          { event: 'profile-issued', account: account.address, credential: id.toString('hex') },
          'profile issued',
        );
        const plain = this.#compose(account, secret.text(), row.notAfter, language);
        secret.wipe();
        return { kind: 'issued', profile: await this.#sign(plain), credentialId: id };
      }
      case 'cap-reached':
      case 'too-many-recently':
        return created;
      case 'crowded':
      case 'gone':
      case 'held':
        return { kind: 'not-allowed' };
      case 'invalid':
        // The routes let no device through that is no label.
        throw new Error(`a profile's app password was refused: ${created.problem}`);
      default:
        return created satisfies never;
    }
  }

  /** The device's name, with a number where an app password in use has it. */
  async #freeLabel(account: Account, device: string): Promise<string> {
    const all = await this.#appPasswords.list(account.id);
    const taken = new Set(all.filter(({ state }) => state !== 'revoked').map(({ label }) => label));
    for (let number = 1; ; number += 1) {
      const label = number === 1 ? device : `${device} ${number}`;
      if (!taken.has(label)) return label;
    }
  }

  #compose(account: Account, appPassword: string, removalAt: number | null, { texts }: Language): string {
    const { address, id } = account;
    const t = texts.profileLink;
    const consent = Object.fromEntries(
      this.#languages.all.map((each) => [each.tag, each.texts.profileLink.consent(address)]),
    );
    return mobileconfig({
      address,
      accountId: id,
      appPassword,
      removalAt,
      settings: this.#settings,
      texts: {
        displayName: t.profileName(address),
        description: t.profileDescription(address),
        mailAccount: t.profileAccount,
      },
      consent: { default: this.#languages.all[0].texts.profileLink.consent(address), ...consent },
    });
  }

  async #sign(profile: string): Promise<Buffer> {
    const certificate = this.#certificate();
    if (certificate !== null) {
      try {
        return await signProfile(profile, certificate, this.#now());
      } catch (error) {
        // The app password exists: an unsigned profile, which the device warns of, is better than none.
        this.#logger.error({ err: error, event: 'profile-unsigned' }, 'a profile could not be signed');
      }
    }
    return Buffer.from(profile, 'utf8');
  }
}
