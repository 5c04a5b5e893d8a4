import type { NoticeKind } from './notice-policy.ts';

/** What a notice is filled with: printable, in the language of its texts. */
export interface NoticeValues {
  readonly address: string;
  readonly when: string;
  /** ` from 192.0.2.7`, ` by an administrator`, or nothing; begins with a space. */
  readonly who: string;
  readonly label: string;
  readonly scopes: string;
  /** Where a first login came from. */
  readonly source: string;
  /** What the mail program calls itself; empty where it said nothing. */
  readonly client: string;
  readonly method: string;
  readonly count: number;
  /** Masked. */
  readonly old: string;
  readonly new: string;
  /** Of the portal: shows, and changes nothing. */
  readonly url: string;
}

export interface NoticeText {
  subject(values: NoticeValues): string;
  /** Paragraphs. */
  body(values: NoticeValues): readonly string[];
}

/** The mails in one language. */
export interface NoticeTexts {
  /** Of `Intl`, for dates and lists. */
  readonly locale: string;
  readonly sender: string;
  readonly scopes: Readonly<Record<'imap' | 'pop3' | 'smtp' | 'legacy-tls', string>>;
  readonly methods: Readonly<Record<'totp' | 'passkey' | 'email' | 'recovery', string>>;
  /** No address. */
  readonly none: string;
  readonly fromAddress: (address: string) => string;
  readonly byAdministrator: string;
  readonly secondCopy: string;
  readonly footer: (hostname: string) => string;
  readonly kinds: Readonly<Record<NoticeKind, NoticeText>>;
  readonly code: {
    readonly subject: (code: string) => string;
    readonly body: (until: string) => readonly string[];
  };
}
