import { createHash, randomUUID } from 'node:crypto';
import { build } from 'plist';
import type { MailSettings } from './mail-settings.ts';

/** What Apple's devices are given. */
export interface ProfileOrder {
  readonly address: string;
  readonly accountId: Buffer;
  /** Letters only, without the spaces that help reading. */
  readonly appPassword: string;
  /** The device removes the profile and the account with it; null where the app password does not end. */
  readonly removalAt: number | null;
  readonly settings: MailSettings;
  /** In the language of the person who set it up. */
  readonly texts: {
    readonly displayName: string;
    readonly description: string;
    readonly mailAccount: string;
  };
  /** Shown before it is installed, by language tag. */
  readonly consent: { readonly default: string; readonly [language: string]: string };
}

/** Whether the settings can be said to Apple Mail at all: it has no switch for STARTTLS. */
export function isProfilePossible({ imap, smtp }: MailSettings): boolean {
  return imap[0]?.tls === 'implicit' && smtp[0]?.tls === 'implicit';
}

/**
 * A configuration profile, not signed yet. The outer identifier decides whether an installed profile is replaced; the inner
 * UUID stays the same for the account, or the device would fetch all mail anew.
 */
export function mobileconfig(order: ProfileOrder): string {
  const { address, accountId, appPassword, removalAt, settings, texts, consent } = order;
  const { host, imap, smtp } = settings;
  const [incoming, outgoing] = [imap[0], smtp[0]];
  if (incoming === undefined || outgoing === undefined) throw new Error('IMAP or SMTP is not offered');
  const identifier = `${host.split('.').reverse().join('.')}.sallyport.${accountId.toString('hex')}`;
  const organization = address.slice(address.lastIndexOf('@') + 1);
  return build({
    PayloadType: 'Configuration',
    PayloadVersion: 1,
    PayloadIdentifier: identifier,
    PayloadUUID: randomUUID().toUpperCase(),
    PayloadDisplayName: texts.displayName,
    PayloadDescription: texts.description,
    PayloadOrganization: organization,
    PayloadRemovalDisallowed: false,
    ...(removalAt === null ? {} : { RemovalDate: new Date(removalAt) }),
    ConsentText: { ...consent },
    PayloadContent: [
      {
        PayloadType: 'com.apple.mail.managed',
        PayloadVersion: 1,
        PayloadIdentifier: `${identifier}.email`,
        PayloadUUID: accountUuid(accountId),
        PayloadDisplayName: texts.mailAccount,
        // No EmailAccountName: we do not know what people call themselves, and the device asks for what is missing.
        EmailAccountDescription: organization,
        EmailAccountType: 'EmailTypeIMAP',
        EmailAddress: address,
        IncomingMailServerAuthentication: 'EmailAuthPassword',
        IncomingMailServerHostName: host,
        IncomingMailServerPortNumber: incoming.port,
        IncomingMailServerUseSSL: true,
        IncomingMailServerUsername: address,
        IncomingPassword: appPassword,
        OutgoingMailServerAuthentication: 'EmailAuthPassword',
        OutgoingMailServerHostName: host,
        OutgoingMailServerPortNumber: outgoing.port,
        OutgoingMailServerUseSSL: true,
        OutgoingMailServerUsername: address,
        OutgoingPasswordSameAsIncomingPassword: true,
      },
    ],
  });
}

/**
 * A UUID that is the account's for good (RFC 9562 5.8). Not keyed: a new key of the key file would change it, and the account's
 * id is random already.
 */
function accountUuid(accountId: Buffer): string {
  const bytes = createHash('sha256').update('profile of account ').update(accountId).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    .toUpperCase();
}
