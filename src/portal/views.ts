import { readFileSync } from 'node:fs';
import { Eta } from 'eta';
import type { PortalSession } from '../identity/portal-session.ts';
import type { AdministrationViews } from './administration-views.ts';
import type { Assets } from './assets.ts';
import type { ClientSetupViews } from './client-setup/view-data.ts';
import type { Language, Languages } from './language.ts';
import type { Texts } from './locales/en.ts';
import type { NavigationItem, SessionEnd } from './navigation.ts';
import type { SecondFactorViews } from './second-factor-views.ts';
import type { SelfServiceViews } from './self-service-views.ts';

/** A mistake in a form: said in the summary, which links to the field, and beside the field. */
export interface Problem {
  /** Id of the field. */
  readonly field: string;
  readonly text: string;
}

/** A way to another page. */
export interface Link {
  readonly href: string;
  readonly label: string;
}

/** What each view is given: built field by field, no request object, no row, no configuration (S-66). */
export interface ViewData extends AdministrationViews, ClientSetupViews, SecondFactorViews, SelfServiceViews {
  'sign-in': {
    readonly address: string;
    /** Some domain signs in with the main password. */
    readonly hasPasswords: boolean;
    readonly providers: readonly { readonly href: string; readonly label: string }[];
    readonly problems: readonly Problem[];
  };
  notice: {
    readonly heading: string;
    readonly paragraphs: readonly string[];
    readonly reference: string | null;
    readonly action: { readonly href: string; readonly label: string } | null;
  };
}

/** A view with its data. */
export type Page = {
  readonly [View in keyof ViewData]: { readonly view: View; readonly data: ViewData[View] };
}[keyof ViewData];

/** What the frame around every page shows. */
export interface Frame {
  readonly language: Language;
  readonly title: string;
  readonly address: string | null;
  /** Token for the forms; null where nobody is signed in. */
  readonly csrf: string | null;
  readonly level: PortalSession['level'];
  /** The pages there are for this session; empty before the second factor. */
  readonly navigation: readonly NavigationItem[];
  /** Where help is; null where there is none. */
  readonly help: string | null;
  /** null where nobody is signed in. */
  readonly end: SessionEnd | null;
  /** Where the language switch comes back to. */
  readonly path: string;
}

const names = [
  'layout',
  'problems',
  'steps',
  'code-field',
  'sign-in',
  'notice',
  'set-up',
  'choose-method',
  'method-name',
  'set-up-app',
  'set-up-passkey',
  'set-up-email',
  'verified',
  'confirm',
  'methods',
  'method',
  'recovery-codes',
  'new-recovery-codes',
  'create',
  'secret',
  'list',
  'entry',
  'icon',
  'options',
  'lines-field',
  'banner',
  'app-password',
  'change',
  'ask',
  'activity',
  'events',
  'accounts',
  'account',
  'account-activity',
  'administer',
  'enrollment-code',
  'trail',
  'sessions',
  'copy-button',
  'help',
  'guide',
  'guide-window',
  'guide-parts',
  'apple-device',
  'device-code',
  'profile-link',
  'profile-install',
] as const;

/** Those that show more than one thing to read. */
const wideViews: ReadonlySet<string> = new Set<Page['view']>([
  'methods',
  'list',
  'secret',
  'set-up-app',
  'app-password',
  'activity',
  'sessions',
  'accounts',
  'account',
  'account-activity',
  'trail',
  'help',
  'guide',
  'device-code',
]);

/** Those that ask for a passkey, or offer one. */
const passkeyViews: ReadonlySet<string> = new Set<Page['view']>([
  'choose-method',
  'set-up-passkey',
  'confirm',
]);

/** Those with a Copy button. */
const copyViews: ReadonlySet<string> = new Set<Page['view']>([
  'enrollment-code',
  'secret',
  'set-up-app',
  'help',
  'guide',
  'device-code',
]);

/** The portal's pages as HTML. Every template is read and compiled at start. */
export class Views {
  readonly #eta = new Eta({ autoEscape: true, cache: true, useWith: false });
  readonly #languages: Languages;
  readonly #assets: Assets;
  readonly #host: string;

  constructor(parts: {
    readonly languages: Languages;
    readonly assets: Assets;
    readonly host: string;
  }) {
    this.#languages = parts.languages;
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
    const { texts, formats, tag } = frame.language;
    const shared = { t: texts, f: formats, csrf: frame.csrf, icons: this.#assets.icons.path };
    const body = this.#eta.render(`@${page.view}`, { ...shared, page: page.data });
    const hasProblems = 'problems' in page.data && page.data.problems.length > 0;
    return this.#eta.render('@layout', {
      ...shared,
      body,
      tag,
      languages: this.#languages.all.map((each) => ({ tag: each.tag, name: each.texts.languageName })),
      path: frame.path,
      level: frame.level,
      title: hasProblems ? texts.errorTitle(frame.title) : frame.title,
      address: frame.address,
      host: this.#host,
      styles: this.#assets.styles.path,
      script: this.#scriptOf(page),
      mark: this.#assets.mark.path,
      sessionScript: frame.end === null ? null : this.#assets.sessionScript.path,
      navigation: frame.navigation,
      help: frame.help,
      end: frame.end,
      isWide: wideViews.has(page.view),
    });
  }

  #scriptOf({ view }: Page): string | null {
    if (view === 'profile-link') return this.#assets.linkScript.path;
    if (view === 'new-recovery-codes') return this.#assets.printScript.path;
    if (passkeyViews.has(view)) return this.#assets.passkeyScript.path;
    return copyViews.has(view) ? this.#assets.copyScript.path : null;
  }
}

/** The heading a page has, which is its title too. */
export function titleOf(page: Page, t: Texts): string {
  switch (page.view) {
    case 'sign-in':
      return t.signIn.title;
    case 'notice':
      return page.data.heading;
    case 'choose-method':
      return t.choose.title;
    case 'set-up-passkey':
      return t.passkey.title;
    case 'set-up-email':
      return t.emailCode.title;
    case 'methods':
      return t.methods.title;
    case 'recovery-codes':
      return t.recovery.stateTitle;
    case 'new-recovery-codes':
      return t.recovery.title;
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
    case 'app-password':
      return page.data.label;
    case 'accounts':
      return t.administration.accounts.title;
    case 'enrollment-code':
      return t.administration.code.title;
    case 'account':
    case 'account-activity':
    case 'administer':
    case 'trail':
      return page.data.heading;
    case 'activity':
      return t.activity.title;
    case 'sessions':
      return t.sessions.title;
    case 'help':
      return t.help.title;
    case 'guide':
      return page.data.guide.title;
    case 'apple-device':
      return t.profileLink.setUpTitle;
    case 'profile-link':
    case 'profile-install':
      return t.profileLink.linkTitle;
    case 'device-code':
    case 'change':
    case 'ask':
    case 'set-up':
    case 'method':
      return page.data.heading;
    default:
      return page satisfies never;
  }
}
