import { readdir } from 'node:fs/promises';
import type { Texts } from './locales/en.ts';

/** Dates and numbers as a language and a time zone print them. */
export interface Formats {
  date(at: number): string;
  dateTime(at: number): string;
  time(at: number): string;
  /** “3 days ago”; under a minute “now”. */
  ago(ms: number): string;
  /** “in 5 minutes”, rounded up; never less than a minute. */
  until(ms: number): string;
  number(value: number): string;
  /** “IMAP, POP3 and SMTP” */
  list(items: readonly string[]): string;
}

/** The portal in one language. */
export interface Language {
  /** BCP 47, as in `lang` and in Accept-Language: `en`, `lv`. */
  readonly tag: string;
  readonly texts: Texts;
  readonly formats: Formats;
}

/** The languages that have a catalogue, the default one first. */
export class Languages {
  readonly all: readonly [Language, ...Language[]];

  constructor(all: readonly Language[], defaultTag: string) {
    const first = all.find(({ tag }) => tag === defaultTag);
    if (first === undefined)
      throw new Error(`portal.default_language: there is no catalogue for ${defaultTag}`);
    this.all = [first, ...all.filter((language) => language !== first)];
  }

  find(tag: string | null | undefined): Language | null {
    return this.all.find((language) => language.tag === tag) ?? null;
  }

  /** By what the person chose, else by what the browser accepts (RFC 9110 12.5.4), else the default. */
  choose(chosen: string | undefined, accepted: string | undefined): Language {
    const own = this.find(chosen);
    if (own !== null) return own;
    const ranges = (accepted ?? '')
      .slice(0, 500)
      .split(',')
      .map((range) => {
        const [tag = '', ...parameters] = range
          .trim()
          .toLowerCase()
          .split(/\s*;\s*/);
        const quality = parameters.find((each) => each.startsWith('q='))?.slice(2);
        return { primary: tag.split('-')[0], quality: quality === undefined ? 1 : Number(quality) };
      })
      .filter(({ quality }) => quality > 0)
      .sort((one, other) => other.quality - one.quality);
    for (const { primary } of ranges) {
      const language = this.find(primary);
      if (language !== null) return language;
    }
    return this.all[0];
  }
}

/** Reads every catalogue of `locales/`: a file more there is a language more. */
export async function loadLanguages(options: {
  readonly defaultTag: string;
  /** IANA name. */
  readonly timeZone: string;
}): Promise<Languages> {
  const folder = new URL('./locales/', import.meta.url);
  const all: Language[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const tag = /^([a-z]{2,3})\.[jt]s$/.exec(name)?.[1];
    if (tag === undefined) continue;
    const { texts } = (await import(new URL(name, folder).href)) as { readonly texts: Texts };
    all.push({ tag, texts, formats: formatsOf(tag, options.timeZone) });
  }
  return new Languages(all, options.defaultTag);
}

export function formatsOf(tag: string, timeZone: string): Formats {
  // English dates in the order of day, month, year: nobody reads them as another day.
  const locale = tag === 'en' ? 'en-GB' : tag;
  const date = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone });
  const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone });
  const time = new Intl.DateTimeFormat(locale, { timeStyle: 'short', timeZone });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const number = new Intl.NumberFormat(locale);
  const list = new Intl.ListFormat(locale, { type: 'conjunction' });
  return {
    date: (at) => date.format(at),
    dateTime: (at) => dateTime.format(at),
    time: (at) => time.format(at),
    ago: (ms) => {
      const minutes = Math.floor(ms / 60_000);
      if (minutes < 1) return relative.format(0, 'second');
      if (minutes < 60) return relative.format(-minutes, 'minute');
      if (minutes < 48 * 60) return relative.format(-Math.floor(minutes / 60), 'hour');
      return relative.format(-Math.floor(minutes / 1_440), 'day');
    },
    until: (ms) => {
      const minutes = Math.max(1, Math.ceil(ms / 60_000));
      return minutes < 90
        ? relative.format(minutes, 'minute')
        : relative.format(Math.ceil(minutes / 60), 'hour');
    },
    number: (value) => number.format(value),
    list: (items) => list.format(items),
  };
}
