import { LRUCache } from 'lru-cache';
import type { Config } from '../../config/schema.ts';
import { canonicalName } from '../../credentials/account-name.ts';
import type { AppPasswords } from '../../credentials/app-passwords.ts';
import type { Actor } from '../../credentials/journal-event.ts';
import type { SessionDirectory } from '../../credentials/session-directory.ts';
import type { AccountCare, Order } from '../../identity/account-care.ts';
import type { FullSession, SteppedUpSession } from '../../identity/portal-session.ts';
import type { EnrollmentCodes } from '../../identity/second-factor/enrollment-code.ts';
import type { Peer } from '../../identity/sign-in/imap.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Secret } from '../../secret.ts';
import { findAccountById, findAccountUnchecked, type UncheckedAccount } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import { ForgedRowError, type RowGuard } from '../../store/row-guard.ts';
import type { Account } from '../../store/schema.ts';

export const policies = ['domain', 'required', 'optional', 'off'] as const;
/** Of app passwords, where something else about the account changes. */
export const fates = ['keep', 'revoke'] as const;

/** What an administrator can do to an account, each with what it has to be told besides the reason. */
export type Act =
  | Named<'disable' | 'enable' | 'revoke-all' | 'end-sessions' | 'enrollment-code'>
  | { readonly name: 'mfa'; readonly policy: (typeof policies)[number] }
  | { readonly name: 'reset-factors' | 'password-changed'; readonly appPasswords: (typeof fates)[number] }
  | { readonly name: 'pause' | 'resume' | 'revoke'; readonly credential: Buffer };

type Named<Name extends string> = { readonly [Each in Name]: { readonly name: Each } }[Name];

/** `code`: shown once and wiped by who shows it. */
export type ActOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'code'; readonly secret: Secret; readonly until: number }
  /** The account has a second factor: a code would be good for nothing. */
  | { readonly kind: 'enrolled' }
  | { readonly kind: 'not-found' }
  /** Somebody was faster, or the row is not as the gateway wrote it. */
  | { readonly kind: 'refused' };

/** Longer ones are no reasons. */
export const maxReason = 200;
/** One look at an account, however much of it is opened. */
const sameLookMs = 15 * 60_000;

/** An account that is looked at by somebody else. */
export interface Subject {
  readonly account: UncheckedAccount;
  /** null for a row that the gateway did not write so: it may be disabled, which ends all it has, and nothing else. */
  readonly genuine: Account | null;
}

/** Whose account, and who acts on it. */
export interface Acting extends Subject {
  readonly actor: Actor;
  readonly reason: string;
}

/** What administrators do, as values, each in the audit trail with its reason (S-94). */
export class AdministrationActions {
  readonly #config: Config;
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #care: AccountCare;
  readonly #appPasswords: AppPasswords;
  readonly #enrollmentCodes: EnrollmentCodes;
  readonly #sessions: SessionDirectory | null;
  readonly #logger: Logger;
  readonly #looks: LRUCache<string, true>;

  constructor(parts: {
    readonly config: Config;
    readonly database: Database;
    readonly guard: RowGuard;
    readonly care: AccountCare;
    readonly appPasswords: AppPasswords;
    readonly enrollmentCodes: EnrollmentCodes;
    readonly sessions: SessionDirectory | null;
    readonly logger: Logger;
    readonly now: () => number;
  }) {
    this.#config = parts.config;
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#care = parts.care;
    this.#appPasswords = parts.appPasswords;
    this.#enrollmentCodes = parts.enrollmentCodes;
    this.#sessions = parts.sessions;
    this.#logger = parts.logger;
    this.#looks = new LRUCache({ max: 1_000, ttl: sameLookMs, ttlResolution: 0, perf: { now: parts.now } });
  }

