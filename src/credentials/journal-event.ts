import type { Erased } from '../store/account-erasure.ts';
import type { Scope } from './scope.ts';

/** Who did it. */
export type Actor =
  /** On the own account; `address` is the peer's. */
  | { readonly kind: 'person'; readonly address: string | null }
  | {
      readonly kind: 'administrator';
      readonly accountId: Buffer;
      readonly account: string;
      readonly address: string | null;
    }
  /** On the command line; `user` is the one of the operating system. */
  | { readonly kind: 'operator'; readonly user: string }
  /** By itself: something expired, or was guessed at too often. */
  | { readonly kind: 'gateway' };

export type FactorMethod = 'totp' | 'passkey' | 'email' | 'recovery';

interface AppPasswordFacts {
  readonly id: Buffer;
  readonly label: string;
}

/** What happened. Nothing in it is secret. */
export type JournalEvent =
  | (AppPasswordFacts & {
      readonly action: 'app-password.created';
      readonly scopes: readonly Scope[];
      readonly notAfter: number | null;
    })
  | (AppPasswordFacts & { readonly action: 'app-password.revoked' })
  | (AppPasswordFacts & {
      readonly action: 'app-password.paused' | 'app-password.resumed' | 'app-password.changed';
      /** Names of what was changed, such as `networks`. */
      readonly changed: readonly string[];
    })
  | (AppPasswordFacts & {
      readonly action: 'app-password.first-used';
      readonly protocol: string;
      readonly address: string;
      readonly client: string | null;
    })
  | { readonly action: 'app-passwords.revoked'; readonly count: number }
  | {
      readonly action:
        | 'factor.added'
        | 'factor.removed'
        | 'factor.disabled'
        | 'factor.enabled'
        | 'factor.reset';
      readonly method: FactorMethod;
      /** What the person called it; null where it has no name. */
      readonly name: string | null;
    }
  /** Every factor at once. `formerAddress` went with them and is told, and is entered nowhere. */
  | { readonly action: 'factors.reset'; readonly count: number; readonly formerAddress?: string | null }
  /** Somebody may have copied the key (S-79). */
  | {
      readonly action: 'passkey.counter-fell';
      readonly name: string | null;
      readonly outcome: 'accepted' | 'refused';
    }
  | { readonly action: 'recovery-codes.created' }
  | { readonly action: 'recovery-code.used'; readonly left: number }
  | { readonly action: 'alternate-address.changed'; readonly old: string | null; readonly new: string | null }
  | { readonly action: 'enrollment-code.created' }
  /** App passwords may be created again before the time after a recovery code is over (S-80). */
  | { readonly action: 'recovery-hold.ended' }
  /** Five wrong second factors after a right main password. */
  | { readonly action: 'factors.guessed' }
  | { readonly action: 'account.created' | 'account.disabled' | 'account.enabled' | 'account.viewed' }
  /** With everything of it; in rows. */
  | ({ readonly action: 'account.erased' } & Erased)
  /** null follows the domain. */
  | { readonly action: 'account.mfa-set'; readonly mfa: string | null }
  | {
      readonly action: 'account.password-changed';
      readonly sessionsEnded: number;
      readonly revoked: number;
    }
  /** `what`: whose, or which, where that is not the account's. */
  | { readonly action: 'sessions.ended'; readonly count: number | null; readonly what?: string }
  | {
      readonly action: 'identity.linked' | 'identity.unlinked';
      readonly issuer: string;
    }
  | { readonly action: 'throttles.cleared'; readonly what: string }
  | { readonly action: 'login-log.viewed' }
  /** Of a name that no account has. */
  | { readonly action: 'login-log.erased'; readonly loginEvents: number }
  /** Put into use; added and retired are the steps before and after it. */
  | { readonly action: 'keys.rotated'; readonly family: string }
  | { readonly action: 'keys.added' | 'keys.retired'; readonly family: string; readonly key: number }
  | { readonly action: 'database.migrated'; readonly migrations: readonly string[] }
  | { readonly action: 'database.restored'; readonly revoked: number; readonly sessionsEnded: number }
  | { readonly action: 'accounts.exported' | 'app-passwords.exported'; readonly count: number }
  | { readonly action: 'backup.made' };

export type JournalAction = JournalEvent['action'];

/** Something that happened to an account, or to the gateway as a whole. */
export interface JournalEntry {
  readonly account: { readonly id: Buffer; readonly address: string } | null;
  readonly actor: Actor;
  readonly event: JournalEvent;
  /** Why, in the words of who did it. */
  readonly reason?: string;
}

type FieldsOf<E> = readonly Exclude<keyof E, 'action'>[];

/** What of an event is kept, field by field: a field that is not named here goes nowhere (S-91). */
const kept: { readonly [E in JournalEvent as E['action']]: FieldsOf<E> } = {
  'app-password.created': ['id', 'label', 'scopes', 'notAfter'],
  'app-password.revoked': ['id', 'label'],
  'app-password.paused': ['id', 'label', 'changed'],
  'app-password.resumed': ['id', 'label', 'changed'],
  'app-password.changed': ['id', 'label', 'changed'],
  'app-password.first-used': ['id', 'label', 'protocol', 'address', 'client'],
  'app-passwords.revoked': ['count'],
  'factor.added': ['method', 'name'],
  'factor.removed': ['method', 'name'],
  'factor.disabled': ['method', 'name'],
  'factor.enabled': ['method', 'name'],
  'factor.reset': ['method', 'name'],
  'factors.reset': ['count'],
  'passkey.counter-fell': ['name', 'outcome'],
  'recovery-codes.created': [],
  'recovery-code.used': ['left'],
  'alternate-address.changed': ['old', 'new'],
  'enrollment-code.created': [],
  'recovery-hold.ended': [],
  'factors.guessed': [],
  'account.created': [],
  'account.disabled': [],
  'account.enabled': [],
  'account.viewed': [],
  'account.erased': [
    'appPasswords',
    'secondFactors',
    'recoveryCodes',
    'portalSessions',
    'identityLinks',
    'profileLinks',
    'notices',
    'loginEvents',
  ],
  'account.mfa-set': ['mfa'],
  'account.password-changed': ['sessionsEnded', 'revoked'],
  'sessions.ended': ['count', 'what'],
  'identity.linked': ['issuer'],
  'identity.unlinked': ['issuer'],
  'throttles.cleared': ['what'],
  'login-log.viewed': [],
  'login-log.erased': ['loginEvents'],
  'keys.rotated': ['family'],
  'keys.added': ['family', 'key'],
  'keys.retired': ['family', 'key'],
  'database.migrated': ['migrations'],
  'database.restored': ['revoked', 'sessionsEnded'],
  'accounts.exported': ['count'],
  'app-passwords.exported': ['count'],
  'backup.made': [],
};

/** Text, numbers and lists of text; ids as hexadecimal digits. */
export type Fact = string | number | null | readonly string[];

const maxText = 300;
const maxItems = 50;

/** The facts of an event, bounded. */
export function factsOf(event: JournalEvent): Readonly<Record<string, Fact>> {
  const fields: readonly string[] = kept[event.action];
  const values = event as unknown as Readonly<Record<string, unknown>>;
  return Object.fromEntries(fields.map((field) => [field, factOf(values[field])]));
}

function factOf(value: unknown): Fact {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (typeof value === 'number') return value;
  if (Array.isArray(value)) return value.slice(0, maxItems).map((each) => String(each).slice(0, maxText));
  return typeof value === 'string' ? value.slice(0, maxText) : null;
}
