import type { AppPasswords, AppPasswordView } from '../../credentials/app-passwords.ts';
import { noFence } from '../../credentials/fence.ts';
import type { Actor } from '../../credentials/journal-event.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Secret } from '../../secret.ts';
import { isPortalSessionThere } from '../../store/portal-sessions.ts';
import type { Account } from '../../store/schema.ts';
import { type AppPasswordWish, problemsOfWish, type WishProblem } from './app-password-wish.ts';

/** When an app password is to end. */
export type WishedEnd =
  | { readonly kind: 'never' }
  /** What the operator has set for those that say nothing. */
  | { readonly kind: 'usual' }
  | { readonly kind: 'after'; readonly ms: number }
  | { readonly kind: 'unused-for'; readonly ms: number };

/** Whose app passwords, and who asks. The actor has shown a fresh factor wherever something is opened (S-68). */
export interface Asking {
  readonly account: Account;
  readonly actor: Actor;
  /** The session in which it is asked: one that has ended meanwhile makes nothing. */
  readonly idHash: Buffer;
}

/** The secret is shown once and wiped by who shows it. */
export type Created =
  | {
      readonly kind: 'created';
      readonly id: Buffer;
      readonly secret: Secret;
      readonly row: AppPasswordView;
      /** The account had none before, not even an ended one. */
      readonly isFirst: boolean;
    }
  | { readonly kind: 'invalid'; readonly problems: readonly WishProblem[] }
  | { readonly kind: 'cap-reached'; readonly cap: number }
  | { readonly kind: 'too-many-recently'; readonly perHour: number }
  /** After a recovery code (S-80). */
  | { readonly kind: 'held'; readonly until: number }
  | { readonly kind: 'session-gone' }
  /** The store found a mistake that the wish did not show. */
  | { readonly kind: 'refused' };

export type Changed =
  | { readonly kind: 'changed'; readonly row: AppPasswordView; readonly isChanged: boolean }
  | { readonly kind: 'invalid'; readonly problems: readonly WishProblem[] }
  | { readonly kind: 'not-found' }
  | { readonly kind: 'revoked' }
  /** Not as the gateway wrote it, or by a newer version: it may be revoked, and nothing else. */
  | { readonly kind: 'unchangeable' };

/**
 * What people do with their app passwords, as values: the pages and the API turn them into texts and statuses. Every app
 * password is found by its id and the account together (S-67).
 */
export class AppPasswordActions {
  readonly #appPasswords: AppPasswords;
  readonly #logger: Logger;

  constructor(parts: { readonly appPasswords: AppPasswords; readonly logger: Logger }) {
    this.#appPasswords = parts.appPasswords;
    this.#logger = parts.logger;
  }

  /** Newest first. */
  async list(account: Account): Promise<readonly AppPasswordView[]> {
    return await this.#appPasswords.list(account.id);
  }

  /** null for an id that is malformed, unknown or somebody else's. */
  async find(account: Account, id: Buffer | null): Promise<AppPasswordView | null> {
    const found = id === null ? null : await this.#appPasswords.find(id);
    return found?.accountId.equals(account.id) === true ? found : null;
  }

