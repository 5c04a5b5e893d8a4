import type { LoginEventPlace } from '../store/login-events.ts';
import type { LoginEventRow } from '../store/schema.ts';
import { shortClient } from './app-password-texts.ts';
import { type DeviceIcon, deviceIconOf } from './device-icon.ts';
import type { Language } from './language.ts';
import type { ReasonText } from './reason-texts.ts';

/** A sign-in or refusal, as text. */
export interface ActivityEntry {
  readonly icon: DeviceIcon;
  readonly isRefused: boolean;
  /** What happened. */
  readonly sentence: string;
  /** What to do about it; null where nothing is wrong. */
  readonly remedy: string | null;
  /** The app password, where it is known: null href where it is gone. */
  readonly appPassword: { readonly label: string; readonly href: string | null } | null;
  readonly time: string;
  /** Where from, which app, how often. */
  readonly facts: readonly string[];
}

export interface ActivityDay {
  readonly name: string;
  readonly entries: readonly ActivityEntry[];
}

export interface ActivityData {
  readonly days: readonly ActivityDay[];
  /** Link to what came before; null: nothing did. */
  readonly older: string | null;
  /** Whether this is not the newest page. */
  readonly isOlder: boolean;
  readonly keptDays: number;
}

/** `labels`: of the account's own app passwords, by hex id. `events`: the newest first. */
export function activityDays(
  events: readonly LoginEventRow[],
  labels: ReadonlyMap<string, string>,
  language: Language,
  now: number,
): readonly ActivityDay[] {
  const days = new Map<string, ActivityEntry[]>();
  for (const event of events) {
    const name = dayName(event.last_at, language, now);
    const entries = days.get(name) ?? [];
    days.set(name, entries);
    entries.push(entryOf(event, labels, language));
  }
  return [...days].map(([name, entries]) => ({ name, entries }));
}

/** A place in the log as a link carries it. */
export function eventPlaceText({ last_at, id }: LoginEventRow): string {
  return `${last_at}-${id.toString('hex')}`;
}

/** null for what {@link eventPlaceText} does not write: then the newest are shown. */
export function eventPlace(text: string | undefined): LoginEventPlace | null {
  const [, lastAt, id] = /^(\d{1,15})-([0-9a-f]{32})$/.exec(text ?? '') ?? [];
  if (lastAt === undefined || id === undefined) return null;
  return { lastAt: Number(lastAt), id: Buffer.from(id, 'hex') };
}

function entryOf(
  event: LoginEventRow,
  labels: ReadonlyMap<string, string>,
  { texts, formats }: Language,
): ActivityEntry {
  const t = texts.activity;
  const words = event.reason === null ? null : reasonOf(event.reason, t);
  const id = event.credential_id?.toString('hex') ?? null;
  const label = id === null ? null : labels.get(id);
  const client = shortClient(event.client);
  return {
    icon: deviceIconOf(label ?? '', event.client),
    isRefused: words !== null,
    sentence: words?.sentence ?? t.signedIn,
    remedy: words?.remedy ?? null,
    appPassword:
      id === null
        ? null
        : { label: label ?? t.gone, href: label === undefined ? null : `/app-passwords/${id}` },
    time: formats.time(event.last_at),
    facts: [
      event.protocol.toUpperCase(),
      event.address === null ? t.many : t.from(event.address),
      ...(client === null ? [] : [client]),
      ...(event.times > 1 ? [t.times(formats.number(event.times), formats.time(event.first_at))] : []),
    ],
  };
}

/** Never the code itself: a newer version may know more of them. */
function reasonOf(reason: string, t: Language['texts']['activity']): ReasonText {
  return Object.hasOwn(t.reasons, reason) ? t.reasons[reason as keyof typeof t.reasons] : t.unknownReason;
}

function dayName(at: number, { texts: { activity: t }, formats }: Language, now: number): string {
  const date = formats.date(at);
  if (date === formats.date(now)) return t.today;
  return date === formats.date(now - 86_400_000) ? t.yesterday : date;
}
