/** Mail programs with a guide, as their page is addressed, in the order offered. */
export const guideNames = [
  'outlook-2016-windows',
  'outlook-2016-mac',
  'apple-mail-mac',
  'iphone-ipad',
  'thunderbird',
  'android',
  'scanner-printer',
  'script',
  'other',
] as const;
export type GuideName = (typeof guideNames)[number];

/** A window of a mail program, drawn as its fields with what belongs in them. */
export type WindowName =
  | 'outlook-account'
  | 'outlook-outgoing'
  | 'outlook-advanced'
  | 'outlook-short'
  | 'outlook-mac'
  | 'outlook-mac-more'
  | 'apple-account'
  | 'apple-servers'
  | 'apple-incoming'
  | 'apple-outgoing'
  | 'iphone-account'
  | 'iphone-servers'
  | 'iphone-incoming-port'
  | 'iphone-outgoing-port'
  | 'thunderbird'
  | 'android'
  | 'gmail'
  | 'scanner'
  | 'any-program';

/** A file or a command to copy. */
export type CodeName = 'netrc' | 'curl' | 'msmtp' | 'python';

export type GuideStep =
  | string
  | { readonly text: string; readonly window: WindowName }
  | { readonly text: string; readonly code: CodeName };

/** What a language says of one mail program. Words of the program's own windows stay as the program has them, in quotes. */
export interface GuideTexts {
  readonly name: string;
  /** For the list of guides. */
  readonly hint: string;
  readonly lead: string;
  readonly warning: string | null;
  readonly parts: readonly { readonly heading: string; readonly steps: readonly GuideStep[] }[];
  /** What the person sees, and what it means. */
  readonly trouble: readonly (readonly [see: string, means: string])[];
  readonly replace: readonly string[];
}

/** Words that stand in the windows in place of a value. */
export interface WindowWords {
  readonly address: string;
  readonly password: string;
  readonly yourName: string;
  readonly anyText: string;
  readonly ticked: string;
  readonly notTicked: string;
}
