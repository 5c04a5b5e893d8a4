import type { Problem } from '../views.ts';
import type { GuideView } from './guides.ts';

/** One line of the settings: what it is for, and everything about it as text. */
export interface SettingLine {
  readonly name: string;
  readonly port: string;
  readonly security: string;
}

/** What the views of setting up mail programs are given. */
export interface ClientSetupViews {
  help: {
    readonly host: string;
    /** null: nobody is signed in. */
    readonly user: string | null;
    readonly lines: readonly SettingLine[];
    readonly guides: readonly { readonly href: string; readonly name: string; readonly hint: string }[];
  };
  guide: {
    readonly guide: GuideView;
    readonly otherPorts: readonly SettingLine[];
  };
  'apple-device': {
    readonly device: string;
    readonly isSigned: boolean;
    /** Where the guide by hand is; null where there is none. */
    readonly guide: string | null;
    readonly problems: readonly Problem[];
  };
  'device-code': {
    readonly id: string;
    readonly heading: string;
    /** null after the one time that it is shown. */
    readonly code: { readonly qr: string; readonly link: string } | null;
    /** What became of it so far. */
    readonly said: string;
    readonly isOpen: boolean;
    /** Of the app password that came of it, to revoke it. */
    readonly revoke: string | null;
  };
  'profile-link': { readonly problems: readonly Problem[] };
  'profile-install': {
    readonly code: string;
    readonly address: string;
    readonly device: string;
    readonly isSigned: boolean;
  };
}