  /** null for an id that nobody has. */
  async find(id: Buffer): Promise<Subject | null> {
    const account = await findAccountUnchecked(this.#database, { id });
    if (account === null) return null;
    try {
      return { account, genuine: await findAccountById(this.#database, this.#guard, id) };
    } catch (error) {
      if (error instanceof ForgedRowError) return { account, genuine: null };
      throw error;
    }
  }

  /** As {@link find}, and null for one's own: what a factor guards would be reset without another one (S-82). */
  async findOther(own: Account, id: Buffer | null): Promise<Subject | null> {
    return id === null || id.equals(own.id) ? null : await this.find(id);
  }

  /** S-94: who looked at somebody's account stands in the audit trail. Call it before anything is shown. */
  async look(session: FullSession | SteppedUpSession, { account }: Subject, peer: Peer): Promise<void> {
    if (account.id.equals(session.account.id)) return;
    const key = `${session.account.id.toString('hex')} ${account.id.toString('hex')} ${peer.address}`;
    if (this.#looks.has(key)) return;
    await this.#care.viewed(account, { actor: administratorOf(session, peer), reason: undefined });
    this.#looks.set(key, true);
  }

  /** null for what is no address of a configured domain. */
  async create(
    typed: string,
    order: Order,
  ): Promise<{ readonly account: Account; readonly created: boolean } | null> {
    const name = canonicalName(typed, null);
    if (name === null || !Object.hasOwn(this.#config.domains, name.domain)) return null;
    return await this.#care.create(name.address, order);
  }

  async perform(act: Act, acting: Acting): Promise<ActOutcome> {
    const outcome = await this.#perform(act, acting);
    this.#logger.info(
      {
        event: 'account-administered',
        act: act.name,
        outcome: outcome.kind,
        account: acting.account.address,
        by: acting.actor.kind === 'administrator' ? acting.actor.account : acting.actor.kind,
      },
      'account administered',
    );
    return outcome;
  }

  async #perform(act: Act, { account, genuine, actor, reason }: Acting): Promise<ActOutcome> {
    if (act.name === 'disable') {
      await this.#care.disable(account, { actor, reason });
      return done;
    }
    return genuine === null
      ? { kind: 'refused' }
      : await this.#performOnGenuine(act, genuine, { actor, reason });
  }

  async #performOnGenuine(
    act: Exclude<Act, { readonly name: 'disable' }>,
    account: Account,
    order: Order & { readonly reason: string },
  ): Promise<ActOutcome> {
    switch (act.name) {
      case 'revoke-all':
        await this.#appPasswords.revokeAll(account.id, order.reason, order.actor);
        return done;
      case 'end-sessions':
        if (this.#sessions === null) return { kind: 'refused' };
        await this.#care.endSessions(account, this.#sessions, order);
        return done;
      case 'enable':
        await this.#care.enable(account, order);
        return done;
      case 'mfa':
        await this.#care.setMfa(account, act.policy === 'domain' ? null : act.policy, order);
        return done;
      case 'reset-factors':
        await this.#care.resetFactors(account, act.appPasswords, order);
        return done;
      case 'password-changed':
        await this.#care.mainPasswordChanged(account, act.appPasswords, order);
        return done;
      case 'enrollment-code': {
        const made = await this.#enrollmentCodes.create(account.id, order.actor, order.reason);
        return made === null ? { kind: 'enrolled' } : { kind: 'code', ...made };
      }
      case 'pause':
      case 'resume': {
        const change = { state: act.name === 'pause' ? ('paused' as const) : ('active' as const) };
        const { reason, actor } = order;
        const outcome = await this.#appPasswords.update(account.id, act.credential, change, reason, actor);
        if (outcome.kind === 'updated') return done;
        return outcome.kind === 'not-found' ? outcome : { kind: 'refused' };
      }
      case 'revoke': {
        const outcome = await this.#appPasswords.revoke(
          account.id,
          act.credential,
          order.reason,
          order.actor,
        );
        return outcome === 'not-found' ? { kind: 'not-found' } : done;
      }
      default:
        return act satisfies never;
    }
  }
}

const done: ActOutcome = { kind: 'done' };

/** A reason as the audit trail keeps it, on one line; what is wrong with it otherwise. */
export function reasonOf(typed: string): { readonly reason: string } | 'missing' | 'too-long' {
  const reason = typed.replace(/\p{C}+/gu, ' ').trim();
  if (reason === '') return 'missing';
  return reason.length > maxReason ? 'too-long' : { reason };
}

/** As the audit trail names who acts. */
export function administratorOf(session: FullSession | SteppedUpSession, peer: Peer): Actor {
  const { id, address } = session.account;
  return { kind: 'administrator', accountId: id, account: address, address: peer.address };
}
