import type { Config } from '../config/schema.ts';
import type { AuditEntryRow } from '../store/schema.ts';
import { readTrailEntry, type TrailEntry } from './actions/trail.ts';
import type { AdministrationViews } from './administration-views.ts';
import type { Language } from './language.ts';

type TrailLine = AdministrationViews['trail']['entries'][number];

/** One entry of the audit trail as text; one that cannot be read shows its action and time. */
export function trailLine(row: AuditEntryRow, language: Language, config: Pick<Config, 'portal'>): TrailLine {
  const { texts, formats } = language;
  const t = texts.administration.trail;
  const { actions } = t;
  const what = Object.hasOwn(actions, row.action) ? actions[row.action as keyof typeof actions] : row.action;
  const when = formats.dateTime(row.at);
  const entry = readTrailEntry(row, config);
  if (entry === null) return { what, account: null, when, who: '', facts: [], reason: null };
  const { actor, account, object, reason } = entry;
  return {
    what,
    account:
      account === null ? null : { href: `/administration/accounts/${account.id}`, label: account.address },
    when,
    who: t.by(whoOf(actor, t.actors)),
    facts: [
      ...Object.entries(object)
        .filter(([name, value]) => name !== 'id' && name !== 'changed' && isShown(value))
        .map(([name, value]) => factText(name, value, language)),
      ...(actor.address === null || actor.address === undefined ? [] : [t.from(actor.address)]),
    ],
    reason: reason === null ? null : t.because(reason),
  };
}

/** What has a name of ours in the words that the pages have for it. */
function factText(name: string, value: unknown, { texts }: Language): string {
  const words: Readonly<Record<string, string>> =
    name === 'method'
      ? texts.banners.methods
      : name === 'scopes'
        ? texts.list.scopes
        : name === 'mfa'
          ? texts.administration.policies
          : {};
  const said = (each: unknown) => {
    const text = String(each);
    return Object.hasOwn(words, text) ? (words[text] ?? text) : text;
  };
  return Array.isArray(value) ? value.map(said).join(', ') : said(value);
}

function whoOf(
  actor: TrailEntry['actor'],
  t: Language['texts']['administration']['trail']['actors'],
): string {
  switch (actor.kind) {
    case 'person':
      return t.person;
    case 'administrator':
      return t.administrator(actor.account ?? '?');
    case 'operator':
      return t.operator(actor.user ?? '?');
    case 'gateway':
      return t.gateway;
    default:
      return actor.kind satisfies never;
  }
}

/** Names, scopes and counts; not times and hashes, which mean nothing to a reader. */
function isShown(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (typeof value === 'number') return value >= 0 && value < 1_000_000;
  return Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string');
}
