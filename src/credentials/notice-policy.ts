import type { Actor, Fact, JournalEntry } from './journal-event.ts';
import { factsOf } from './journal-event.ts';

/** What a person is told of (S-83). */
export type NoticeKind =
  | 'app-password-created'
  | 'app-password-first-used'
  | 'app-password-revoked'
  | 'app-passwords-revoked'
  | 'factor-added'
  | 'factor-removed'
  | 'factor-disabled'
  | 'factor-reset'
  | 'factors-reset'
  | 'recovery-codes-created'
  | 'recovery-code-used'
  | 'alternate-address-changed'
  | 'factors-guessed'
  | 'passkey-copied'
  /** More than is told one by one. */
  | 'many-changes';

/** What is counted together, so that a flood of one hides nothing of another. */
export type NoticeTopic = 'app-passwords' | 'factors';

/** What a notice says. Data of one version is read by another: facts come and go, and are text, numbers or null. */
export interface Notice {
  readonly kind: NoticeKind;
  readonly topic: NoticeTopic;
  readonly facts: Readonly<Record<string, Fact>>;
  /** Who hears of it besides: an address that is not the account's any more. */
  readonly formerAddress: string | null;
}

/** null: nothing that a person is told of. */
export function noticeAbout({ event, actor }: JournalEntry): Notice | null {
  const facts = { ...factsOf(event), ...whoOf(actor) };
  const about = (kind: NoticeKind, topic: NoticeTopic, formerAddress: string | null = null): Notice => ({
    kind,
    topic,
    facts,
    formerAddress,
  });
  switch (event.action) {
    case 'app-password.created':
      return about('app-password-created', 'app-passwords');
    case 'app-password.first-used':
      return about('app-password-first-used', 'app-passwords');
    case 'app-password.revoked':
      return about('app-password-revoked', 'app-passwords');
    case 'app-passwords.revoked':
      return event.count === 0 ? null : about('app-passwords-revoked', 'app-passwords');
    case 'factor.added':
      return about('factor-added', 'factors');
    case 'factor.removed':
      return about('factor-removed', 'factors');
    case 'factor.disabled':
      return about('factor-disabled', 'factors');
    case 'factor.reset':
      return about('factor-reset', 'factors');
    case 'factors.reset':
      return about('factors-reset', 'factors', event.formerAddress);
    case 'recovery-codes.created':
      return about('recovery-codes-created', 'factors');
    case 'recovery-code.used':
      return about('recovery-code-used', 'factors');
    case 'alternate-address.changed':
      return about('alternate-address-changed', 'factors', event.old);
    case 'passkey.counter-fell':
      return about('passkey-copied', 'factors');
    case 'factors.guessed':
      return about('factors-guessed', 'factors');
    default:
      return null;
  }
}

/** `by` and `from` of the facts. */
function whoOf(actor: Actor): Readonly<Record<string, Fact>> {
  switch (actor.kind) {
    case 'person':
      return { by: 'person', from: actor.address };
    case 'administrator':
      return { by: 'administrator', from: actor.address };
    case 'operator':
      return { by: 'operator', from: null };
    case 'gateway':
      return { by: 'gateway', from: null };
    default:
      return actor satisfies never;
  }
}
