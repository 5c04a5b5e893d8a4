import type { LocalSessions, SessionFilter, SessionView } from '../credentials/session-directory.ts';
import type { Protocol } from '../credentials/verdict.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';

/** A live session as the registry and the revocation see it. */
export interface Session {
  readonly id: string;
  readonly protocol: Protocol;
  readonly login: VerifiedLogin;
  readonly peerAddress: string;
  readonly since: number;
  /** Why it was ended from outside; null while it was not. */
  readonly endedBecause: string | null;
  /** Ends the session at once: both legs, a message in transfer unfinished (S-57). Idempotent. */
  end(reason: string): void;
  view(): SessionView;
  /** Brings the metrics up to what has passed by now. */
  publishTraffic(): void;
}

export type Admission = 'admitted' | 'too-many';

/** Every live session of this process, under its id, its credential and its account. */
export class SessionRegistry implements LocalSessions {
  readonly #byId = new Map<string, Session>();
  readonly #byCredential = new Map<string, Set<Session>>();
  readonly #byAccount = new Map<string, Set<Session>>();
  readonly #perCredential: number;
  readonly #perAccount: number;

  constructor(limits: { readonly sessionsPerCredential: number; readonly sessionsPerAccount: number }) {
    this.#perCredential = limits.sessionsPerCredential;
    this.#perAccount = limits.sessionsPerAccount;
  }

  /**
   * Enters the session. The caller then asks {@link Verifier.stillValid} before the client hears success:
   * the other way round a revocation in between would leave a session nobody ends (S-54).
   */
  register(session: Session): Admission {
    const credential = session.login.credentialId.toString('hex');
    const account = session.login.accountId.toString('hex');
    if ((this.#byCredential.get(credential)?.size ?? 0) >= this.#perCredential) return 'too-many';
    if ((this.#byAccount.get(account)?.size ?? 0) >= this.#perAccount) return 'too-many';
    if (this.#byId.has(session.id)) throw new Error(`session ${session.id} is registered already`);
    this.#byId.set(session.id, session);
    enter(this.#byCredential, credential, session);
    enter(this.#byAccount, account, session);
    return 'admitted';
  }

  remove(session: Session): void {
    if (this.#byId.get(session.id) !== session) return;
    this.#byId.delete(session.id);
    leave(this.#byCredential, session.login.credentialId.toString('hex'), session);
    leave(this.#byAccount, session.login.accountId.toString('hex'), session);
  }

  endCredential(credentialId: Buffer, reason: string): number {
    return endAll(this.#byCredential.get(credentialId.toString('hex')) ?? [], reason);
  }

  endAccount(accountId: Buffer, reason: string): number {
    return endAll(this.#byAccount.get(accountId.toString('hex')) ?? [], reason);
  }

  /** S-56: a session does not outlive its app password. Each is held against its own login: an expiry may have been moved. */
  endExpired(now: number): number {
    const expired = this.sessions().filter(({ login }) => login.notAfter !== null && login.notAfter <= now);
    return endAll(expired, 'app password expired');
  }

  /** For metrics that keep up with sessions that last for days. */
  publishTraffic(): void {
    for (const session of this.#byId.values()) session.publishTraffic();
  }

  sessions(filter: SessionFilter = { by: 'all' }): readonly Session[] {
    switch (filter.by) {
      case 'all':
        return [...this.#byId.values()];
      case 'account':
        return this.sessions().filter(({ login }) => login.address === filter.account);
      case 'credential':
        return [...(this.#byCredential.get(filter.credential) ?? [])];
      case 'session': {
        const session = this.#byId.get(filter.session);
        return session === undefined ? [] : [session];
      }
      case 'owner': {
        const own = [...(this.#byAccount.get(filter.accountId) ?? [])];
        return own.filter(
          ({ id, login }) =>
            (filter.session ?? id) === id &&
            (filter.credential ?? login.credentialId.toString('hex')) === login.credentialId.toString('hex'),
        );
      }
      default:
        return filter satisfies never;
    }
  }

  list(filter: SessionFilter): readonly SessionView[] {
    return this.sessions(filter).map((session) => session.view());
  }

  end(filter: SessionFilter, reason: string): number {
    return endAll(this.sessions(filter), reason);
  }

  get size(): number {
    return this.#byId.size;
  }
}

function enter(index: Map<string, Set<Session>>, key: string, session: Session): void {
  const sessions = index.get(key);
  if (sessions === undefined) index.set(key, new Set([session]));
  else sessions.add(session);
}

function leave(index: Map<string, Set<Session>>, key: string, session: Session): void {
  const sessions = index.get(key);
  if (sessions === undefined) return;
  sessions.delete(session);
  if (sessions.size === 0) index.delete(key);
}

/** How many of them were not ending already. */
function endAll(sessions: Iterable<Session>, reason: string): number {
  // A session may leave its set while it ends.
  const ending = [...sessions].filter(({ endedBecause }) => endedBecause === null);
  for (const session of ending) session.end(reason);
  return ending.length;
}
