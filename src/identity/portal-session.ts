import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Database } from '../store/database.ts';
import {
  deletePortalSession,
  deletePortalSessionsOf,
  findPortalSession,
  insertPortalSession,
  listPortalSessions,
  touchPortalSession,
} from '../store/portal-sessions.ts';
import type { RowGuard } from '../store/row-guard.ts';
import type { Account, PortalSessionRow } from '../store/schema.ts';

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
/** How far the clocks of two nodes may differ. */
const clockMs = 60_000;
/** A page and its requests within this time cost one write. */
const touchEveryMs = 10_000;

interface SignedIn {
  readonly account: Account;
  readonly idHash: Buffer;
  /** Belongs into every form of the session (S-61). */
  readonly csrf: string;
  /** By a claim of the identity provider; null: no more than the own account. */
  readonly role: PortalSessionRow['role'];
  /** When it is over unless another request comes; `isFinal`: even then (S-69). */
  readonly ends: { readonly at: number; readonly isFinal: boolean };
}

/** One of an account's sessions as its owner sees it. */
export interface PortalSessionView {
  /** Names it to its owner only, and is nothing to sign in with: half of what SQL keeps of the token. Hex. */
  readonly id: string;
  readonly level: 'first-factor' | 'full';
  readonly since: number;
  /** Last request, to within ten seconds. */
  readonly seenAt: number;
  readonly isThisOne: boolean;
}

/** Nobody yet. `ended`: the browser showed a session that is over. */
export interface AnonymousSession {
  readonly level: 'anonymous';
  readonly ended: boolean;
}

/** What a sign-in proved: the main password, the identity provider's word, or its word for a second factor as well. */
export type SignInAssurance = PortalSessionRow['assurance'];

/** The main password was right: good for enrolling the first factor or showing one, and nothing else (S-60). */
export interface FirstFactorSession extends SignedIn {
  readonly level: 'first-factor';
  readonly signInAssurance: SignInAssurance;
  /** What lets it enroll a factor: the gate of the first enrollment was passed (S-74), or a recovery code used (S-80). */
  readonly opened: PortalSessionRow['opened'];
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
export interface StartedSession<S extends FirstFactorSession | FullSession | SteppedUpSession> {
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

  /** After the main password, or the identity provider's word. */
  async startFirstFactor(
    account: Account,
    signInAssurance: SignInAssurance = 'password',
    opened: FirstFactorSession['opened'] = null,
    role: SignedIn['role'] = null,
  ): Promise<StartedSession<FirstFactorSession>> {
    const grant = { assurance: signInAssurance, opened, role };
    const { token, ...signedIn } = await this.#insert(account, 'first-factor', null, grant);
    return { token, session: { level: 'first-factor', account, ...signedIn, signInAssurance, opened } };
  }

