import type { ActivityDay } from './activity-texts.ts';
import type { Fact, ListEntry } from './app-password-texts.ts';
import type { MailSessionGroup } from './session-texts.ts';
import type { Link, Problem } from './views.ts';

export type AccountState = 'active' | 'disabled' | 'forged';

/** What the pages for administrators are given. */
export interface AdministrationViews {
  accounts: {
    readonly find: string;
    readonly accounts: readonly {
      readonly href: string;
      readonly address: string;
      readonly state: AccountState;
      readonly facts: readonly string[];
    }[];
    readonly more: string | null;
    readonly address: string;
    readonly problems: readonly Problem[];
  };
  account: {
    readonly heading: string;
    readonly state: AccountState;
    readonly done: string | null;
    readonly note: string | null;
    readonly facts: readonly Fact[];
    readonly live: readonly { readonly entry: ListEntry; readonly acts: readonly Link[] }[];
    /** How many, in words; null for none. */
    readonly ended: string | null;
    readonly stale: readonly string[];
    /** null: cannot be told. */
    readonly groups: readonly MailSessionGroup[] | null;
    readonly days: readonly ActivityDay[];
    /** null: these are all. */
    readonly allActivity: string | null;
    readonly trail: string;
    /** Empty where nothing may be done. */
    readonly acts: readonly (Link & { readonly isDangerous: boolean })[];
  };
  'account-activity': {
    readonly heading: string;
    readonly days: readonly ActivityDay[];
    readonly older: string | null;
    readonly back: Link;
  };
  administer: {
    readonly action: string;
    readonly heading: string;
    readonly body: string;
    readonly submit: string;
    readonly isDangerous: boolean;
    readonly credential: string | null;
    /** What has to be chosen besides; null: nothing. */
    readonly choice: {
      readonly legend: string;
      readonly options: readonly { readonly value: string; readonly label: string }[];
      readonly chosen: string;
    } | null;
    readonly reason: string;
    readonly back: string;
    readonly problems: readonly Problem[];
  };
  'enrollment-code': {
    readonly lead: string;
    readonly groups: readonly string[];
    readonly until: string;
    readonly back: string;
  };
  trail: {
    readonly heading: string;
    readonly entries: readonly {
      readonly what: string;
      readonly account: Link | null;
      readonly when: string;
      readonly who: string;
      readonly facts: readonly string[];
      readonly reason: string | null;
    }[];
    readonly older: string | null;
    /** null: it holds more than an administrator sees. */
    readonly download: string | null;
    readonly back: Link;
  };
}
