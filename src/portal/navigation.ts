import type { PortalSession } from '../identity/portal-session.ts';
import type { Language } from './language.ts';
import type { Texts } from './locales/en.ts';

/** One of the pages at the head of every page. */
export interface NavigationItem {
  readonly href: string;
  readonly name: string;
  /** `section`: the page shown lies below it. */
  readonly current: 'page' | 'section' | null;
}

/** When a session ends, in words and for the script that warns of it. */
export interface SessionEnd {
  readonly text: string;
  readonly leftSeconds: number;
  /** What a request more gives; null where none does. */
  readonly idleSeconds: number | null;
  /** Said two minutes before. */
  readonly soon: string;
}

const items: readonly (readonly [href: string, name: (t: Texts['navigation']) => string])[] = [
  ['/app-passwords', (t) => t.appPasswords],
  ['/activity', (t) => t.activity],
  ['/sessions', (t) => t.sessions],
  ['/methods', (t) => t.methods],
  ['/help', (t) => t.help],
];

/** Only pages that there are, and none before the second factor was shown. */
export function navigationOf(
  { level }: PortalSession,
  path: string,
  { texts: { administration, navigation: t } }: Language,
  isPage: (path: string) => boolean,
  administers: boolean,
): readonly NavigationItem[] {
  if (level !== 'full' && level !== 'stepped-up') return [];
  return [
    ...items.map(([href, name]) => [href, name(t)] as const),
    ...(administers ? [['/administration', administration.name] as const] : []),
  ]
    .filter(([href]) => isPage(href))
    .map(([href, name]) => ({
      href,
      name,
      current: path === href ? 'page' : path.startsWith(`${href}/`) ? 'section' : null,
    }));
}

export function sessionEndOf(session: PortalSession, language: Language, now: number): SessionEnd | null {
  if (session.level === 'anonymous') return null;
  const {
    texts: { navigation: t },
    formats,
  } = language;
  const { at, isFinal } = session.ends;
  const left = Math.max(0, Math.floor((at - now) / 1_000));
  const time = formats.time(at);
  return {
    text: isFinal ? t.endsFinally(time) : t.ends(time),
    leftSeconds: left,
    idleSeconds: isFinal ? null : left,
    soon: t.endsSoon(time),
  };
}