  /** After an identity provider that asked for a second factor (S-86); `factorAt` null where it does not say when. */
  async startFull(
    account: Account,
    factorAt: number | null,
    role: SignedIn['role'],
  ): Promise<StartedSession<FullSession | SteppedUpSession>> {
    const grant = { assurance: 'idp-mfa', opened: null, role } as const;
    const { token, ...signedIn } = await this.#insert(account, 'full', factorAt, grant);
    return { token, session: fullSession({ account, ...signedIn }, factorAt, this.#now()) };
  }

  /**
   * Ends `from` and starts a session that may enroll a factor and nothing else, with its whole time before it. null when
   * `from` was ended meanwhile.
   */
  async open(
    from: FirstFactorSession | FullSession | SteppedUpSession,
    by: 'gate' | 'recovery',
  ): Promise<StartedSession<FirstFactorSession> | null> {
    const signInAssurance = from.level === 'first-factor' ? from.signInAssurance : 'password';
    const { account, role } = from;
    const grant = { assurance: signInAssurance, opened: by, role };
    const made = await this.#replace(from, 'first-factor', null, grant);
    if (made === null) return null;
    const { token, ...signedIn } = made;
    return { token, session: { level: 'first-factor', account, ...signedIn, signInAssurance, opened: by } };
  }

  /**
   * After a second factor: ends `from` and starts a new one, so that an id known from before is worth nothing.
   * null when `from` was ended meanwhile.
   */
  async stepUp(
    from: FirstFactorSession | FullSession | SteppedUpSession,
  ): Promise<StartedSession<SteppedUpSession> | null> {
    const now = this.#now();
    const { account, role } = from;
    const grant = { assurance: 'password', opened: null, role } as const;
    const made = await this.#replace(from, 'full', now, grant);
    if (made === null) return null;
    const { token, ...signedIn } = made;
    return { token, session: { level: 'stepped-up', account, ...signedIn, until: now + stepUpMs } };
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
    if (isOver(session, now) || account.state !== 'active') {
      await deletePortalSession(this.#database, idHash);
      return null;
    }
    if (now - session.seen_at >= touchEveryMs) await touchPortalSession(this.#database, idHash, now);
    const { csrf, role } = session;
    const signedIn = { account, idHash, csrf, role, ends: endOf(session, now) };
    if (kind === 'first-factor') {
      return {
        level: 'first-factor',
        ...signedIn,
        signInAssurance: session.assurance,
        opened: session.opened,
      };
    }
    return fullSession(signedIn, session.factor_at, now);
  }

  async end(session: Exclude<PortalSession, AnonymousSession>): Promise<void> {
    await deletePortalSession(this.#database, session.idHash);
  }

  /** Those that are not over: this one, then the one last used. */
  async list(session: FullSession | SteppedUpSession): Promise<readonly PortalSessionView[]> {
    const now = this.#now();
    const rows = await listPortalSessions(this.#database, this.#guard, session.account.id);
    return rows
      .filter((row) => !isOver(row, now))
      .map((row) => ({
        id: viewId(row.id_hash),
        level: row.level,
        since: row.created_at,
        seenAt: row.seen_at,
        isThisOne: row.id_hash.equals(session.idHash),
      }))
      .toSorted((one, other) => Number(other.isThisOne) - Number(one.isThisOne) || other.seenAt - one.seenAt);
  }

  /** One of the account's own, by the id of its view (S-67). Answers whether there was one. */
  async endOne(session: FullSession | SteppedUpSession, id: string): Promise<boolean> {
    const rows = await listPortalSessions(this.#database, this.#guard, session.account.id);
    const row = rows.find((each) => viewId(each.id_hash) === id);
    return row !== undefined && (await deletePortalSession(this.#database, row.id_hash));
  }

  /** Signs the account out everywhere, here too. */
  async endAll(session: FullSession | SteppedUpSession): Promise<void> {
    await deletePortalSessionsOf(this.#database, session.account.id, null);
  }

  async #insert(account: Account, level: PortalSessionRow['level'], factorAt: number | null, grant: Grant) {
    const made = await this.#replace({ account, idHash: null }, level, factorAt, grant);
    if (made === null) throw new Error('a session that comes of no other was not made');
    return made;
  }

  /** In place of `from`, in one transaction: null when that was ended meanwhile. */
  async #replace(
    from: { readonly account: Account; readonly idHash: Buffer | null },
    level: PortalSessionRow['level'],
    factorAt: number | null,
    grant: Grant,
  ) {
    const token = randomBytes(32).toString('base64url');
    const idHash = hashOf(token);
    const csrf = randomBytes(32).toString('base64url');
    const now = this.#now();
    const times = { factor_at: factorAt, created_at: now, seen_at: now };
    const row = { id_hash: idHash, account_id: from.account.id, level, csrf, ...times, ...grant };
    const bounds = { most: sessionsPerAccount[level], createdAfter: now - absoluteMs };
    const isMade = await insertPortalSession(this.#database, this.#guard, row, bounds, from.idHash);
    return isMade ? { token, idHash, csrf, role: row.role, ends: endOf(row, now) } : null;
  }
}

type Grant = Pick<PortalSessionRow, 'assurance' | 'opened' | 'role'>;

/** Whether a form carries the session's token; in constant time. */
export function isCsrfToken(session: Exclude<PortalSession, AnonymousSession>, token: string): boolean {
  const given = Buffer.from(token);
  const expected = Buffer.from(session.csrf);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function fullSession(
  signedIn: SignedIn,
  factorAt: number | null,
  now: number,
): FullSession | SteppedUpSession {
  const until = (factorAt ?? 0) + stepUpMs;
  return until > now ? { level: 'stepped-up', ...signedIn, until } : { level: 'full', ...signedIn };
}

type Times = Pick<PortalSessionRow, 'level' | 'created_at' | 'seen_at'>;

function isOver(row: Times, now: number): boolean {
  // Its times lie ahead: the clock was set back, and by it this session would live for that much longer.
  if (Math.max(row.created_at, row.seen_at) > now + clockMs) return true;
  return now - row.created_at >= lifeOf(row) || now - row.seen_at >= idleMs;
}

/** After a request at `now`. */
function endOf(row: Times, now: number): SignedIn['ends'] {
  const final = row.created_at + lifeOf(row);
  return final <= now + idleMs ? { at: final, isFinal: true } : { at: now + idleMs, isFinal: false };
}

function lifeOf({ level }: Times): number {
  return level === 'full' ? absoluteMs : firstFactorMs;
}

function viewId(idHash: Buffer): string {
  return idHash.toString('hex', 0, 16);
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
