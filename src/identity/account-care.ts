import type { AppPasswords } from '../credentials/app-passwords.ts';
import type { Actor, Journal, JournalEvent } from '../credentials/journal.ts';
import type { RevocationFeed } from '../credentials/revocation.ts';
import type { SessionDirectory, SessionEnding } from '../credentials/session-directory.ts';
import { type Erased, eraseAccount, eraseLoginEvents, forgetDeleted } from '../store/account-erasure.ts';
import {
  createAccount,
  disableAccount,
  enableAccount,
  resetSecondFactors,
  setAccountMfa,
} from '../store/accounts.ts';
import type { Database } from '../store/database.ts';
import { alternateAddresses } from '../store/notices.ts';
import { deletePortalSessionsOf } from '../store/portal-sessions.ts';
import { ForgedRowError, type RowGuard } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';

/** Whose account. A forged row is enough for what ends something. */
export type Cared = Pick<Account, 'id' | 'address'>;

/** Who orders it, and why: both stand in the audit trail (S-94). */
export interface Order {
  readonly actor: Actor;
  readonly reason: string | undefined;
}

/**
 * What is done to somebody's account by others: on the command line, by administrators, by the API. Each change and its
 * entry in the audit trail are one transaction. Nothing here shows or makes a secret of the person's.
 */
export class AccountCare {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #appPasswords: AppPasswords;
  readonly #revocations: Pick<RevocationFeed, 'announce'> | null;
  readonly #journal: Journal;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly appPasswords: AppPasswords;
    /** null where no gateway is to hear of it. */
    readonly revocations: Pick<RevocationFeed, 'announce'> | null;
    readonly journal: Journal;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#appPasswords = parts.appPasswords;
    this.#revocations = parts.revocations;
    this.#journal = parts.journal;
    this.#now = parts.now;
  }

  /** Answers the existing account where there is one. The caller has checked that its domain is a configured one. */
  async create(
    address: string,
    order: Order,
  ): Promise<{ readonly account: Account; readonly created: boolean }> {
    return await this.#database.transaction().execute(async (transaction) => {
      const outcome = await createAccount(transaction, this.#guard, address, this.#now());
      if (outcome.created)
        await this.#record(transaction, outcome.account, { action: 'account.created' }, order);
      return outcome;
    });
  }

  /** Refuses every login and ends every session, the browser's too. */
  async disable(account: Cared, order: Order): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await disableAccount(transaction, this.#guard, account.id, this.#now());
      await deletePortalSessionsOf(transaction, account.id, null);
      await this.#record(transaction, account, { action: 'account.disabled' }, order);
    });
    await this.#revocations?.announce();
  }

  async enable(account: Cared, order: Order): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await enableAccount(transaction, this.#guard, account.id);
      await this.#record(transaction, account, { action: 'account.enabled' }, order);
    });
  }

  /** null follows the domain. */
  async setMfa(account: Cared, mfa: Account['mfa'], order: Order): Promise<void> {
    await this.#database.transaction().execute(async (transaction) => {
      await setAccountMfa(transaction, this.#guard, account.id, mfa);
      await this.#record(transaction, account, { action: 'account.mfa-set', mfa }, order);
    });
  }

  /** S-82: takes every second factor. Left alive, app passwords would keep an intruder in, so who orders it says which. */
  async resetFactors(
    account: Cared,
    appPasswords: 'keep' | 'revoke',
    order: Order,
  ): Promise<{ readonly factorsRemoved: number; readonly revoked: number }> {
    const factorsRemoved = await this.#database.transaction().execute(async (transaction) => {
      // Before it goes: a reset is heard of where who reads the mailbox cannot keep it from being heard (S-83).
      const formerAddress = await this.#alternateAddress(transaction, account);
      const count = await resetSecondFactors(transaction, this.#guard, account.id);
      await this.#record(transaction, account, { action: 'factors.reset', count, formerAddress }, order);
      return count;
    });
    const revoked =
      appPasswords === 'revoke'
        ? await this.#appPasswords.revokeAll(account.id, order.reason ?? 'MFA reset', order.actor)
        : 0;
    return { factorsRemoved, revoked };
  }

  /** Somebody else may have had it: ends the browser's sessions, and the app passwords where that is said. */
  async mainPasswordChanged(
    account: Cared,
    appPasswords: 'keep' | 'revoke',
    { actor, reason = 'main password changed' }: Order,
  ): Promise<{ readonly sessionsEnded: number; readonly revoked: number }> {
    const order = { appPasswords, exceptSession: null, reason, actor };
    return await this.#appPasswords.mainPasswordChanged(account.id, order);
  }

  /**
   * Deletes the account and all that is of it, at once and for good (S-36). What the audit trail says of it stays, address
   * included: its entries cannot be changed. A later sign-in makes another account. null where it is gone already.
   */
  async erase(account: Cared, order: Order): Promise<Erased | null> {
    const erased = await this.#database.transaction().execute(async (transaction) => {
      const rows = await eraseAccount(transaction, account, this.#now());
      if (rows === null) return null;
      await this.#record(transaction, account, { action: 'account.erased', ...rows }, order);
      return rows;
    });
    if (erased === null) return null;
    await this.#revocations?.announce();
    await forgetDeleted(this.#database);
    return erased;
  }

  /** What was logged of a name that no account has. Answers how many rows. */
  async eraseName(address: string, { actor, reason }: Order): Promise<number> {
    const loginEvents = await this.#database.transaction().execute(async (transaction) => {
      const rows = await eraseLoginEvents(transaction, address);
      const event = { action: 'login-log.erased', loginEvents: rows } as const;
      const why = reason === undefined ? {} : { reason };
      if (rows > 0) await this.#journal.record(transaction, { account: null, actor, event, ...why });
      return rows;
    });
    await forgetDeleted(this.#database);
    return loginEvents;
  }

  /** Ends the live mail sessions of every node, and the browser's. They may come back at once: nothing is revoked. */
  async endSessions(account: Cared, sessions: SessionDirectory, order: Order): Promise<SessionEnding> {
    await this.#database.transaction().execute(async (transaction) => {
      await deletePortalSessionsOf(transaction, account.id, null);
      await this.#record(transaction, account, { action: 'sessions.ended', count: null }, order);
    });
    const accountId = account.id.toString('hex');
    return await sessions.end(
      { by: 'owner', accountId, session: null },
      order.reason?.slice(0, 200) ?? 'ended by an administrator',
    );
  }

  /** Says in the audit trail that somebody else looked at the account. */
  async viewed(account: Cared, order: Order): Promise<void> {
    await this.#record(this.#database, account, { action: 'account.viewed' }, order);
  }

  /** null also for one that the gateway did not write. */
  async #alternateAddress(transaction: Database, { id }: Cared): Promise<string | null> {
    try {
      const [address = null] = await alternateAddresses(transaction, this.#guard, id);
      return address;
    } catch (error) {
      if (error instanceof ForgedRowError) return null;
      throw error;
    }
  }

  async #record(database: Database, account: Cared, event: JournalEvent, order: Order): Promise<void> {
    const { actor, reason } = order;
    await this.#journal.record(database, {
      account: { id: account.id, address: account.address },
      actor,
      event,
      ...(reason === undefined ? {} : { reason }),
    });
  }
}
