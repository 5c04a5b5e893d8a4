import type { MailService, MailSettings } from './mail-settings.ts';

const starttls = 2;
const implicitTls = 3;
const normalPassword = 1;

/**
 * What Thunderbird for Android reads from a QR code ("Export for Mobile", format 1): the account with its password. null where
 * IMAP or SMTP is not offered, and for what the format cannot say: hosts and addresses of other than ASCII letters.
 */
export function thunderbirdQr(
  address: string,
  appPassword: string,
  { host, imap, smtp }: MailSettings,
): string | null {
  const [incoming, outgoing] = [imap[0], smtp[0]];
  if (incoming === undefined || outgoing === undefined || !/^[!-~]+$/.test(`${host}${address}`)) return null;
  const server = ({ port, tls }: MailService) => [
    0,
    host,
    port,
    tls === 'implicit' ? implicitTls : starttls,
    normalPassword,
    address,
  ];
  return JSON.stringify([
    1,
    [1, 1],
    [...server(incoming), '', appPassword],
    [
      [
        [...server(outgoing), appPassword],
        [address, address],
      ],
    ],
  ]);
}
