import type { Config } from '../../config/schema.ts';
import type { AppPasswords, AppPasswordView } from '../../credentials/app-passwords.ts';
import type { Factors, FactorView } from '../../identity/second-factor/factors.ts';
import type { Database } from '../../store/database.ts';
import { type LoginEventPlace, pageLoginEvents } from '../../store/login-events.ts';
import type { Account, LoginEventRow } from '../../store/schema.ts';
import { listStaleClients, type StaleClient } from '../../store/stale-clients.ts';
import { addressSeen } from '../administrators.ts';
import type { Subject } from './administration.ts';
import type { MailSessionActions, OpenSessions } from './sessions.ts';

/** A device that was silent for so long has been seen to. */
export const staleMs = 7 * 86_400_000;

export interface Overview {
  /** Newest first, ended ones too. */
  readonly appPasswords: readonly AppPasswordView[];
  /** Empty for an account that is not as the gateway wrote it. */
  readonly methods: readonly FactorView[];
  readonly stale: readonly StaleClient[];
  /** null: cannot be told. */
  readonly open: OpenSessions | null;
}

/** An account as helpdesk reads it: what it has and what happened, nothing that signs in, and addresses as far as S-95 goes. */
export class AccountOverview {
  readonly #config: Pick<Config, 'portal'>;
  readonly #database: Database;
  readonly #appPasswords: AppPasswords;
  readonly #mailSessions: MailSessionActions;
  readonly #factors: Factors;
  readonly #now: () => number;

  constructor(parts: {
    readonly config: Pick<Config, 'portal'>;
    readonly database: Database;
    readonly appPasswords: AppPasswords;
    readonly mailSessions: MailSessionActions;
    readonly factors: Factors;
    readonly now: () => number;
  }) {
    this.#config = parts.config;
    this.#database = parts.database;
    this.#appPasswords = parts.appPasswords;
    this.#mailSessions = parts.mailSessions;
    this.#factors = parts.factors;
    this.#now = parts.now;
  }

  async read({ account, genuine }: Subject): Promise<Overview> {
    const stale = await listStaleClients(this.#database, account.id, this.#now() - staleMs);
    const open = await this.#mailSessions.list(account);
    return {
      appPasswords: await this.appPasswords(account),
      methods: genuine === null ? [] : await this.#factors.list(genuine),
      stale: stale.map((each) => ({ ...each, address: this.#seen(each.address) })),
      open:
        open === null
          ? null
          : {
              ...open,
              sessions: open.sessions.map((each) => ({
                ...each,
                peerAddress: this.#seen(each.peerAddress),
                network: this.#seen(each.peerAddress),
              })),
            },
    };
  }

  /** Newest first, ended ones too. */
  async appPasswords({ id }: Pick<Account, 'id'>): Promise<readonly AppPasswordView[]> {
    const views = await this.#appPasswords.list(id);
    return views.map((view) => ({
      ...view,
      lastUsedAddress: view.lastUsedAddress === null ? null : this.#seen(view.lastUsedAddress),
    }));
  }

  /** The newest first, at most `limit`, after a place. */
  async activity(
    { id }: Pick<Account, 'id'>,
    after: LoginEventPlace | null,
    limit: number,
  ): Promise<readonly LoginEventRow[]> {
    const rows = await pageLoginEvents(this.#database, id, after, limit);
    return rows.map((row) => ({ ...row, address: row.address === null ? null : this.#seen(row.address) }));
  }

  #seen(address: string): string {
    return addressSeen(address, this.#config);
  }
}
