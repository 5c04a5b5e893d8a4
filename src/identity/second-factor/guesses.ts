import type { Journal } from '../../credentials/journal.ts';
import { lockAccount } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import {
  countGuess,
  guessesAllowedAt,
  isTimeToTell,
  recordWrongGuess,
  takeBackGuess,
} from '../../store/factor-guesses.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, SecondFactorRow } from '../../store/schema.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** S-76, requirements 4.3 */
const shortWindows = [
  { windowMs: hourMs / 4, guesses: 5 },
  { windowMs: dayMs, guesses: 20 },
];
const disableAt = { consecutive: 50, long: { windowMs: 30 * dayMs, guesses: 100 } };
/** S-83: somebody knows her main password. */
const tellAt = { windowMs: dayMs, guesses: 5 };

/** What a guess at a factor may come to before it is looked at. */
export type Admission =
  | { readonly kind: 'counted'; readonly guess: number }
  | { readonly kind: 'throttled'; readonly until: number }
  | { readonly kind: 'disabled' };

/** Limits guesses at one factor over all sessions and nodes (S-76). */
export class FactorGuesses {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #journal: Journal;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly journal: Journal;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#journal = parts.journal;
    this.#now = parts.now;
  }

  /** Counts a guess before it is looked at. */
  async admit({ id }: SecondFactorRow): Promise<Admission> {
    const now = this.#now();
    const guess = await countGuess(this.#database, id, now, shortWindows);
    if (guess !== null) return { kind: 'counted', guess };
    const until = await guessesAllowedAt(this.#database, id, now, shortWindows);
    return until > now ? { kind: 'throttled', until } : { kind: 'disabled' };
  }

  /** It was right, or nobody could tell: it does not count. */
  async takeBack({ id }: SecondFactorRow, guess: number): Promise<void> {
    await takeBackGuess(this.#database, id, guess);
  }

  /** It was wrong. Answers whether the factor is disabled now. */
  async enterWrong(account: Account, factor: SecondFactorRow): Promise<boolean> {
    const now = this.#now();
    return await this.#database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, account.id);
      const before = await transaction
        .selectFrom('second_factor')
        .select('disabled_at')
        .where('id', '=', factor.id)
        .executeTakeFirst();
      const isDisabled = await recordWrongGuess(transaction, this.#guard, factor, now, disableAt);
      const entry = { account, actor: { kind: 'gateway' } } as const;
      if (isDisabled && before?.disabled_at === null) {
        const event = { action: 'factor.disabled', method: factor.kind, name: factor.name || null } as const;
        await this.#journal.record(transaction, { ...entry, event });
      }
      if (await isTimeToTell(transaction, factor, now, tellAt)) {
        await this.#journal.record(transaction, { ...entry, event: { action: 'factors.guessed' } });
      }
      return isDisabled;
    });
  }
}
