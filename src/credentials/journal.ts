import { lockAccount } from '../store/accounts.ts';
import { type Database, within } from '../store/database.ts';
import type { AuditTrail } from './audit-trail.ts';
import { type Actor, factsOf, type JournalEntry, type JournalEvent } from './journal-event.ts';
import type { Notices } from './notices.ts';

export type { Actor, JournalEntry, JournalEvent };

const maxReason = 500;
const maxName = 320;

/** Tells the audit trail what happened, and the person where they must hear of it (S-83, S-92, S-94). */
export class Journal {
  readonly #audit: AuditTrail;
  readonly #notices: Notices | null;

  constructor(parts: {
    readonly audit: AuditTrail;
    /** null where people are told nothing. */
    readonly notices: Notices | null;
  }) {
    this.#audit = parts.audit;
    this.#notices = parts.notices;
  }

  /**
   * In the transaction that makes the change, and as its last step, so that the change, its entry and its notice stand or
   * fall together and nobody waits long for the chain. Without a transaction it makes one of its own.
   */
  async record(database: Database, entry: JournalEntry): Promise<void> {
    const { account, event, reason } = entry;
    await within(database, async (transaction) => {
      // Always before the chain, so that no two wait for each other; and what is counted of the account stays true (S-23).
      if (account !== null) await lockAccount(transaction, account.id);
      await this.#notices?.post(transaction, entry);
      await this.#audit.append(transaction, {
        actor: describe(entry.actor),
        action: event.action,
        account,
        object: factsOf(event),
        reason: reason?.slice(0, maxReason) ?? null,
      });
    });
  }
}

function describe(actor: Actor): Readonly<Record<string, unknown>> {
  switch (actor.kind) {
    case 'person':
      return { kind: 'person', address: actor.address };
    case 'administrator':
      return {
        kind: 'administrator',
        id: actor.accountId.toString('hex'),
        account: actor.account.slice(0, maxName),
        address: actor.address,
      };
    case 'operator':
      return { kind: 'operator', user: actor.user.slice(0, maxName) };
    case 'gateway':
      return { kind: 'gateway' };
    default:
      return actor satisfies never;
  }
}
