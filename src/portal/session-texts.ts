import type { SessionView } from '../credentials/session-directory.ts';
import type { PortalSessionView } from '../identity/portal-session.ts';
import { shortClient } from './app-password-texts.ts';
import { type DeviceIcon, deviceIconOf } from './device-icon.ts';
import type { Language } from './language.ts';

/** One connection of a mail app, as text. */
export interface MailSessionEntry {
  readonly id: string;
  readonly protocol: string;
  readonly address: string;
  readonly facts: readonly string[];
  /** False while it is being closed. */
  readonly canEnd: boolean;
}

/** The connections of one app password. */
export interface MailSessionGroup {
  /** Hex. */
  readonly credential: string;
  readonly label: string;
  /** null where the app password is gone. */
  readonly href: string | null;
  readonly icon: DeviceIcon;
  readonly sessions: readonly MailSessionEntry[];
}

export interface PortalSessionEntry {
  readonly id: string;
  readonly name: string;
  readonly since: string;
  readonly facts: readonly string[];
  readonly isThisOne: boolean;
}

export interface SessionsData {
  readonly done: string | null;
  /** null: cannot be told now. */
  readonly groups: readonly MailSessionGroup[] | null;
  /** There may be more on nodes that did not answer. */
  readonly isPartial: boolean;
  readonly portal: readonly PortalSessionEntry[];
}

/** By app password, the newest connection first. `labels`: of the account's own, by hex id. */
export function mailSessionGroups(
  sessions: readonly SessionView[],
  labels: ReadonlyMap<string, string>,
  language: Language,
  now: number,
): readonly MailSessionGroup[] {
  const groups = Map.groupBy(
    sessions.toSorted((one, other) => other.since - one.since),
    ({ credential }) => credential,
  );
  return [...groups].map(([credential, own]) => {
    const label = labels.get(credential);
    return {
      credential,
      label: label ?? language.texts.sessions.gone,
      href: label === undefined ? null : `/app-passwords/${credential}`,
      icon: deviceIconOf(label ?? '', own[0]?.client ?? null),
      sessions: own.map((session) => mailSession(session, language, now)),
    };
  });
}

export function portalSessionEntry(
  session: PortalSessionView,
  { texts: { sessions: t }, formats }: Language,
  now: number,
): PortalSessionEntry {
  const since = formats.dateTime(session.since);
  return {
    id: session.id,
    name: session.isThisOne ? t.thisOne : t.other,
    since,
    facts: [
      t.since(since),
      ...(session.isThisOne ? [] : [t.active(formats.ago(now - session.seenAt))]),
      ...(session.level === 'first-factor' ? [t.half] : []),
    ],
    isThisOne: session.isThisOne,
  };
}

function mailSession(
  session: SessionView,
  { texts: { sessions: t }, formats }: Language,
  now: number,
): MailSessionEntry {
  const client = shortClient(session.client);
  const state = t.states[session.state];
  return {
    id: session.id,
    protocol: session.protocol.toUpperCase(),
    address: session.peerAddress,
    facts: [
      ...(client === null ? [] : [client]),
      t.since(
        now - session.since < 86_400_000 ? formats.time(session.since) : formats.dateTime(session.since),
      ),
      ...(session.security === 'legacy-tls' ? [t.oldEncryption] : []),
      ...(state === '' ? [] : [state]),
    ],
    canEnd: session.state !== 'ending',
  };
}
