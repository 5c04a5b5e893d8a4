import { readFileSync } from 'node:fs';
import { Eta } from 'eta';
import type { Assets } from './assets.ts';
import type { Texts } from './locales/en.ts';
import type { MailApp } from './mail-app.ts';

/** A mistake in a form: said in the summary, which links to the field, and beside the field. */
export interface Problem {
  /** Id of the field. */
  readonly field: string;
  readonly text: string;
}

/** One line of the list of app passwords, as text. */
export interface ListEntry {
  /** Hex. */
  readonly id: string;
  readonly label: string;
  readonly state: 'active' | 'expired' | 'revoked';
  readonly allowed: string;
  readonly created: string;
  readonly lastUsed: string;
  readonly expires: string | null;
}

/** A guide for one app; `isOpen` for the one the app password was made for. */
export interface Guide {
  readonly name: string;
  readonly steps: readonly string[];
  readonly isOpen: boolean;
}

/** What each view is given: built field by field, no request object, no row, no configuration (S-66). */
export interface ViewData {
  'sign-in': { readonly address: string; readonly problems: readonly Problem[] };
  notice: {
    readonly heading: string;
    readonly paragraphs: readonly string[];
    readonly reference: string | null;
    readonly action: { readonly href: string; readonly label: string } | null;
  };
  'set-up': { readonly isRequired: boolean };
  'set-up-app': {
    readonly qr: string;
    readonly uri: string;
    readonly keyGroups: readonly string[];
    readonly problems: readonly Problem[];
  };
  verified: Record<never, never>;
  confirm: {
    readonly action: string;
    readonly body: string;
    readonly cancel: string | null;
    readonly problems: readonly Problem[];
  };
  create: {
    readonly isFirst: boolean;
    readonly apps: readonly { readonly value: MailApp; readonly name: string; readonly hint: string }[];
    readonly app: MailApp | null;
    readonly device: string;
    readonly imap: boolean;
    readonly smtp: boolean;
    readonly problems: readonly Problem[];
  };
  secret: {
    readonly label: string;
    readonly groups: readonly string[];
    readonly isFirst: boolean;
    readonly user: string;
    readonly host: string;
    /** null where the app password does not allow it. */
    readonly imapPort: number | null;
    readonly smtpPort: number | null;
    readonly guides: readonly Guide[];
  };
  list: {
    readonly live: readonly ListEntry[];
    readonly ended: readonly ListEntry[];
    readonly done: string | null;
    readonly limit: string | null;
    readonly canRevokeAll: boolean;
  };
  revoke: {
    readonly action: string;
    readonly heading: string;
    readonly body: string;
    readonly submit: string;
    readonly keep: string;
  };
}

/** A view with its data. */
export type Page = {
  readonly [View in keyof ViewData]: { readonly view: View; readonly data: ViewData[View] };
}[keyof ViewData];

/** What the frame around every page shows. */
export interface Frame {
  readonly title: string;
  readonly address: string | null;
  /** Token for the forms; null where nobody is signed in. */
  readonly csrf: string | null;
}

const names = [
  'layout',
  'problems',
  'steps',
  'code-field',
  'sign-in',
  'notice',
  'set-up',
  'set-up-app',
  'verified',
  'confirm',
  'create',
  'secret',
  'list',
  'entry',
  'revoke',
] as const;

/** The portal's pages as HTML. Every template is read and compiled at start. */
export class Views {
  readonly #eta = new Eta({ autoEscape: true, cache: true, useWith: false });
  readonly #texts: Texts;
  readonly #assets: Assets;
  readonly #host: string;

  constructor(parts: { readonly texts: Texts; readonly assets: Assets; readonly host: string }) {
    this.#texts = parts.texts;
    this.#assets = parts.assets;
    this.#host = parts.host;
    for (const name of names) {
      this.#eta.loadTemplate(
        `@${name}`,
        readFileSync(new URL(`./views/${name}.eta`, import.meta.url), 'utf8'),
      );
    }
  }

  render(page: Page, frame: Frame): string {
    const shared = { t: this.#texts, csrf: frame.csrf };
    const body = this.#eta.render(`@${page.view}`, { ...shared, page: page.data });
    const hasProblems = 'problems' in page.data && page.data.problems.length > 0;
    return this.#eta.render('@layout', {
      ...shared,
      body,
      title: hasProblems ? this.#texts.errorTitle(frame.title) : frame.title,
      address: frame.address,
      host: this.#host,
      styles: this.#assets.styles.path,
      script: page.view === 'secret' || page.view === 'set-up-app' ? this.#assets.copyScript.path : null,
      mark: this.#assets.mark.path,
      isWide: page.view === 'list' || page.view === 'secret' || page.view === 'set-up-app',
    });
  }
}

/** The heading a page has, which is its title too. */
export function titleOf(page: Page, t: Texts): string {
  switch (page.view) {
    case 'sign-in':
      return t.signIn.title;
    case 'notice':
      return page.data.heading;
    case 'set-up':
      return page.data.isRequired ? t.setUp.title : t.setUp.optionalTitle;
    case 'set-up-app':
      return t.setUpApp.title;
    case 'verified':
      return t.verified.title;
    case 'confirm':
      return t.confirm.title;
    case 'create':
      return page.data.isFirst ? t.create.firstTitle : t.create.title;
    case 'secret':
      return t.secret.title;
    case 'list':
      return t.list.title;
    case 'revoke':
      return page.data.heading;
    default:
      return page satisfies never;
  }
}
