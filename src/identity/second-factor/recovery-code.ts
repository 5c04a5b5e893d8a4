import { randomBytes, randomInt } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import type { Journal } from '../../credentials/journal.ts';
import type { KeyRing } from '../../credentials/key-file.ts';
import { networkOf } from '../../credentials/network.ts';
import type { PasswordHash } from '../../credentials/password-hash.ts';
import { selectorOf } from '../../credentials/selector.ts';
import { Secret } from '../../secret.ts';
import { findAccountById, lockAccount, setHold } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import { isPortalSessionThere } from '../../store/portal-sessions.ts';
import {
  countRecoveryCodes,
  deleteRecoveryCode,
  findRecoveryCodes,
  insertRecoveryCodes,
  markRecoveryCodesSaved,
} from '../../store/recovery-codes.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, RecoveryCodeRow, SecondFactorRow } from '../../store/schema.ts';
import { deleteFactor, insertFactor, listFactors, markFactorUsed } from '../../store/second-factors.ts';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from '../sign-in/imap.ts';
import type { FactorChanges } from './changes.ts';
import { type CodeCheck, codeSymbols, groupedSymbols, symbolsOf } from './code-check.ts';
import type { FactorGuesses } from './guesses.ts';

const codesInSet = 10;
const symbolsInCode = 16;

/** How an account stands with its recovery codes; `isSaved` when the person has said so. */
export interface RecoveryState {
  readonly left: number;
  readonly isSaved: boolean;
}

