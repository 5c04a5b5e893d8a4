import type { AppPasswordView } from '../credentials/app-passwords.ts';
import type { ActivityData } from './activity-texts.ts';
import type { OptionsForm } from './app-password-form.ts';
import type { Fact, ListEntry } from './app-password-texts.ts';
import type { BannerLine } from './banner-texts.ts';
import type { GuideView } from './client-setup/guides.ts';
import type { DeviceIcon } from './device-icon.ts';
import type { MailApp } from './mail-app.ts';
import type { SessionsData } from './session-texts.ts';
import type { Link, Problem } from './views.ts';

/** Views of app passwords, sign-ins and sessions with their data. */
export interface SelfServiceViews {
  create: {
    readonly isFirst: boolean;
    readonly apps: readonly { readonly value: MailApp; readonly name: string; readonly hint: string }[];
    readonly app: MailApp | null;
    readonly device: string;
    /** What people call their devices, to choose from. */
    readonly devices: readonly string[];
    /** The page that sets up Apple's devices without typing; null where there is none. */
    readonly profile: string | null;
    readonly options: OptionsForm;
    readonly problems: readonly Problem[];
  };
  secret: {
    readonly label: string;
    readonly groups: readonly string[];
    readonly isFirst: boolean;
    readonly user: string;
    /** What the app password allows, as a mail program asks for it. */
    readonly services: readonly { readonly name: string; readonly host: string; readonly port: string }[];
    /** How to set up the app it was made for; null where the server offers too little. */
    readonly guide: GuideView | null;
    /** QR code with the account and the secret, for Thunderbird on Android; null where it is of no use. */
    readonly thunderbird: string | null;
    /** Until when it wants to be used first; null: for as long as it lives. */
    readonly useBy: string | null;
    /** The page of this app password. */
    readonly place: string;
    /** Where *Done* leads. */
    readonly done: string;
  };
  list: {
    readonly live: readonly ListEntry[];
    readonly ended: readonly ListEntry[];
    readonly done: string | null;
    /** What was done to the account in the last 30 days (S-83), until it is dismissed. */
    readonly banners: readonly BannerLine[];
    /** Devices that send what has ended. */
    readonly stale: readonly string[];
    /** Told before the limit is reached, and when it is. */
    readonly near: string | null;
    /** Reminds of recovery codes. */
    readonly nag: string | null;
    readonly canCreate: boolean;
    readonly canRevokeAll: boolean;
  };
  'app-password': {
    readonly id: string;
    readonly label: string;
    readonly icon: DeviceIcon;
    readonly state: AppPasswordView['state'];
    readonly done: string | null;
    readonly working: string | null;
    /** What its state means, where that is not plain. */
    readonly note: string | null;
    readonly facts: readonly Fact[];
    readonly name: string;
    readonly isAlterable: boolean;
    readonly problems: readonly Problem[];
  };
  change: {
    readonly id: string;
    readonly heading: string;
    readonly options: OptionsForm;
    readonly problems: readonly Problem[];
  };
  ask: {
    readonly action: string;
    readonly heading: string;
    readonly body: string;
    /** What is in use at this moment; null: nothing, or unknown. */
    readonly inUse: string | null;
    readonly submit: string;
    readonly isDangerous: boolean;
    readonly keep: Link;
    /** A way that can be undone: where its button posts to. */
    readonly instead: string | null;
  };
  activity: ActivityData;
  sessions: SessionsData;
}
