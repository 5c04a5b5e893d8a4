import type { Journal, JournalEvent } from '../../credentials/journal.ts';
import { findAccountById, lockAccount, markEnrolled } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import { deleteEnrollmentCode } from '../../store/enrollment-codes.ts';
import { deletePortalSessionsOf, isPortalSessionThere } from '../../store/portal-sessions.ts';
import { deleteOpenProfileLinks } from '../../store/profile-links.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, SecondFactorRow } from '../../store/schema.ts';
import { deleteFactor, deletePendingFactors, isStanding, listFactors } from '../../store/second-factors.ts';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from '../sign-in/imap.ts';
import type { EnrollmentGate } from './enrollment-gate.ts';

/** A session that may enroll: the first factor, a new one after a recovery code, or one more beside those there are. */
export type EnrollingSession = FirstFactorSession | SteppedUpSession;

/** requirements 4.3. A code is held against every authenticator app of the account, so few. */
export const mostOfKind = { totp: 3, passkey: 10, email: 1, recovery: 1 } as const;

export type AddOutcome =
  | 'added'
  /** The session is over, another one was first, or what was begun has died. */
  | 'gone'
  | 'full'
  /** The gate of the first enrollment lets this session in no more (S-74). */
  | 'closed';

/** The one way in which factors come into being and go: what goes with it happens in the same transaction (S-82). */
export class FactorChanges {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #gate: EnrollmentGate;
  readonly #journal: Journal;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly gate: EnrollmentGate;
    readonly journal: Journal;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#gate = parts.gate;
    this.#journal = parts.journal;
    this.#now = parts.now;
  }

  /**
   * Adds a factor by `insert`, which answers false where what was begun is gone, takes the one it replaces, and ends the
   * account's other sessions. Of several sessions that enroll a first factor at once, one gets it.
   */
  async add(
    session: EnrollingSession,
    peer: Peer,
    kind: SecondFactorRow['kind'],
    insert: (transaction: Database) => Promise<boolean>,
    events: readonly JournalEvent[],
    replaced: SecondFactorRow | null = null,
  ): Promise<AddOutcome> {
    if (this.#gate.decide(session, peer).kind !== 'open') return 'closed';
    return await this.#change(session, peer, async (transaction, account) => {
      // Stepped up, it may be the first one as well: of somebody whose identity provider asked for a second factor.
      const isFirst = account.enrolled_at === null;
      const isWanted = session.level === 'stepped-up' || isFirst === (session.opened !== 'recovery');
      if (!isWanted) return { outcome: 'gone', events: [] };
      // An address is never what an account stands on, and a recovery code replaces what it stands on (S-80, S-81).
      const isBeside = session.level === 'stepped-up' && !isFirst;
      if (!isBeside && !isStanding({ kind })) return { outcome: 'gone', events: [] };
      if (replaced !== null) await deleteFactor(transaction, account.id, replaced.id);
      const factors = await listFactors(transaction, this.#guard, account.id);
      if (factors.filter((each) => each.kind === kind).length >= mostOfKind[kind]) {
        return { outcome: 'full', events: [] };
      }
      if (!(await insert(transaction))) return { outcome: 'gone', events: [] };
      await deletePendingFactors(transaction, account.id);
      await endWhatFactorsOpened(transaction, session);
      if (isFirst) {
        await markEnrolled(transaction, this.#guard, account, this.#now());
        await deleteEnrollmentCode(transaction, account.id, null);
      }
      return { outcome: 'added', events };
    });
  }

  /**
   * Changes something about the account's factors, by what `work` says of them as they are now, and enters the events it
   * answers. `gone`: the session is over.
   */
  async change<O>(
    session: FullSession | SteppedUpSession,
    peer: Peer,
    work: (
      transaction: Database,
      factors: readonly SecondFactorRow[],
    ) => Promise<{ readonly outcome: O; readonly events: readonly JournalEvent[] }>,
  ): Promise<O | 'gone'> {
    return await this.#change(session, peer, async (transaction, account) =>
      work(transaction, await listFactors(transaction, this.#guard, account.id)),
    );
  }

  async #change<O>(
    session: EnrollingSession | FullSession,
    peer: Peer,
    work: (
      transaction: Database,
      account: Account,
    ) => Promise<{ readonly outcome: O; readonly events: readonly JournalEvent[] }>,
  ): Promise<O | 'gone'> {
    return await this.#database.transaction().execute(async (transaction) => {
      const { id } = session.account;
      await lockAccount(transaction, id);
      // A reset meanwhile has ended the session: nothing of it may come after.
      if (!(await isPortalSessionThere(transaction, id, session.idHash))) return 'gone';
      const account = await findAccountById(transaction, this.#guard, id);
      if (account === null || account.state !== 'active') return 'gone';
      const { outcome, events } = await work(transaction, account);
      for (const event of events) {
        const actor = { kind: 'person', address: peer.address } as const;
        await this.#journal.record(transaction, { account, actor, event });
      }
      return outcome;
    });
  }
}

/** S-82: the account's other sessions, and links that were made and not used yet. */
export async function endWhatFactorsOpened(
  transaction: Database,
  { account, idHash }: EnrollingSession,
): Promise<void> {
  await deletePortalSessionsOf(transaction, account.id, idHash);
  await deleteOpenProfileLinks(transaction, account.id);
}
