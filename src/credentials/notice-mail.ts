import { printable } from '../observability/logger.ts';
import type { Fact } from './journal-event.ts';
import type { NoticeKind } from './notice-policy.ts';
import { en } from './notice-texts/en.ts';
import { lv } from './notice-texts/lv.ts';
import type { NoticeTexts, NoticeValues } from './notice-texts.ts';
import type { Scope } from './scope.ts';

/** A mail as a person reads it. */
export interface WrittenMail {
  readonly subject: string;
  readonly text: string;
  /** BCP 47. */
  readonly language: string;
  /** Display name of the sender. */
  readonly sender: string;
}

export interface NoticeToWrite {
  readonly kind: NoticeKind;
  readonly facts: Readonly<Record<string, Fact>>;
  readonly at: number;
  readonly isSecondCopy: boolean;
}

const catalogues: Readonly<Record<string, NoticeTexts>> = { en, lv };

/** Writes what people are mailed: every secret is missing but the one-time code, and no link does anything (S-83). */
export class NoticeWriter {
  readonly #hostname: string;
  readonly #portalUrl: string;
  readonly #defaultLanguage: string;
  readonly #timeZone: string;

  constructor(settings: {
    readonly hostname: string;
    /** Without the last slash. */
    readonly portalUrl: string;
    readonly defaultLanguage: string;
    readonly timeZone: string;
  }) {
    this.#hostname = settings.hostname;
    this.#portalUrl = settings.portalUrl;
    this.#defaultLanguage = settings.defaultLanguage;
    this.#timeZone = settings.timeZone;
  }

  /** `language` null, or one that there is not: the default. */
  notice(address: string, language: string | null, notice: NoticeToWrite): WrittenMail {
    const { tag, texts } = this.#catalogue(language);
    const { subject, body } = texts.kinds[notice.kind];
    const values = this.#values(texts, address, notice);
    const paragraphs = [
      ...(notice.isSecondCopy ? [texts.secondCopy] : []),
      ...body(values),
      texts.footer(this.#hostname),
    ];
    return { subject: subject(values), text: textOf(paragraphs), language: tag, sender: texts.sender };
  }

  /** A one-time code, good until `until`. */
  code(language: string | null, code: string, until: number): WrittenMail {
    const { tag, texts } = this.#catalogue(language);
    const time = new Intl.DateTimeFormat(texts.locale, { timeStyle: 'short', timeZone: this.#timeZone });
    const paragraphs = [code, ...texts.code.body(time.format(until)), texts.footer(this.#hostname)];
    return {
      subject: texts.code.subject(code),
      text: textOf(paragraphs),
      language: tag,
      sender: texts.sender,
    };
  }

  #catalogue(language: string | null): { readonly tag: string; readonly texts: NoticeTexts } {
    for (const tag of [language, this.#defaultLanguage]) {
      const texts = tag !== null && Object.hasOwn(catalogues, tag) ? catalogues[tag] : undefined;
      if (tag !== null && texts !== undefined) return { tag, texts };
    }
    return { tag: 'en', texts: en };
  }

  #values(texts: NoticeTexts, address: string, { kind, facts, at }: NoticeToWrite): NoticeValues {
    const from = textFact(facts.from);
    const isOwn = facts.by === 'person';
    const isOthers = facts.by === 'administrator' || facts.by === 'operator';
    return {
      address,
      when: this.#moment(texts, at),
      who: isOthers ? texts.byAdministrator : isOwn && from !== '' ? texts.fromAddress(from) : '',
      label: textFact(facts.label),
      scopes: scopesFact(texts, facts.scopes),
      source: [textFact(facts.address), textFact(facts.protocol).toUpperCase()].filter(Boolean).join(', '),
      client: textFact(facts.client),
      method: methodFact(texts, facts),
      count: numberFact(facts.count ?? facts.left),
      old: maskedFact(texts, facts.old),
      new: maskedFact(texts, facts.new),
      url: kind.startsWith('app-password') ? `${this.#portalUrl}/app-passwords` : `${this.#portalUrl}/`,
    };
  }

  #moment(texts: NoticeTexts, at: number): string {
    return new Intl.DateTimeFormat(texts.locale, {
      day: 'numeric',
      month: 'long',
      year: 'numeric',
      hour: '2-digit',
      minute: '2-digit',
      timeZoneName: 'short',
      timeZone: this.#timeZone,
    }).format(at);
  }
}

function textOf(paragraphs: readonly string[]): string {
  return `${paragraphs.join('\n\n')}\n`;
}

function textFact(fact: Fact | undefined): string {
  return typeof fact === 'string' ? printable(fact) : '';
}

function numberFact(fact: Fact | undefined): number {
  return typeof fact === 'number' ? fact : 0;
}

function scopesFact(texts: NoticeTexts, fact: Fact | undefined): string {
  if (!Array.isArray(fact)) return '';
  const names = fact.flatMap((scope: string) => texts.scopes[scope as Scope] ?? []);
  return new Intl.ListFormat(texts.locale).format(names);
}

function methodFact(texts: NoticeTexts, { method, name }: Readonly<Record<string, Fact>>): string {
  const known = Object.entries(texts.methods).find(([key]) => key === method)?.[1] ?? textFact(method);
  return textFact(name) === '' ? known : `${known} (${textFact(name)})`;
}

/** Enough to know one's own address by, and nothing for who reads the other mailbox. */
function maskedFact(texts: NoticeTexts, fact: Fact | undefined): string {
  const address = typeof fact === 'string' ? fact : '';
  const at = address.lastIndexOf('@');
  return at < 1 ? texts.none : `${address.slice(0, 1)}…${address.slice(at)}`;
}
