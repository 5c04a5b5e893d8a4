import type { NoticeKind } from '../credentials/notice-policy.ts';
import type { Banner } from '../credentials/notices.ts';
import type { Language } from './language.ts';

/** Facts of a banner as text, empty where the notice has none: what other versions write is not relied on. */
export interface BannerFacts {
  readonly label: string;
  /** Who did it, as the sentence says it; empty for the person herself. */
  readonly who: string;
  readonly address: string;
  readonly protocol: string;
  readonly client: string;
  readonly method: string;
  readonly count: string;
  readonly left: string;
  readonly old: string;
  readonly new: string;
}

/** A sentence for every kind of notice: a new one does not compile until both languages have it. */
export type BannerSentences = Readonly<Record<NoticeKind, (facts: BannerFacts) => string>>;

/** One line of news about the account. */
export interface BannerLine {
  /** Hex. */
  readonly id: string;
  readonly text: string;
  readonly when: string;
}

export function bannerLine(banner: Banner, language: Language, now: number): BannerLine {
  const { texts, formats } = language;
  const t = texts.banners;
  const fact = (name: string): string => {
    const value = banner.facts[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  };
  const [by, from, method] = [fact('by'), fact('from'), fact('method')];
  const sentence = Object.hasOwn(t.sentences, banner.kind) ? t.sentences[banner.kind] : () => t.other;
  const text = sentence({
    label: fact('label'),
    who: Object.hasOwn(t.by, by) ? t.by[by as keyof typeof t.by] : from === '' ? '' : t.from(from),
    address: fact('address'),
    protocol: fact('protocol').toUpperCase(),
    client: fact('client'),
    method: Object.hasOwn(t.methods, method) ? t.methods[method as keyof typeof t.methods] : method,
    count: fact('count'),
    left: fact('left'),
    old: fact('old'),
    new: fact('new'),
  });
  return {
    id: banner.id.toString('hex'),
    text,
    when: now - banner.at < 86_400_000 ? formats.ago(now - banner.at) : formats.date(banner.at),
  };
}