/** Ten codes for the day the phone is gone: each opens, once, the enrollment of a new factor, and nothing else (S-80). */
export class RecoveryCodes {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #keys: KeyRing;
  readonly #passwordHash: PasswordHash;
  readonly #changes: FactorChanges;
  readonly #guesses: FactorGuesses;
  readonly #journal: Journal;
  readonly #holdMs: number;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    readonly changes: FactorChanges;
    readonly guesses: FactorGuesses;
    readonly journal: Journal;
    readonly config: Pick<Config, 'secondFactors'>;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#keys = parts.keys;
    this.#passwordHash = parts.passwordHash;
    this.#changes = parts.changes;
    this.#guesses = parts.guesses;
    this.#journal = parts.journal;
    this.#holdMs = parts.config.secondFactors.recoveryHoldMs;
    this.#now = parts.now;
  }

  /** null where there is no set. */
  async stateOf(factors: readonly SecondFactorRow[]): Promise<RecoveryState | null> {
    const set = setOf(factors);
    if (set === null) return null;
    return { left: await countRecoveryCodes(this.#database, set.id), isSaved: set.saved_at !== null };
  }

  /**
   * Puts a new set in place of the old one and answers its codes, to be shown once and wiped by who shows them. null when the
   * session is over.
   */
  async renew(session: SteppedUpSession, peer: Peer): Promise<readonly Secret[] | null> {
    const setId = randomBytes(16);
    const drawn = await this.#draw(session.account, setId);
    const now = this.#now();
    const outcome = await this.#changes.change(session, peer, async (transaction, factors) => {
      const old = setOf(factors);
      if (old !== null) await deleteFactor(transaction, session.account.id, old.id);
      await insertFactor(transaction, this.#guard, {
        id: setId,
        account_id: session.account.id,
        kind: 'recovery',
        confirmed_at: now,
        created_at: now,
      });
      await insertRecoveryCodes(
        transaction,
        this.#guard,
        drawn.map(({ row }) => row),
      );
      return { outcome: 'renewed', events: [{ action: 'recovery-codes.created' }] };
    });
    if (outcome === 'renewed') return drawn.map(({ secret }) => secret);
    for (const { secret } of drawn) secret.wipe();
    return null;
  }

  async markSaved(account: Account): Promise<void> {
    const set = setOf(await listFactors(this.#database, this.#guard, account.id));
    if (set !== null) await markRecoveryCodesSaved(this.#database, set.id, this.#now());
  }

  /** Spends a code. After a right one the account creates no app password for a while. */
  async check(
    session: FirstFactorSession | FullSession | SteppedUpSession,
    peer: Peer,
    code: string,
  ): Promise<CodeCheck> {
    const { account } = session;
    const symbols = symbolsOf(code);
    if (symbols === null) return { kind: 'malformed' };
    const set = setOf(await listFactors(this.#database, this.#guard, account.id));
    if (set === null || set.disabled_at !== null) return { kind: 'disabled' };
    const admission = await this.#guesses.admit(set);
    if (admission.kind !== 'counted') return admission;
    const secret = Secret.fromText(symbols);
    try {
      const match = await this.#match(account, peer, set, secret);
      if (match === 'unavailable') {
        await this.#guesses.takeBack(set, admission.guess);
        return { kind: 'unavailable' };
      }
      if (match !== null && (await this.#spend(session, peer, set, match))) {
        await this.#guesses.takeBack(set, admission.guess);
        return { kind: 'right' };
      }
    } finally {
      secret.wipe();
    }
    // A spent one is gone: nobody can tell it from a wrong one.
    const isDisabled = await this.#guesses.enterWrong(account, set);
    return { kind: isDisabled ? 'disabled' : 'wrong' };
  }

  async #match(
    account: Account,
    peer: Peer,
    set: SecondFactorRow,
    secret: Secret,
  ): Promise<RecoveryCodeRow | 'unavailable' | null> {
    const selectors = this.#keys.ids('pepper').flatMap((pepperVersion) => {
      const selector = selectorOf(this.#keys, pepperVersion, account.id, secret, 'recovery-code');
      return selector === null ? [] : [{ pepperVersion, selector }];
    });
    const of = { factorId: set.id, accountId: account.id };
    const place = { account: account.id.toString('hex'), network: networkOf(peer.address) };
    for (const row of await findRecoveryCodes(this.#database, this.#guard, of, selectors)) {
      const hash = { phc: row.phc, pepperVersion: row.pepper_version };
      const outcome = await this.#passwordHash.matches(secret, hash, place, 'recovery-code');
      if (outcome === 'match') return row;
      // A row that asks for what this program never writes carries no MAC of ours: it was refused above.
      if (outcome === 'busy' || outcome === 'unusable') return 'unavailable';
    }
    return null;
  }

  async #spend(
    session: FirstFactorSession | FullSession | SteppedUpSession,
    peer: Peer,
    set: SecondFactorRow,
    row: RecoveryCodeRow,
  ): Promise<boolean> {
    const now = this.#now();
    return await this.#database.transaction().execute(async (transaction) => {
      const { id } = session.account;
      await lockAccount(transaction, id);
      if (!(await isPortalSessionThere(transaction, id, session.idHash))) return false;
      const account = await findAccountById(transaction, this.#guard, id);
      if (account === null || account.state !== 'active') return false;
      if (!(await markFactorUsed(transaction, set.id, now))) return false;
      if (!(await deleteRecoveryCode(transaction, row.id))) return false;
      const until = Math.max(account.hold_until ?? 0, now + this.#holdMs);
      if (this.#holdMs > 0) await setHold(transaction, this.#guard, account, until);
      const left = await countRecoveryCodes(transaction, set.id);
      const actor = { kind: 'person', address: peer.address } as const;
      await this.#journal.record(transaction, {
        account,
        actor,
        event: { action: 'recovery-code.used', left },
      });
      return true;
    });
  }

  async #draw(
    account: Account,
    setId: Buffer,
  ): Promise<readonly { readonly secret: Secret; readonly row: Omit<RecoveryCodeRow, 'row_mac'> }[]> {
    const drawn: { secret: Secret; row: Omit<RecoveryCodeRow, 'row_mac'> }[] = [];
    while (drawn.length < codesInSet) {
      const secret = drawRecoveryCode();
      const { phc, pepperVersion } = await this.#passwordHash.hash(secret, 'recovery-code');
      const selector = selectorOf(this.#keys, pepperVersion, account.id, secret, 'recovery-code');
      if (selector === null) throw new Error('the active pepper cannot be derived');
      if (drawn.some(({ row }) => row.selector === selector)) continue;
      const row = { id: randomBytes(16), factor_id: setId, pepper_version: pepperVersion, selector, phc };
      drawn.push({ secret, row });
    }
    return drawn;
  }
}

/** Sixteen symbols with at least two digits, so that none has the shape of an app password. */
export function drawRecoveryCode(): Secret {
  for (;;) {
    const symbols = Buffer.alloc(symbolsInCode);
    let digits = 0;
    for (let index = 0; index < symbolsInCode; index += 1) {
      const drawn = randomInt(codeSymbols.length);
      if (drawn < 10) digits += 1;
      symbols[index] = codeSymbols.charCodeAt(drawn);
    }
    if (digits >= 2) return new Secret(symbols);
  }
}

/** As people read it: `7KQ2-9F3M-XT4D-8HVN`. A string, so only for the one place that shows it. */
export function formatRecoveryCode(secret: Secret): string {
  return groupedSymbols(secret.text());
}

function setOf(factors: readonly SecondFactorRow[]): SecondFactorRow | null {
  return factors.find(({ kind }) => kind === 'recovery') ?? null;
}
