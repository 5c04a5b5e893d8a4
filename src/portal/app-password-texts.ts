import type { AppPasswordView } from '../credentials/app-passwords.ts';
import type { StaleClient } from '../store/stale-clients.ts';
import { type DeviceIcon, deviceIconOf } from './device-icon.ts';
import type { Language } from './language.ts';

const dayMs = 86_400_000;
/** As long as somebody may still wonder whether it works. */
const freshMs = dayMs;
const clientCharacters = 60;

/** One app password of the list, as text. */
export interface ListEntry {
  /** Hex. */
  readonly id: string;
  readonly label: string;
  readonly icon: DeviceIcon;
  readonly state: AppPasswordView['state'];
  readonly lastUsed: string;
  /** “It works: …”, while it is new; else null. */
  readonly working: string | null;
  /** Short facts, the more important first. */
  readonly facts: readonly string[];
}

/** A line of the page of one app password. */
export interface Fact {
  readonly name: string;
  readonly values: readonly string[];
}

export function entryOf(view: AppPasswordView, language: Language, now: number): ListEntry {
  const { texts, formats } = language;
  const t = texts.list;
  return {
    id: view.id.toString('hex'),
    label: view.label,
    icon: deviceIconOf(view.label, view.lastUsedClient),
    state: view.state,
    lastUsed: lastUseOf(view, language, now),
    working: workingOf(view, language, now),
    facts: [
      view.scopes.map((scope) => t.scopes[scope]).join(', '),
      ...(view.networks.length > 0 ? [t.hasNetworks] : []),
      ...(isFenced(view) ? [t.hasFence] : []),
      ...endFacts(view, language),
      t.createdAt(formats.date(view.createdAt), makerOf(view, language)),
    ],
  };
}

/** That a new app password was used, in the words of P7; null for one that is unused or no longer new. */
export function workingOf(view: AppPasswordView, language: Language, now: number): string | null {
  const { lastUsedAt, createdAt, state } = view;
  if (lastUsedAt === null || state !== 'active' || now - createdAt > freshMs) return null;
  const app = shortClient(view.lastUsedClient) ?? view.label;
  return language.texts.secret.worked(app, language.formats.ago(now - lastUsedAt));
}

export function factsOf(view: AppPasswordView, language: Language, now: number): readonly Fact[] {
  const { texts, formats } = language;
  const t = texts.details;
  const protocol = view.lastUsedProtocol?.toUpperCase();
  const client = shortClient(view.lastUsedClient);
  return [
    { name: t.allowed, values: view.scopes.map((scope) => texts.list.scopes[scope]) },
    { name: t.networks, values: view.networks.length === 0 ? [t.anyNetwork] : view.networks },
    ...(isFenced(view) ? [{ name: t.sending, values: fenceLines(view, language) }] : []),
    ...(view.state === 'revoked' ? [] : [{ name: t.ends, values: endLines(view, language) }]),
    {
      name: t.created,
      values: [t.createdBy(formats.dateTime(view.createdAt), makerOf(view, language))],
    },
    {
      name: t.lastUsed,
      values:
        view.lastUsedAt === null
          ? [texts.list.neverUsed]
          : [`${formats.dateTime(view.lastUsedAt)} (${formats.ago(now - view.lastUsedAt)})`],
    },
    ...(view.lastUsedAddress === null
      ? []
      : [{ name: t.from, values: [[protocol, view.lastUsedAddress].filter(Boolean).join(', ')] }]),
    ...(client === null ? [] : [{ name: t.client, values: [client] }]),
  ];
}

/** A device that goes on sending what has ended, and what to do about it. */
export function staleText(stale: StaleClient, language: Language, now: number): string {
  const { texts, formats } = language;
  const t = texts.list;
  const when = formats.ago(now - stale.last_at);
  const sentence = t.stale(
    shortClient(stale.client),
    stale.address,
    stale.label,
    formats.date(stale.endedAt),
  );
  return `${sentence} ${stale.times === 1 ? t.staleOnce(when) : t.staleTimes(formats.number(stale.times), when)}.`;
}

/** What a client called itself, at a length that fits a line; null where it said nothing. */
export function shortClient(client: string | null): string | null {
  const text = client?.trim() ?? '';
  if (text === '') return null;
  return text.length <= clientCharacters ? text : `${text.slice(0, clientCharacters)}…`;
}

function lastUseOf(view: AppPasswordView, { texts: { list: t }, formats }: Language, now: number): string {
  if (view.lastUsedAt === null) return t.neverUsed;
  const when = formats.ago(now - view.lastUsedAt);
  return t.usedAt(
    t.usedFrom(when, view.lastUsedProtocol, view.lastUsedAddress, shortClient(view.lastUsedClient)),
  );
}

function endFacts(view: AppPasswordView, { texts: { list: t }, formats }: Language): readonly string[] {
  if (view.endsAt === null || view.state === 'revoked') return [];
  if (view.state === 'expired') return [t.endedAt(formats.date(view.endsAt))];
  const isFixed = view.endsAt === view.notAfter;
  return [isFixed ? t.endsAt(formats.date(view.endsAt)) : t.endsUnused(formats.dateTime(view.endsAt))];
}

/** When it ends by itself, each way as a line. */
export function endLines(
  view: AppPasswordView,
  { texts: { details: t }, formats }: Language,
): readonly string[] {
  const lines: string[] = [];
  if (view.notAfter !== null) lines.push(formats.dateTime(view.notAfter));
  if (view.firstUseBy !== null) lines.push(t.endsUnless(formats.dateTime(view.firstUseBy)));
  if (view.maxIdleMs !== null) {
    const isNext = view.endsAt !== null && view.endsAt !== view.notAfter && view.endsAt !== view.firstUseBy;
    lines.push(
      t.unused(
        Math.round(view.maxIdleMs / dayMs),
        isNext && view.endsAt !== null ? formats.date(view.endsAt) : null,
      ),
    );
  }
  return lines.length === 0 ? [t.never] : lines;
}

function fenceLines(
  { fence }: AppPasswordView,
  { texts: { details: t }, formats }: Language,
): readonly string[] {
  if (fence === null) return [t.unknownFence];
  const { from, recipientDomains, maxBytes } = fence;
  const counts = ['messagesPerHour', 'messagesPerDay', 'recipientsPerHour', 'recipientsPerDay'] as const;
  return [
    ...(from === null ? [] : [t.senders(formats.list(from))]),
    ...(recipientDomains === null ? [] : [t.recipients(formats.list(recipientDomains))]),
    ...counts.flatMap((count) => {
      const most = fence[count];
      return most === null ? [] : [t[count](formats.number(most))];
    }),
    ...(maxBytes === null ? [] : [t.maxSize(formats.number(Math.ceil(maxBytes / 1_000_000)))]),
  ];
}

function isFenced({ fence }: AppPasswordView): boolean {
  return fence === null || Object.values(fence).some((limit) => limit !== null);
}

/** null: the person herself. */
function makerOf({ createdBy }: AppPasswordView, { texts: { list: t } }: Language): string | null {
  if (createdBy === 'portal' || createdBy === 'profile') return null;
  return createdBy.startsWith('administrator') ? t.by.administrator : t.by.operator;
}
