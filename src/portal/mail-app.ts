import type { Config } from '../config/schema.ts';
import type { Texts } from './locales/en.ts';

/** Whom an app password is for, in the order offered. */
export const mailApps = ['outlook', 'appleMail', 'other'] as const;
export type MailApp = (typeof mailApps)[number];

/** What the browser's name suggests: people mostly set up the machine they sit at. Nothing depends on it. */
export function guessMailApp(
  userAgent: string,
  texts: Texts,
): { readonly app: MailApp; readonly device: string } {
  const { devices } = texts;
  // iPads call themselves Macs; those read as a Mac are put right by the person.
  if (/iPhone/.test(userAgent)) return { app: 'appleMail', device: devices.iphone };
  if (/iPad/.test(userAgent)) return { app: 'appleMail', device: devices.ipad };
  if (/Macintosh/.test(userAgent)) return { app: 'appleMail', device: devices.mac };
  if (/Windows/.test(userAgent)) return { app: 'outlook', device: devices.windows };
  if (/Android/.test(userAgent)) return { app: 'other', device: devices.android };
  if (/Linux|X11/.test(userAgent)) return { app: 'other', device: devices.linux };
  return { app: 'outlook', device: '' };
}

/** Ports of the mail doors as people type them; the well-known one where no such door is configured. */
export function mailPorts(config: Pick<Config, 'listen'>): {
  readonly imapPort: number;
  readonly smtpPort: number;
} {
  const portOf = (door: 'imap' | 'smtp') => config.listen.find((listen) => listen.door === door)?.port;
  return { imapPort: portOf('imap') ?? 993, smtpPort: portOf('smtp') ?? 465 };
}
