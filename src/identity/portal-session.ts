import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Database } from '../store/database.ts';
import {
  deletePortalSession,
  deletePortalSessionsOf,
  findPortalSession,
  insertPortalSession,
  touchPortalSession,
} from '../store/portal-sessions.ts';
import type { RowGuard } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';

/** S-69: without a request. */
const idleMs = 15 * 60_000;
/** S-69: whatever happens. */
const absoluteMs = 8 * 3_600_000;
/** requirements 3.9: main password given, second factor not yet. */
const firstFactorMs = 10 * 60_000;
/** S-68: how long a shown factor allows what needs one. */
const stepUpMs = 5 * 60_000;
/** S-69 */
const sessionsPerAccount = { full: 10, 'first-factor': 30 } as const;
/** A page and its requests within this time cost one write. */
const touchEveryMs = 10_000;

interface SignedIn {
  readonly account: Account;
  readonly idHash: Buffer;
  /** Belongs into every form of the session (S-61). */
  readonly csrf: string;
}

/** Nobody yet. `ended`: the browser showed a session that is over. */
export interface AnonymousSession {
  readonly level: 'anonymous';
  readonly ended: boolean;
}

/** The main password was right: good for enrolling the first factor or showing one, and nothing else (S-60). */
export interface FirstFactorSession extends SignedIn {
  readonly level: 'first-factor';
}

/** A second factor was shown in this session, too long ago for what needs a fresh one. */
export interface FullSession extends SignedIn {
  readonly level: 'full';
}

/** A second factor was shown in the last five minutes. */
export interface SteppedUpSession extends SignedIn {
  readonly level: 'stepped-up';
  readonly until: number;
}

export type PortalSession = AnonymousSession | FirstFactorSession | FullSession | SteppedUpSession;

/** A new session and what the browser is to show for it: the only time the token exists in clear. */
export interface StartedSession<S extends FirstFactorSession | SteppedUpSession> {
  readonly session: S;
  /** 32 random bytes, base64url. */
  readonly token: string;
}

/** Portal sessions in SQL, each under the SHA-256 of its token (S-59). Every change of level is a new session. */
export class PortalSessions {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#now = parts.now;
  }

  /** After the main password. */
  async startFirstFactor(account: Account): Promise<StartedSession<FirstFactorSession>> {
    const { token, idHash, csrf } = await this.#insert(account, 'first-factor', null);
    return { token, session: { level: 'first-factor', account, idHash, csrf } };
  }

  /**
   * After a second factor: ends `from` and starts a new one, so that an id known from before is worth nothing.
   * null when `from` was ended meanwhile.
   */
  async stepUp(
    from: FirstFactorSession | FullSession | SteppedUpSession,
  ): Promise<StartedSession<SteppedUpSession> | null> {
    if (!(await deletePortalSession(this.#database, from.idHash))) return null;
    const now = this.#now();
    const { token, idHash, csrf } = await this.#insert(from.account, 'full', now);
    const { account } = from;
    return { token, session: { level: 'stepped-up', account, idHash, csrf, until: now + stepUpMs } };
  }

  /**
   * null for a token that is malformed, unknown, of the other kind or over, and for a disabled account. Throws for a row
   * that the gateway did not write so.
   */
  async find(
    kind: 'first-factor' | 'full',
    token: string,
  ): Promise<Exclude<PortalSession, AnonymousSession> | null> {
    if (!/^[A-Za-z0-9_-]{43}$/.test(token)) return null;
    const idHash = hashOf(token);
    const found = await findPortalSession(this.#database, this.#guard, idHash);
    if (found === null || found.session.level !== kind) return null;
    const { session, account } = found;
    const now = this.#now();
    const lifeMs = kind === 'full' ? absoluteMs : firstFactorMs;
    const isOver = now - session.created_at >= lifeMs || now - session.seen_at >= idleMs;
    if (isOver || account.state !== 'active') {
      await deletePortalSession(this.#database, idHash);
      return null;
    }
    if (now - session.seen_at >= touchEveryMs) await touchPortalSession(this.#database, idHash, now);
    const signedIn = { account, idHash, csrf: session.csrf };
    if (kind === 'first-factor') return { level: 'first-factor', ...signedIn };
    const until = (session.factor_at ?? 0) + stepUpMs;
    return until > now ? { level: 'stepped-up', ...signedIn, until } : { level: 'full', ...signedIn };
  }

  async end(session: Exclude<PortalSession, AnonymousSession>): Promise<void> {
    await deletePortalSession(this.#database, session.idHash);
  }

  /** S-82: a changed factor ends the account's other sessions. */
  async endOthers(session: FullSession | SteppedUpSession): Promise<void> {
    await deletePortalSessionsOf(this.#database, session.account.id, session.idHash);
  }

  async #insert(account: Account, level: 'first-factor' | 'full', factorAt: number | null) {
    const token = randomBytes(32).toString('base64url');
    const idHash = hashOf(token);
    const csrf = randomBytes(32).toString('base64url');
    const now = this.#now();
    await insertPortalSession(
      this.#database,
      this.#guard,
      {
        id_hash: idHash,
        account_id: account.id,
        level,
        csrf,
        factor_at: factorAt,
        created_at: now,
        seen_at: now,
      },
      { most: sessionsPerAccount[level], createdAfter: now - absoluteMs },
    );
    return { token, idHash, csrf };
  }
}

/** Whether a form carries the session's token; in constant time. */
export function isCsrfToken(session: Exclude<PortalSession, AnonymousSession>, token: string): boolean {
  const given = Buffer.from(token);
  const expected = Buffer.from(session.csrf);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
