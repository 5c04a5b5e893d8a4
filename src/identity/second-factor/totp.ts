import { randomBytes } from 'node:crypto';
import { generateURI, ScureBase32Plugin, verify } from 'otplib';
import { type SealBox, SealError, type SealPlace } from '../../credentials/seal.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Database } from '../../store/database.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, SecondFactorRow } from '../../store/schema.ts';
import {
  confirmPendingFactor,
  findPendingFactor,
  listFactors,
  replacePendingFactor,
  spendStep,
} from '../../store/second-factors.ts';
import type { Peer } from '../sign-in/imap.ts';
import type { AddOutcome, EnrollingSession, FactorChanges } from './changes.ts';
import { type CodeCheck, digitsOf } from './code-check.ts';
import type { FactorGuesses } from './guesses.ts';

/** RFC 4226 4, R6: 160 bits. */
const seedBytes = 20;
/** RFC 6238 5.2: one step either way for clocks that differ. */
const toleranceSeconds = 30;
/** S-77 */
const pendingMs = 10 * 60_000;
const codeDigits = 6;

/** What an unfinished enrollment shows: for the eyes of its session only, and only until it is confirmed. */
export interface PendingEnrollment {
  /** Base32, as an authenticator app takes it. */
  readonly key: string;
  readonly uri: string;
}

/**
 * Authenticator apps by RFC 6238: SHA-1, six digits, 30 seconds, because the apps know nothing else reliably. Throws for a
 * factor that the gateway did not write so, or that was taken away behind its back.
 */
