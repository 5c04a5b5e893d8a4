import { randomBytes } from 'node:crypto';
import { generateURI, ScureBase32Plugin, verify } from 'otplib';
import type { SealBox, SealPlace } from '../../credentials/seal.ts';
import type { Database } from '../../store/database.ts';
import { countGuess, guessesAllowedAt, recordWrongGuess, takeBackGuess } from '../../store/factor-guesses.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, SecondFactorRow } from '../../store/schema.ts';
import {
  confirmFactor,
  deletePendingFactors,
  findConfirmedFactor,
  findPendingFactor,
  replacePendingFactor,
  spendStep,
} from '../../store/second-factors.ts';
import type { FirstFactorSession } from '../portal-session.ts';

/** RFC 4226 4, R6: 160 bits. */
const seedBytes = 20;
/** RFC 6238 5.2: one step either way for clocks that differ. */
const toleranceSeconds = 30;
/** S-77 */
const pendingMs = 10 * 60_000;
/** S-76, requirements 4.3 */
const shortWindows = [
  { windowMs: 15 * 60_000, guesses: 5 },
  { windowMs: 24 * 3_600_000, guesses: 20 },
];
const disableAt = { consecutive: 50, long: { windowMs: 30 * 24 * 3_600_000, guesses: 100 } };

/** How an account stands with its second factor. */
export type FactorState = 'none' | 'active' | 'disabled';

/** What an unfinished enrollment shows: for the eyes of its session only, and only until it is confirmed. */
export interface PendingEnrollment {
  /** Base32, as an authenticator app takes it. */
  readonly key: string;
  readonly uri: string;
}

/** `used`: right, but its time step or a later one was spent. `malformed` counts nowhere. */
export type CodeCheck =
  | { readonly kind: 'right' }
  | { readonly kind: 'wrong' | 'used' | 'malformed' | 'disabled' }
  | { readonly kind: 'throttled'; readonly until: number };

/**
 * Authenticator apps by RFC 6238: SHA-1, six digits, 30 seconds, because the apps know nothing else reliably. Throws for a
 * factor that the gateway did not write so, or that was taken away behind its back.
 */
export class TotpFactors {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #sealBox: SealBox;
  readonly #now: () => number;
  readonly #issuer: string;
  readonly #base32 = new ScureBase32Plugin();

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly sealBox: SealBox;
    readonly now: () => number;
    /** What the authenticator app shows beside the address. */
    readonly issuer: string;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#sealBox = parts.sealBox;
    this.#now = parts.now;
    this.#issuer = parts.issuer;
  }

  /** A disabled factor still counts as one: else 50 wrong guesses would open the first enrollment again. */
  async stateOf(account: Account): Promise<FactorState> {
    const factor = await findConfirmedFactor(this.#database, this.#guard, account.id);
    if (factor === null) return 'none';
    return factor.disabled_at === null ? 'active' : 'disabled';
  }

  /** Draws a new seed for this session. The caller has made sure that the account has no factor. */
  async begin(session: FirstFactorSession): Promise<void> {
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
  async pending(session: FirstFactorSession): Promise<PendingEnrollment | null> {
    const factor = await this.#findPending(session);
    if (factor === null) return null;
    const seed = this.#open(factor);
    const key = this.#base32.encode(seed, { padding: false });
    seed.fill(0);
    return { key, uri: generateURI({ issuer: this.#issuer, label: session.account.address, secret: key }) };
  }

  /**
   * Finishes the enrollment with a first code, whose step is spent by it. `gone`: it died or another session was first.
   * Guesses are not counted here: the session that guesses was shown the seed.
   */
  async confirm(
    session: FirstFactorSession,
    code: string,
  ): Promise<'confirmed' | 'wrong' | 'malformed' | 'gone'> {
    const digits = digitsOf(code);
    if (digits === null) return 'malformed';
    const factor = await this.#findPending(session);
    if (factor === null) return 'gone';
    const step = await this.#stepOf(factor, digits);
    if (step === null) return 'wrong';
    const now = this.#now();
    const isConfirmed = await confirmFactor(this.#database, this.#guard, factor, {
      step,
      now,
      createdAfter: now - pendingMs,
    });
    if (!isConfirmed) return 'gone';
    await deletePendingFactors(this.#database, session.account.id);
    return 'confirmed';
  }

  /** Checks a code against the account's factor, spends its step, and keeps the guess limits over all sessions. */
  async check(account: Account, code: string): Promise<CodeCheck> {
    const digits = digitsOf(code);
    if (digits === null) return { kind: 'malformed' };
    const factor = await findConfirmedFactor(this.#database, this.#guard, account.id);
    if (factor === null || factor.disabled_at !== null) return { kind: 'disabled' };
    const now = this.#now();
    const guess = await countGuess(this.#database, factor.id, now, shortWindows);
    if (guess === null) {
      const until = await guessesAllowedAt(this.#database, factor.id, now, shortWindows);
      return until > now ? { kind: 'throttled', until } : { kind: 'disabled' };
    }
    const step = await this.#stepOf(factor, digits);
    if (step !== null && (await spendStep(this.#database, factor.id, step))) {
      await takeBackGuess(this.#database, factor.id, guess);
      return { kind: 'right' };
    }
    const isDisabled = await recordWrongGuess(this.#database, this.#guard, factor, now, disableAt);
    if (isDisabled) return { kind: 'disabled' };
    return { kind: step === null ? 'wrong' : 'used' };
  }

  async #findPending(session: FirstFactorSession): Promise<SecondFactorRow | null> {
    return await findPendingFactor(this.#database, this.#guard, {
      id: pendingId(session),
      accountId: session.account.id,
      createdAfter: this.#now() - pendingMs,
    });
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
 * shown each other's seed. The id stays the factor's; sessions change theirs with the level.
 */
function pendingId(session: FirstFactorSession): Buffer {
  return session.idHash.subarray(0, 16);
}

function sealPlace(rowId: Buffer, accountId: Buffer): SealPlace {
  return { purpose: 'totp-seed', table: 'second_factor', column: 'sealed', rowId, accountId };
}

/** Six digits, however they were grouped; null for anything else. */
function digitsOf(code: string): string | null {
  const digits = code.replace(/[\s\u200b-\u200d\u2060-]/g, '');
  return /^[0-9]{6}$/.test(digits) ? digits : null;
}
