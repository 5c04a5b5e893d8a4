import type { Actor, Journal } from '../../credentials/journal.ts';
import { networkOf } from '../../credentials/network.ts';
import type { PasswordHash } from '../../credentials/password-hash.ts';
import { Secret } from '../../secret.ts';
import { findAccountById, lockAccount } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import {
  countEnrollmentTry,
  deleteEnrollmentCode,
  replaceEnrollmentCode,
  takeBackEnrollmentTry,
} from '../../store/enrollment-codes.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account } from '../../store/schema.ts';
import type { Peer } from '../sign-in/imap.ts';
import { type CodeCheck, symbolsOf } from './code-check.ts';
import { drawRecoveryCode } from './recovery-code.ts';

const lifeMs = 7 * 24 * 3_600_000;
/** S-74, requirements 4.3 */
const limits = { lifeMs, tries: 10, spellMs: 15 * 60_000, triesInSpell: 5 };

/** Codes from the operator's hand, which open the first enrollment (S-74). */
export class EnrollmentCodes {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #passwordHash: PasswordHash;
  readonly #journal: Journal;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly passwordHash: PasswordHash;
    readonly journal: Journal;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#passwordHash = parts.passwordHash;
    this.#journal = parts.journal;
    this.#now = parts.now;
  }

  /**
   * A new code in place of the account's last one, good until `until`; the secret is shown once and wiped by who shows it.
   * null for an account that has enrolled: a code would be good for nothing.
   */
  async create(
    accountId: Buffer,
    actor: Actor,
    reason?: string,
  ): Promise<{ readonly secret: Secret; readonly until: number } | null> {
    const secret = drawRecoveryCode();
    const { phc, pepperVersion } = await this.#passwordHash.hash(secret, 'enrollment-code');
    const now = this.#now();
    const until = now + lifeMs;
    const isMade = await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, accountId);
      const account = await findAccountById(transaction, this.#guard, accountId);
      if (account === null || account.enrolled_at !== null) return false;
      const code = { account_id: accountId, pepper_version: pepperVersion, phc, not_after: until };
      await replaceEnrollmentCode(transaction, this.#guard, code, now);
      await this.#journal.record(transaction, {
        account,
        actor,
        event: { action: 'enrollment-code.created' },
        ...(reason === undefined ? {} : { reason }),
      });
      return true;
    });
    if (isMade) return { secret, until };
    secret.wipe();
    return null;
  }

  /** Spends a code: of many posts of one, one hears `right`. `disabled`: there is none, or it was tried too often. */
  async check(account: Account, peer: Peer, code: string): Promise<CodeCheck> {
    const symbols = symbolsOf(code);
    if (symbols === null) return { kind: 'malformed' };
    const counted = await countEnrollmentTry(this.#database, this.#guard, account.id, this.#now(), limits);
    if (counted.kind === 'none') return { kind: 'disabled' };
    if (counted.kind === 'throttled') return counted;
    const { row } = counted;
    const secret = Secret.fromText(symbols);
    const place = { account: account.id.toString('hex'), network: networkOf(peer.address) };
    const hash = { phc: row.phc, pepperVersion: row.pepper_version };
    const match = await this.#passwordHash.matches(secret, hash, place, 'enrollment-code');
    secret.wipe();
    if (match === 'busy' || match === 'unusable') {
      await takeBackEnrollmentTry(this.#database, account.id);
      return { kind: 'unavailable' };
    }
    if (match !== 'match') return { kind: 'wrong' };
    const isFirst = await deleteEnrollmentCode(this.#database, account.id, row.row_mac);
    return { kind: isFirst ? 'right' : 'used' };
  }
}
