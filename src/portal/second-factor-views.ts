import type { Link, Problem } from './views.ts';

/** What the pages of second factors are given. */
export interface SecondFactorViews {
  'set-up': {
    readonly heading: string;
    readonly paragraphs: readonly string[];
    /** Where the form goes, with a code where one is asked for. */
    readonly action: string;
    readonly asksCode: boolean;
    readonly problems: readonly Problem[];
  };
  'choose-method': {
    readonly isFirst: boolean;
    readonly action: string;
    readonly methods: readonly { readonly value: string; readonly name: string; readonly hint: string }[];
    readonly cancel: string | null;
    readonly problems: readonly Problem[];
  };
  'set-up-app': {
    readonly isFirst: boolean;
    readonly action: string;
    readonly qr: string;
    readonly uri: string;
    readonly keyGroups: readonly string[];
    /** null where no name is asked for. */
    readonly name: string | null;
    /** Where another method is chosen; null where there is none. */
    readonly other: string | null;
    readonly problems: readonly Problem[];
  };
  'set-up-passkey': {
    readonly isFirst: boolean;
    readonly action: string;
    /** The question for the browser, as JSON; null before it is put. */
    readonly options: string | null;
    readonly name: string;
    readonly other: string | null;
    readonly problems: readonly Problem[];
  };
  'set-up-email': {
    readonly action: string;
    readonly address: string;
    /** Where a code was sent, in words; null for nowhere yet. */
    readonly sent: string | null;
    readonly other: string;
    readonly problems: readonly Problem[];
  };
  verified: Record<never, never>;
  confirm: {
    readonly action: string;
    readonly method: 'totp' | 'passkey' | 'email' | 'recovery' | null;
    readonly lead: string;
    /** Passkey: the question for the browser, as JSON; null before it is put. */
    readonly options: string | null;
    /** E-mail: where a code was sent, in words; null for nowhere yet. */
    readonly sent: string | null;
    readonly others: readonly Link[];
    /** A second factor at an identity provider. */
    readonly provider: Link | null;
    /** Only a new sign-in helps. */
    readonly isSignInNeeded: boolean;
    readonly cancel: string | null;
    readonly problems: readonly Problem[];
  };
  methods: {
    readonly done: string | null;
    readonly methods: readonly {
      readonly id: string;
      readonly name: string;
      readonly kind: string;
      readonly facts: readonly string[];
      readonly isPrimary: boolean;
      readonly isOff: boolean;
    }[];
    readonly canAdd: boolean;
    readonly recovery: string;
  };
  method: {
    readonly id: string;
    readonly heading: string;
    readonly kind: string;
    readonly name: string;
    readonly facts: readonly string[];
    readonly canBePrimary: boolean;
    readonly isOff: boolean;
    readonly problems: readonly Problem[];
  };
  'recovery-codes': {
    readonly state: string;
    readonly note: string | null;
    readonly submit: string;
    readonly isRenewal: boolean;
  };
  'new-recovery-codes': {
    readonly codes: readonly string[];
    /** The same as a text file, as a data: URL: nothing is kept for it. */
    readonly file: string;
    readonly filename: string;
    readonly address: string;
    readonly host: string;
  };
}