export class AuthenticatorApps {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #sealBox: SealBox;
  readonly #changes: FactorChanges;
  readonly #guesses: FactorGuesses;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #issuer: string;
  readonly #base32 = new ScureBase32Plugin();

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly sealBox: SealBox;
    readonly changes: FactorChanges;
    readonly guesses: FactorGuesses;
    readonly logger: Logger;
    readonly now: () => number;
    /** What the authenticator app shows beside the address. */
    readonly issuer: string;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#sealBox = parts.sealBox;
    this.#changes = parts.changes;
    this.#guesses = parts.guesses;
    this.#logger = parts.logger;
    this.#now = parts.now;
    this.#issuer = parts.issuer;
  }

  /** Draws a new seed for this session. */
  async begin(session: EnrollingSession): Promise<void> {
    const id = pendingId(session);
    const seed = randomBytes(seedBytes);
    const now = this.#now();
    await replacePendingFactor(this.#database, this.#guard, {
      id,
      accountId: session.account.id,
      sealed: this.#sealBox.seal(sealPlace(id, session.account.id), seed),
      now,
      deadBefore: now - pendingMs,
    });
    seed.fill(0);
  }

  /** null when none was begun in this session, or it died. */
  async pending(session: EnrollingSession): Promise<PendingEnrollment | null> {
    const factor = await this.#findPending(session);
    if (factor === null) return null;
    const seed = this.#open(factor);
    const key = this.#base32.encode(seed, { padding: false });
    seed.fill(0);
    return { key, uri: generateURI({ issuer: this.#issuer, label: session.account.address, secret: key }) };
  }

  /**
   * Finishes the enrollment with a first code, whose step is spent by it. Guesses are not counted here: the session that
   * guesses was shown the seed.
   */
  async confirm(
    session: EnrollingSession,
    peer: Peer,
    code: string,
    name = '',
  ): Promise<AddOutcome | 'wrong' | 'malformed'> {
    const digits = digitsOf(code, codeDigits);
    if (digits === null) return 'malformed';
    const factor = await this.#findPending(session);
    if (factor === null) return 'gone';
    const step = await this.#stepOf(factor, digits);
    if (step === null) return 'wrong';
    const now = this.#now();
    const proof = { step, now, lifeMs: pendingMs, name };
    return await this.#changes.add(
      session,
      peer,
      'totp',
      async (transaction) => confirmPendingFactor(transaction, this.#guard, factor, proof),
      [{ action: 'factor.added', method: 'totp', name: name || null }],
    );
  }

  /** Checks a code against the account's apps, spends its step, and keeps the guess limits over all sessions. */
  async check(account: Account, code: string): Promise<CodeCheck> {
    const digits = digitsOf(code, codeDigits);
    if (digits === null) return { kind: 'malformed' };
    const factors = await listFactors(this.#database, this.#guard, account.id);
    const counted: { readonly factor: SecondFactorRow; readonly guess: number }[] = [];
    const takeBack = async () => {
      for (const { factor, guess } of counted) await this.#guesses.takeBack(factor, guess);
    };
    for (const factor of factors) {
      if (factor.kind !== 'totp' || factor.disabled_at !== null) continue;
      const admission = await this.#guesses.admit(factor);
      if (admission.kind === 'counted') counted.push({ factor, guess: admission.guess });
      else if (admission.kind === 'throttled') {
        await takeBack();
        return admission;
      }
    }
    let isSpent = false;
    const closed = new Set<SecondFactorRow>();
    for (const { factor, guess } of counted) {
      const step = await this.#stepOrClosed(factor, digits);
      if (step === 'closed') {
        closed.add(factor);
        await this.#guesses.takeBack(factor, guess);
      }
      if (step === null || step === 'closed') continue;
      if (await spendStep(this.#database, factor.id, step, this.#now())) {
        await takeBack();
        return { kind: 'right' };
      }
      isSpent = true;
    }
    let isAnyLeft = false;
    for (const { factor } of counted) {
      if (!closed.has(factor) && !(await this.#guesses.enterWrong(account, factor))) isAnyLeft = true;
    }
    // It may have been the code of one that nobody here could look at.
    if (closed.size > 0) return { kind: 'unavailable' };
    if (!isAnyLeft) return { kind: 'disabled' };
    return { kind: isSpent ? 'used' : 'wrong' };
  }

  async #findPending(session: EnrollingSession): Promise<SecondFactorRow | null> {
    return await findPendingFactor(this.#database, this.#guard, {
      id: pendingId(session),
      accountId: session.account.id,
      now: this.#now(),
      lifeMs: pendingMs,
    });
  }

  /** As {@link #stepOf}; `closed` where the seed does not open, as under a key that this node was not given (S-39). */
  async #stepOrClosed(factor: SecondFactorRow, digits: string): Promise<number | 'closed' | null> {
    try {
      return await this.#stepOf(factor, digits);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      const fields = {
        event: 'integrity-alarm',
        table: 'second_factor',
        account: factor.account_id.toString('hex'),
      };
      this.#logger.error({ ...fields, detail: error.message }, 'a seed does not open');
      return 'closed';
    }
  }

  /** The time step the digits belong to, spent or not; null for none. */
  async #stepOf(factor: SecondFactorRow, digits: string): Promise<number | null> {
    const seed = this.#open(factor);
    try {
      const result = await verify({
        secret: seed,
        token: digits,
        epoch: Math.floor(this.#now() / 1_000),
        epochTolerance: toleranceSeconds,
      });
      return result.valid && 'timeStep' in result ? result.timeStep : null;
    } finally {
      seed.fill(0);
    }
  }

  #open(factor: SecondFactorRow): Buffer {
    return this.#sealBox.open(sealPlace(factor.id, factor.account_id), factor.sealed);
  }
}

/**
 * One unfinished enrollment per session, found by the session alone: two people who know the main password can never be
 * shown each other's seed. The id stays the factor's; sessions change theirs with each factor added.
 */
function pendingId(session: EnrollingSession): Buffer {
  return session.idHash.subarray(0, 16);
}

function sealPlace(rowId: Buffer, accountId: Buffer): SealPlace {
  return { purpose: 'totp-seed', table: 'second_factor', column: 'sealed', rowId, accountId };
}
