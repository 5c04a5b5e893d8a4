import type { Config } from '../../config/schema.ts';
import type { Secrets } from '../../config/secrets.ts';
import { canonicalName } from '../../credentials/account-name.ts';
import { DeadlineError, withDeadline } from '../../credentials/deadline.ts';
import type { Journal } from '../../credentials/journal.ts';
import type { SealBox } from '../../credentials/seal.ts';
import { type Logger, printable } from '../../observability/logger.ts';
import type { Database } from '../../store/database.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account } from '../../store/schema.ts';
import { mfaPolicyOf } from '../mfa-policy.ts';
import type { FullSession, PortalSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from './imap.ts';
import { domainOf, LinkedAccounts, providerOfDomain } from './oidc/accounts.ts';
import type { Assertion } from './oidc/id-token.ts';
import type { IdentityProvider, Redemption } from './oidc/provider.ts';
import { ProviderFault } from './oidc/provider-fetch.ts';
import { createProviders } from './oidc/providers.ts';
import { OidcTransactions, type Purpose } from './oidc/transactions.ts';

/** A provider that the page offers. */
export interface OfferedProvider {
  readonly name: string;
  readonly label: string;
}

export type OidcBegun =
  /** `token` goes into the cookie of the transaction, which alone lets the return in. */
  | { readonly kind: 'begun'; readonly to: URL; readonly token: string }
  | { readonly kind: 'unavailable' }
  | { readonly kind: 'unknown' };

export type OidcResult =
  | {
      readonly kind: 'signed-in';
      readonly account: Account;
      /** null: one of our own factors is still to come. Else the provider asked for one, at `at` where it says when. */
      readonly factor: { readonly at: number | null } | null;
      readonly isAdministrator: boolean;
    }
  /** The person of the session has shown a second factor to the provider just now. */
  | {
      readonly kind: 'confirmed';
      readonly session: FullSession | SteppedUpSession;
      readonly destination: string;
    }
  /** Of a confirmation: the provider did not say that it asked for a second factor just now. */
  | { readonly kind: 'not-confirmed'; readonly destination: string }
  /** Known to the provider, and no account of ours that is open to her. */
  | { readonly kind: 'no-account' }
  /** No such transaction in this browser: too late, done already, or begun in another one. */
  | { readonly kind: 'expired' }
  | { readonly kind: 'denied' | 'refused' | 'unavailable' | 'unknown' };

/** A sign-in there that is older than a session here can be does not count as a second factor (S-69). */
const oldestFactorSeconds = 8 * 3_600;
/** A return may take three requests of 10 s and one for the address: the browser's connection ends after 30 s. */
const redemptionMs = 18_000;
/** S-68 */
const freshFactorMs = 5 * 60_000;
/** Of clocks that differ, between sending the browser away and what the provider calls the moment of signing in. */
const clockToleranceMs = 60_000;

/** Signs people in by OpenID Connect: authorization code flow with PKCE, state and nonce, always all three (S-85). */
export class OidcSignIn {
  readonly #config: Config;
  readonly #providers: ReadonlyMap<string, IdentityProvider>;
  readonly #transactions: OidcTransactions;
  readonly #accounts: LinkedAccounts;
  readonly #logger: Logger;
  readonly #now: () => number;

  constructor(parts: {
    readonly config: Config;
    readonly secrets: Pick<Secrets, 'oidcProofs' | 'authorities'>;
    readonly database: Database;
    readonly guard: RowGuard;
    readonly sealBox: SealBox;
    readonly journal: Journal;
    readonly logger: Logger;
    readonly now: () => number;
    /** 10 s where not given. */
    readonly requestMs?: number;
  }) {
    const { config, secrets, database, sealBox, now } = parts;
    this.#config = config;
    this.#accounts = new LinkedAccounts(parts);
    this.#logger = parts.logger;
    this.#now = now;
    this.#transactions = new OidcTransactions({ database, sealBox, now });
    this.#providers = createProviders(config, secrets, parts);
  }

  /** Those that a domain signs in with. */
  offered(): readonly OfferedProvider[] {
    const used = new Set(
      Object.keys(this.#config.domains).map((domain) => providerOfDomain(this.#config, domain)),
    );
    return [...this.#providers].flatMap(([name, { settings }]) =>
      used.has(name) ? [{ name, label: settings.label }] : [],
    );
  }

  /** The provider of the domain of an address as typed; null where the domain has none, or is none of ours. */
  offeredTo(typed: string): OfferedProvider | null {
    const name = canonicalName(typed, this.#config.defaultDomain);
    return name === null ? null : this.#offeredIn(name.domain);
  }

  labelOf(providerName: string): string | null {
    return this.#providers.get(providerName)?.settings.label ?? null;
  }

  /** The provider that can ask this account for a second factor. */
  confirmerOf(account: Account): OfferedProvider | null {
    const offered = this.#offeredIn(domainOf(account));
    const provider = offered === null ? undefined : this.#providers.get(offered.name);
    return provider === undefined || provider.settings.mfa === null ? null : offered;
  }

  /** Changes nothing but that it enters a transaction. Throws only where the database does. */
  async begin(providerName: string, purpose: Purpose): Promise<OidcBegun> {
    const provider = this.#providers.get(providerName);
    if (provider === undefined) return { kind: 'unknown' };
    const proofs = this.#transactions.draw();
    const hasMfa = provider.settings.mfa !== null;
    const maxAge = purpose.kind === 'step-up' ? 0 : hasMfa ? oldestFactorSeconds : null;
    const asked = await provider.authorizationUrl(proofs, maxAge);
    if (asked.kind === 'unavailable') {
      this.#report('unavailable', providerName, null, asked.reason);
      return { kind: 'unavailable' };
    }
    const token = await this.#transactions.enter(providerName, proofs, purpose);
    return { kind: 'begun', to: asked.url, token };
  }

  /**
   * What a return from the provider amounts to. `token`: of the cookie. `session`: what the browser shows, which a
   * confirmation needs. The transaction is over, whatever comes of it. Throws only where the database does.
   */
  async finish(
    providerName: string,
    returned: {
      readonly token: string | undefined;
      readonly parameters: URLSearchParams;
      readonly session: PortalSession;
      readonly peer: Peer;
    },
  ): Promise<OidcResult> {
    const { result, reason, subject } = await this.#decide(providerName, returned);
    const account = 'account' in result ? result.account.address : null;
    this.#report(result.kind, providerName, account, reason, subject, returned.peer);
    return result;
  }

  async #decide(
    providerName: string,
    returned: Parameters<OidcSignIn['finish']>[1],
  ): Promise<{ readonly result: OidcResult; readonly reason?: string | null; readonly subject?: string }> {
    const provider = this.#providers.get(providerName);
    if (provider === undefined) return { result: { kind: 'unknown' } };
    const transaction = await this.#transactions.take(returned.token);
    if (transaction === null) return { result: { kind: 'expired' } };
    // S-88: an answer of one provider must not be traded with another.
    if (transaction.provider !== providerName) {
      return { result: { kind: 'refused' }, reason: 'begun with another provider' };
    }
    const redemption = await inTime(provider.redeem(returned.parameters, transaction.proofs));
    if (redemption.kind !== 'asserted')
      return { result: { kind: redemption.kind }, reason: redemption.reason };
    const { assertion } = redemption;
    const { subject } = assertion;
    try {
      const { purpose } = transaction;
      if (purpose.kind === 'step-up') {
        return { ...(await this.#confirm(assertion, transaction.at, purpose, returned.session)), subject };
      }
      const found = await this.#accounts.signInTo(
        providerName,
        assertion,
        redemption.verifiedEmail,
        returned.peer,
      );
      if (typeof found === 'string') return { result: { kind: 'no-account' }, reason: found, subject };
      const { isAdministrator } = assertion;
      const factor = this.#factorOf(found, assertion);
      return { result: { kind: 'signed-in', account: found, factor, isAdministrator }, subject };
    } catch (error) {
      if (!(error instanceof ProviderFault)) throw error;
      return { result: { kind: 'unavailable' }, reason: error.message, subject };
    }
  }

  /** S-86: the provider's second factor counts by the values that were configured, and not for ever. */
  #factorOf(account: Account, assertion: Assertion): { readonly at: number | null } | null {
    if (!assertion.isMultiFactor || mfaPolicyOf(account, this.#config) === 'off') return null;
    const { authenticatedAt: at } = assertion;
    return at !== null && this.#now() - at > oldestFactorSeconds * 1_000 + clockToleranceMs ? null : { at };
  }

  async #confirm(
    assertion: Assertion,
    begunAt: number,
    purpose: Purpose & { kind: 'step-up' },
    session: PortalSession,
  ): Promise<{ readonly result: OidcResult; readonly reason?: string }> {
    const { destination } = purpose;
    // The session that began it finishes it: else a confirmation of one person would serve another's session.
    if (session.level !== 'full' && session.level !== 'stepped-up') return { result: { kind: 'expired' } };
    if (!session.idHash.equals(purpose.sessionIdHash)) return { result: { kind: 'expired' } };
    const linked = await this.#accounts.linkedTo(assertion);
    if (linked === null || !linked.id.equals(session.account.id)) {
      return { result: { kind: 'not-confirmed', destination }, reason: 'another person' };
    }
    const { isMultiFactor, authenticatedAt } = assertion;
    if (!isMultiFactor) return { result: { kind: 'not-confirmed', destination }, reason: 'single factor' };
    const earliest = Math.max(begunAt - clockToleranceMs, this.#now() - freshFactorMs);
    if (authenticatedAt === null || authenticatedAt < earliest) {
      return { result: { kind: 'not-confirmed', destination }, reason: 'auth_time' };
    }
    return { result: { kind: 'confirmed', session, destination } };
  }

  #offeredIn(domain: string): OfferedProvider | null {
    const name = providerOfDomain(this.#config, domain);
    const label = name === null ? null : this.labelOf(name);
    return name === null || label === null ? null : { name, label };
  }

  #report(
    outcome: OidcResult['kind'],
    provider: string,
    account: string | null,
    reason: string | null = null,
    subject?: string,
    peer?: Peer,
  ): void {
    const fields = {
      event: 'sign-in',
      method: 'oidc',
      outcome,
      provider: printable(provider),
      account,
      reason,
      // What an operator links a person by.
      subject: subject === undefined ? null : printable(subject),
      address: peer?.address ?? null,
    };
    if (outcome === 'unavailable') this.#logger.error(fields, 'an identity provider could not be asked');
    else this.#logger.info(fields, 'portal sign-in');
  }
}

async function inTime(redemption: Promise<Redemption>): Promise<Redemption> {
  try {
    return await withDeadline(redemption, redemptionMs, 'the provider');
  } catch (error) {
    if (error instanceof DeadlineError) return { kind: 'unavailable', reason: error.message };
    throw error;
  }
}
