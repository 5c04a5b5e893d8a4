import type { NodeSession, SessionDirectory } from '../../credentials/session-directory.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Account } from '../../store/schema.ts';

/** What is open at this moment. */
export interface OpenSessions {
  readonly sessions: readonly NodeSession[];
  /** Some node did not answer, or told of a part: there may be more. */
  readonly isPartial: boolean;
}

/** The live mail sessions of one account, on every node. A session is one's own or none (S-67). */
export class MailSessionActions {
  readonly #directory: SessionDirectory | null;
  readonly #logger: Logger;

  constructor(parts: { readonly directory: SessionDirectory | null; readonly logger: Logger }) {
    this.#directory = parts.directory;
    this.#logger = parts.logger;
  }

  /** null: it cannot be told. */
  async list({ id }: Pick<Account, 'id'>): Promise<OpenSessions | null> {
    if (this.#directory === null) return null;
    const listing = await this.#directory.list({ by: 'owner', accountId: id.toString('hex'), session: null });
    const { sessions, silent, isAlone, omitted } = listing;
    return { sessions, isPartial: isAlone || silent.length > 0 || omitted > 0 };
  }

  /** How many of an app password's are open; null: it cannot be told. */
  async countOf(account: Account, credential: Buffer): Promise<number | null> {
    const open = await this.list(account);
    const id = credential.toString('hex');
    return open?.sessions.filter((session) => session.credential === id).length ?? null;
  }

  /** Ends one of the account's. Answers how many were ended: none where it was gone, or never was. */
  async endOne(account: Account, session: string): Promise<number> {
    return await this.#end(account, { session });
  }

  /** Ends all of an app password, which stays valid. None for what is no id of one. */
  async endCredential(account: Account, credential: string): Promise<number> {
    return /^[0-9a-f]{32}$/.test(credential) ? await this.#end(account, { session: null, credential }) : 0;
  }

  async #end(
    { id, address }: Account,
    which: { readonly session: string } | { readonly session: null; readonly credential: string },
  ): Promise<number> {
    if (this.#directory === null) return 0;
    const filter = { by: 'owner', accountId: id.toString('hex'), ...which } as const;
    const { ended } = await this.#directory.end(filter, 'ended in the portal');
    this.#logger.info(
      { event: 'mail-session-ended', account: address, ...which, ended },
      'mail session ended by its owner',
    );
    return ended;
  }
}
