import type { Texts } from './locales/en.ts';

/** Whom an app password is for, in the order offered. */
export const mailApps = ['outlook', 'appleMail', 'other'] as const;
export type MailApp = (typeof mailApps)[number];

/** What the browser's name suggests: people mostly set up the machine they sit at. Nothing depends on it. */
export function guessMailApp(
  userAgent: string,
  texts: Texts,
): { readonly app: MailApp; readonly device: string } {
  const kind = deviceKindOf(userAgent);
  return kind === null ? { app: 'outlook', device: '' } : { app: appOn[kind], device: texts.devices[kind] };
}

/** Kinds of devices, with the mail app that most people have there. */
const appOn = {
  iphone: 'appleMail',
  ipad: 'appleMail',
  mac: 'appleMail',
  windows: 'outlook',
  android: 'other',
  linux: 'other',
} as const satisfies Readonly<Record<keyof Texts['devices'], MailApp>>;
export type DeviceKind = keyof typeof appOn;

/** null for a browser that does not say. iPads call themselves Macs; those read as a Mac are put right by the person. */
export function deviceKindOf(userAgent: string): DeviceKind | null {
  if (/iPhone/.test(userAgent)) return 'iphone';
  if (/iPad/.test(userAgent)) return 'ipad';
  if (/Macintosh/.test(userAgent)) return 'mac';
  if (/Windows/.test(userAgent)) return 'windows';
  if (/Android/.test(userAgent)) return 'android';
  return /Linux|X11/.test(userAgent) ? 'linux' : null;
}

export function isDeviceKind(text: string | null): text is DeviceKind {
  return text !== null && Object.hasOwn(appOn, text);
}
