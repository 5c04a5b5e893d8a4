import type { Config } from '../../../config/schema.ts';
import { canonicalName } from '../../../credentials/account-name.ts';
import { isDeniedMailbox } from '../../../credentials/denied-mailbox.ts';
import type { Journal } from '../../../credentials/journal.ts';
import { createAccount } from '../../../store/accounts.ts';
import type { Database } from '../../../store/database.ts';
import { findLinkedAccount, type Identity, linkIdentity } from '../../../store/identity-links.ts';
import type { RowGuard } from '../../../store/row-guard.ts';
import type { Account } from '../../../store/schema.ts';
import type { Peer } from '../imap.ts';

/** The provider that people of a domain sign in with; null where they use their main password, or it is none of ours. */
export function providerOfDomain(config: Pick<Config, 'domains'>, domain: string): string | null {
  const signIn = Object.hasOwn(config.domains, domain) ? config.domains[domain]?.signIn : undefined;
  return signIn?.method === 'oidc' ? signIn.provider : null;
}

export function domainOf({ address }: Account): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/** Whose account it is that a provider vouches for: by issuer and subject, and by an address the first time only (S-87). */
export class LinkedAccounts {
  readonly #config: Config;
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #journal: Journal;
  readonly #now: () => number;

  constructor(parts: {
    readonly config: Config;
    readonly database: Database;
    readonly guard: RowGuard;
    readonly journal: Journal;
    readonly now: () => number;
  }) {
    this.#config = parts.config;
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#journal = parts.journal;
    this.#now = parts.now;
  }

  /** Linked before, whatever its state; null for nobody. */
  async linkedTo(identity: Identity): Promise<Account | null> {
    return await findLinkedAccount(this.#database, this.#guard, identity);
  }

  /**
   * The account that the identity signs in to, or why there is none. Makes and links it at the first sign-in, where the
   * provider may vouch for addresses. `verifiedEmail` is asked only then.
   */
  async signInTo(
    provider: string,
    identity: Identity,
    verifiedEmail: () => Promise<string | null>,
    peer: Peer,
  ): Promise<Account | string> {
    const linked = await this.linkedTo(identity);
    if (linked !== null) return this.#isOpen(linked, provider) ? linked : 'disabled, or not its domain';
    const settings = this.#config.oidc[provider];
    // nOAuth: in a directory of many organizations everybody may claim any address.
    if (settings === undefined || !settings.isSingleTenant) return 'not linked';
    const email = await verifiedEmail();
    const name = email === null ? null : canonicalName(email, null);
    if (name === null) return 'not linked, and no verified e-mail claim';
    const isVouched = settings.domains === null || settings.domains.includes(name.domain);
    if (!isVouched || providerOfDomain(this.#config, name.domain) !== provider) {
      return 'not linked, and its address is of no domain of this provider';
    }
    if (this.#isDenied(name)) return 'a mailbox that nobody opens';
    const account = await this.#link(name.address, identity, peer);
    if (account !== null) return account;
    // Another sign-in of the same person may have been first.
    const first = await this.linkedTo(identity);
    const isOwn = first?.address === name.address && this.#isOpen(first, provider);
    return isOwn ? first : 'disabled, or linked to another identity';
  }

  /** Links for the first time, and makes the account where there is none. null where either must not be. */
  async #link(address: string, identity: Identity, peer: Peer): Promise<Account | null> {
    const guard = this.#guard;
    const at = this.#now();
    return await this.#database.transaction().execute(async (transaction) => {
      const { account, created } = await createAccount(transaction, guard, address, at);
      if (account.state !== 'active') return null;
      const isLinked = await linkIdentity(transaction, guard, account.id, identity, {
        at,
        by: 'email-claim',
      });
      if (!isLinked) return null;
      const actor = { kind: 'person', address: peer.address } as const;
      if (created) {
        await this.#journal.record(transaction, { account, actor, event: { action: 'account.created' } });
      }
      const event = { action: 'identity.linked', issuer: identity.issuer } as const;
      await this.#journal.record(transaction, { account, actor, event });
      return account;
    });
  }

  #isOpen(account: Account, provider: string): boolean {
    if (account.state !== 'active' || providerOfDomain(this.#config, domainOf(account)) !== provider) {
      return false;
    }
    const name = canonicalName(account.address, null);
    return name !== null && !this.#isDenied(name);
  }

  #isDenied(name: { readonly address: string; readonly local: string; readonly domain: string }): boolean {
    const backend = this.#config.domains[name.domain]?.backend;
    return isDeniedMailbox(backend === undefined ? undefined : this.#config.backends[backend], name);
  }
}
