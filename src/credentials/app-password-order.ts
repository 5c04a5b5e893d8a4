import type { Secret } from '../secret.ts';
import type { Database } from '../store/database.ts';
import type { Account } from '../store/schema.ts';
import type { AppPasswordView, WantedLife } from './app-password-grant.ts';
import type { Fence } from './fence.ts';
import type { Actor } from './journal-event.ts';
import type { Scope } from './scope.ts';

/** What to make. undefined takes the configured expiry and time for a first use, and no limit of time without a use. */
export interface AppPasswordOrder extends WantedLife {
  readonly account: Account;
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly networks: readonly string[];
  /** undefined fences nothing. */
  readonly fence?: Fence;
  /** For the audit: `portal`, or who ran the command. */
  readonly createdBy: string;
  readonly actor: Actor;
  /** Why, in the words of who asked for it. */
  readonly reason?: string;
  /** Operators set up many devices at once: only the cap holds them. */
  readonly isByOperator?: boolean;
  /**
   * Whether what it was ordered by is still there, such as a session: asked in the transaction that makes it, which holds the
   * account. Hashing takes a while, and who ends everything in it must not find something new afterwards.
   */
  readonly isStill?: (transaction: Database) => Promise<boolean>;
}

/** `problem` is a sentence for the person. The secret is shown once and wiped by who shows it. */
export type CreateOutcome =
  | { readonly kind: 'created'; readonly id: Buffer; readonly secret: Secret; readonly row: AppPasswordView }
  | { readonly kind: 'cap-reached'; readonly cap: number }
  /** Live or not, within the last hour. */
  | { readonly kind: 'too-many-recently'; readonly perHour: number }
  /** A recovery code was used: only an operator makes one before `until` (S-80). */
  | { readonly kind: 'held'; readonly until: number }
  /** The account was disabled meanwhile, or what it was ordered by has ended. */
  | { readonly kind: 'gone' }
  /** So many were made that hardly any selector is left; `app_passwords.keep_ended` frees those of ended ones. */
  | { readonly kind: 'crowded' }
  | { readonly kind: 'invalid'; readonly problem: string };