  async create({ account, actor, idHash }: Asking, wish: AppPasswordWish, end: WishedEnd): Promise<Created> {
    const problems = problemsOfWish(wish);
    if (problems.length > 0) return { kind: 'invalid', problems };
    const isFirst = (await this.#appPasswords.list(account.id)).length === 0;
    const created = await this.#appPasswords.create({
      account,
      ...wish,
      expiresInMs: end.kind === 'usual' ? undefined : end.kind === 'after' ? end.ms : null,
      maxIdleMs: end.kind === 'unused-for' ? end.ms : null,
      createdBy: makerOf(actor),
      actor,
      isByOperator: actor.kind !== 'person',
      isStill: async (transaction) => isPortalSessionThere(transaction, account.id, idHash),
    });
    switch (created.kind) {
      case 'created':
        this.#log('app-password-created', account, created.id);
        return { ...created, isFirst };
      case 'cap-reached':
      case 'too-many-recently':
      case 'held':
        return created;
      case 'gone':
        return { kind: 'session-gone' };
      case 'crowded':
      case 'invalid':
        return { kind: 'refused' };
      default:
        return created satisfies never;
    }
  }

  /** Scopes, networks, fence and label. `end` null leaves the end as it is. */
  async change(
    { account, actor }: Asking,
    id: Buffer,
    wish: AppPasswordWish,
    end: WishedEnd | null,
  ): Promise<Changed> {
    const problems = problemsOfWish(wish);
    if (problems.length > 0) return { kind: 'invalid', problems };
    const change = { ...wish, ...(end === null ? {} : lifeOf(end)) };
    return await this.#update(account, id, change, 'changed', actor);
  }

  async rename({ account, actor }: Asking, id: Buffer, label: string): Promise<Changed> {
    const own = await this.find(account, id);
    if (own === null) return { kind: 'not-found' };
    const problems = problemsOfWish({ ...unlimited, scopes: own.scopes, label });
    if (problems.length > 0) return { kind: 'invalid', problems };
    return await this.#update(account, id, { label }, 'renamed', actor);
  }

  /** Ends its sessions and lets nobody in until it goes on. */
  async pause({ account, actor }: Asking, id: Buffer): Promise<Changed> {
    return await this.#update(account, id, { state: 'paused' }, 'paused', actor);
  }

  async resume({ account, actor }: Asking, id: Buffer): Promise<Changed> {
    return await this.#update(account, id, { state: 'active' }, 'resumed', actor);
  }

  async revoke({ account, actor }: Asking, id: Buffer): Promise<'revoked' | 'already-revoked' | 'not-found'> {
    const outcome = await this.#appPasswords.revoke(account.id, id, 'revoked in the portal', actor);
    if (outcome === 'revoked') this.#log('app-password-revoked', account, id);
    return outcome;
  }

  /** Answers how many there were. */
  async revokeAll({ account, actor }: Asking): Promise<number> {
    const count = await this.#appPasswords.revokeAll(account.id, 'all revoked in the portal', actor);
    this.#logger.info({ event: 'app-passwords-revoked', account: account.address, count }, 'all revoked');
    return count;
  }

  async #update(
    account: Account,
    id: Buffer,
    change: Parameters<AppPasswords['update']>[2],
    what: 'changed' | 'renamed' | 'paused' | 'resumed',
    actor: Actor,
  ): Promise<Changed> {
    const outcome = await this.#appPasswords.update(account.id, id, change, `${what} in the portal`, actor);
    switch (outcome.kind) {
      case 'updated':
        if (outcome.isChanged) this.#log(`app-password-${what}`, account, id);
        return { kind: 'changed', row: outcome.row, isChanged: outcome.isChanged };
      case 'not-found':
      case 'revoked':
        return outcome;
      case 'altered':
      case 'invalid':
        return { kind: 'unchangeable' };
      default:
        return outcome satisfies never;
    }
  }

  #log(event: string, account: Account, id: Buffer): void {
    this.#logger.info({ event, account: account.address, credential: id.toString('hex') }, event);
  }
}

const unlimited = { networks: [], fence: noFence } as const;

function lifeOf(end: WishedEnd) {
  switch (end.kind) {
    case 'never':
      return { expiresInMs: null, maxIdleMs: null };
    case 'usual':
      return {};
    case 'after':
      return { expiresInMs: end.ms, maxIdleMs: null };
    case 'unused-for':
      return { expiresInMs: null, maxIdleMs: end.ms };
    default:
      return end satisfies never;
  }
}

/** As the list of app passwords keeps it: `portal` for the person herself. */
function makerOf(actor: Actor): string {
  switch (actor.kind) {
    case 'person':
      return 'portal';
    case 'administrator':
      return `administrator:${actor.account}`;
    case 'operator':
      return `cli:${actor.user}`;
    case 'gateway':
      return 'gateway';
    default:
      return actor satisfies never;
  }
}
