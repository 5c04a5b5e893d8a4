import type { Protocol } from '../credentials/verdict.ts';
import type { VerifiedLogin } from '../credentials/verifier.ts';

/** A live session as `session list` and the revocation see it. */
export interface Session {
  readonly id: string;
  readonly protocol: Protocol;
  readonly login: VerifiedLogin;
  readonly peerAddress: string;
  readonly since: number;
  /** Ends the session at once: both legs, a message in transfer unfinished (S-57). Idempotent. */
  end(reason: string): void;
}

export type Admission = 'admitted' | 'too-many';

/** Every live session of this process, under its credential and its account. */
export class SessionRegistry {
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
    enter(this.#byCredential, credential, session);
    enter(this.#byAccount, account, session);
    return 'admitted';
  }

  remove(session: Session): void {
    leave(this.#byCredential, session.login.credentialId.toString('hex'), session);
    leave(this.#byAccount, session.login.accountId.toString('hex'), session);
  }

  endCredential(credentialId: Buffer, reason: string): number {
    return endAll(this.#byCredential.get(credentialId.toString('hex')), reason);
  }

  endAccount(accountId: Buffer, reason: string): number {
    return endAll(this.#byAccount.get(accountId.toString('hex')), reason);
  }

  /** S-56: a session does not outlive its app password. */
  endExpired(now: number): number {
    let ended = 0;
    for (const sessions of this.#byCredential.values()) {
      const [first] = sessions;
      if (first !== undefined && first.login.notAfter !== null && first.login.notAfter <= now) {
        ended += endAll(sessions, 'app password expired');
      }
    }
    return ended;
  }

  sessions(): readonly Session[] {
    return [...this.#byAccount.values()].flatMap((sessions) => [...sessions]);
  }

  get size(): number {
    return this.sessions().length;
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

function endAll(sessions: Set<Session> | undefined, reason: string): number {
  if (sessions === undefined) return 0;
  const ending = [...sessions];
  for (const session of ending) session.end(reason);
  return ending.length;
}
