import { setTimeout as sleep } from 'node:timers/promises';
import type { Config, Domain } from '../config/schema.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { SaslCredentials } from '../protocol/sasl/credentials.ts';
import type { Secret } from '../secret.ts';
import type { Database } from '../store/database.ts';
import { ForgedRowError } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';
import { type AccountName, canonicalName } from './account-name.ts';
import { readAppPassword } from './app-password.ts';
import { type CacheRecord, recordOf } from './cache-record.ts';
import { isDeniedMailbox } from './denied-mailbox.ts';
import { decodeFence, type Fence } from './fence.ts';
import type { Journal } from './journal.ts';
import type { KeyRing } from './key-file.ts';
import { KeyedRowGuard } from './keyed-row-guard.ts';
import { KnownAccounts } from './known-accounts.ts';
import { LastUsed, type LoginSource } from './last-used.ts';
import { isAllowed, splitNetworks } from './network.ts';
import type { PasswordHash } from './password-hash.ts';
import { ProofRenewal } from './proof-renewal.ts';
import type { RevocationFeed } from './revocation.ts';
import { hasScope } from './scope.ts';
import { StaleClients } from './stale-clients.ts';
import { type ProofLimits, type ProofOutcome, StoredProof, storeSilent } from './stored-proof.ts';
import type { LoginOrigin, Throttle, WrongSecret } from './throttle.ts';
import type { Protocol, RejectionReason, Verdict } from './verdict.ts';
import type { VerificationCache } from './verification-cache.ts';

export type { VerifiedLogin };

/**
 * A login that was proven. Only this file makes one and nothing else can pass for it, so whoever opens a mailbox asks for
 * this value and not for a boolean (S-14).
 */
class VerifiedLogin {
  readonly #feedSeq: number;
  readonly accountId: Buffer;
  /** The row's canonical name, never what was typed (S-04). */
  readonly address: string;
  readonly domain: string;
  readonly backend: string;
  readonly credentialId: Buffer;
  readonly protocol: Protocol;
  readonly notAfter: number | null;
  /** Whether want of use ends its app password, so that a long session must count as one. */
  readonly lapses: boolean;
  /** What its app password may send. */
  readonly fence: Fence;

  constructor(account: Account, place: Place, record: CacheRecord, fence: Fence) {
    this.#feedSeq = record.feedSeq;
    this.accountId = account.id;
    this.address = account.address;
    this.domain = place.name.domain;
    this.backend = place.domain.backend;
    this.credentialId = record.credentialId;
    this.protocol = place.protocol;
    this.notAfter = record.notAfter;
    this.lapses = record.lapsesAt !== null;
    this.fence = fence;
  }

  /** Feed number up to which revocations are accounted for; null for anything not made here. */
  static feedSeq(login: object): number | null {
    return #feedSeq in login ? login.#feedSeq : null;
  }
}

/** Throws a TypeError for anything but a login that the verifier made. */
export function assertVerified(login: VerifiedLogin): void {
  if (VerifiedLogin.feedSeq(login) === null) throw new TypeError('not a verified login');
}

/** One try to log in; `network` is what limits count by (credentials/network.ts). */
export interface LoginAttempt {
  readonly protocol: Protocol;
  readonly credentials: SaslCredentials;
  readonly address: string;
  readonly network: string;
  /** Came over the listener for old TLS (wire 123). */
  readonly legacyTls: boolean;
  /** What the client calls itself, made printable; null where it said nothing. */
  readonly client: string | null;
}

/** An attempt whose name and domain are known. */
interface Place extends Omit<LoginAttempt, 'credentials'> {
  readonly name: AccountName;
  readonly domain: Domain;
  readonly origin: LoginOrigin;
}

/** Well below the shortest time without use that can be set. */
const openNoteMs = 600_000;
/** Longer than a login may wait in the argon2 queue. */
const defaultLimits: ProofLimits = { storeMs: 5_000, hashMs: 45_000 };

/** Decides about logins: the order of the checks is the order of {@link Verifier.verify}'s text. */
export class Verifier {
  readonly #config: Config;
  readonly #cache: VerificationCache;
  readonly #revocations: RevocationFeed;
  readonly #throttle: Throttle;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #wait: (ms: number) => Promise<unknown>;
  readonly #stored: StoredProof;
  readonly #renewal: ProofRenewal;
  readonly #lastUsed: LastUsed;
  readonly #staleClients: StaleClients;
  readonly #accounts: KnownAccounts;
  readonly #notedAt = new WeakMap<VerifiedLogin, number>();

  constructor(parts: {
    readonly config: Config;
    readonly database: Database;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    readonly cache: VerificationCache;
    readonly revocations: RevocationFeed;
    readonly throttle: Throttle;
    readonly journal: Journal;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly wait?: (ms: number) => Promise<unknown>;
    readonly limits?: Partial<ProofLimits>;
  }) {
    this.#config = parts.config;
    this.#cache = parts.cache;
    this.#revocations = parts.revocations;
    this.#throttle = parts.throttle;
    this.#logger = parts.logger;
    this.#metrics = parts.metrics;
    this.#now = parts.now;
    this.#wait = parts.wait ?? ((ms) => sleep(ms));
    const limits = { ...defaultLimits, ...parts.limits };
    this.#stored = new StoredProof({ ...parts, limits });
    this.#renewal = new ProofRenewal(parts);
    this.#lastUsed = new LastUsed(parts);
    this.#staleClients = new StaleClients(parts);
    const guard = new KeyedRowGuard(parts);
    this.#accounts = new KnownAccounts({ ...parts, guard, storeMs: limits.storeMs });
  }

  /** Never rejects: whatever goes wrong inside is `unavailable` (S-14). Wipes the password. */
  async verify(attempt: LoginAttempt): Promise<Verdict> {
    try {
      return await this.#verify(attempt);
    } catch (error) {
      if (error instanceof ForgedRowError) return { kind: 'unavailable', cause: error.message };
      this.#logger.error({ err: error }, 'login not decided');
      return { kind: 'unavailable', cause: 'an internal fault' };
    } finally {
      attempt.credentials.password.wipe();
    }
  }

  async #verify({ credentials, ...from }: LoginAttempt): Promise<Verdict> {
    const name = canonicalName(credentials.authcid, this.#config.defaultDomain);
    if (name === null) return rejected('malformed-name');
    const domain = this.#domain(name.domain);
    if (domain === null) return rejected('unknown-account');
    // The gateway logs in to the backend as master: an unchecked authzid would be every mailbox (S-05).
    if (credentials.authzid.length > 0) {
      const authzid = canonicalName(credentials.authzid, this.#config.defaultDomain);
      if (authzid?.address !== name.address) return rejected('authzid-differs');
    }

    const origin = { account: name.address, address: from.address };
    const retryAfterMs = this.#throttle.refusedForMs(origin);
    if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs };

    const typed = readAppPassword(credentials.password.bytes());
    // Most likely a main password: from here it goes nowhere, not even into a hash (S-15).
    if (typed.kind !== 'secret') {
      await this.#delay(origin, null);
      const reason = typed.kind === 'other' ? 'not-an-app-password' : typed.kind;
      return rejected(reason, { appPasswordRequired: domain.mfa === 'required' });
    }
    try {
      return await this.#prove({ ...from, name, domain, origin }, typed.secret);
    } finally {
      typed.secret.wipe();
    }
  }

  async #prove(place: Place, secret: Secret): Promise<Verdict> {
    const backend = this.#config.backends[place.domain.backend];
    const found = await this.#accounts.find(place.name.address, isDeniedMailbox(backend, place.name));
    const accountId = found.id;

    const hit = await this.#cache.find(accountId, secret);
    if (hit !== null && found.account !== null) {
      return this.#admit(place, found.account, hit.record, hit.source);
    }
    if (found.isStoreDown) return { kind: 'unavailable', cause: storeSilent };

    const claim = { accountId, address: place.name.address, network: place.network };
    const proof = await this.#stored.prove(claim, secret);
    switch (proof.kind) {
      case 'unavailable':
        return proof;
      case 'wrong':
        await this.#delay(place.origin, { accountId, secret });
        return rejected(found.account === null ? 'unknown-account' : 'wrong');
      case 'ended':
        if (found.account === null) throw new Error('an app password without an account');
        return this.#turnAwayStale(place, found.account, proof);
      case 'proven': {
        if (found.account === null) throw new Error('an app password without an account');
        const { row, feedSeq } = proof;
        const record = recordOf(row, feedSeq, this.#now());
        this.#renewal.start(row, found.account.address, secret);
        await this.#cache.keep(secret, record);
        return this.#admit(place, found.account, record, 'store');
      }
      default:
        proof satisfies never;
        throw new Error('unknown outcome of a proof');
    }
  }

  /** The secret is proven; all else is judged at every login, cached or not (S-17). */
  #admit(place: Place, account: Account, record: CacheRecord, source: 'memory' | 'redis' | 'store'): Verdict {
    const { credentialId } = record;
    if (account.state === 'disabled') return rejected('account-disabled', { credentialId });
    if (account.state !== 'active') throw new Error('unknown state of an account');
    if (record.notAfter !== null && record.notAfter <= this.#now())
      return rejected('expired', { credentialId });
    if (!hasScope(record.scopes, place.protocol)) return rejected('wrong-protocol', { credentialId });
    if (place.legacyTls && !hasScope(record.scopes, 'legacy-tls'))
      return rejected('wrong-security', { credentialId });
    if (!isAllowed(place.address, splitNetworks(record.networks)))
      return rejected('wrong-network', { credentialId });
    const fence = decodeFence(record.fence);
    if (fence === null) throw new Error('an app password is fenced in a way that this version does not know');

    this.#metrics.verifications.inc({ source });
    this.#accounts.remember(account);
    this.#throttle.right(place.origin);
    this.#lastUsed.note(credentialId, place);
    return { kind: 'verified', login: new VerifiedLogin(account, place, record, fence) };
  }

  /** Nothing was guessed, so nothing is counted: an old phone must not slow its owner. And nothing is told but the wire's no. */
  #turnAwayStale(place: Place, account: Account, proof: ProofOutcome & { readonly kind: 'ended' }): Verdict {
    const { because, credentialId } = proof;
    if (account.state === 'disabled') return rejected('account-disabled', { credentialId });
    // A paused one has not ended: its owner knows that the device goes on.
    if (because !== 'paused') this.#staleClients.note(credentialId, place);
    return rejected(because, { credentialId });
  }

  /** Whether nothing ended the login since: asked once more when its session is registered (S-54). */
  stillValid(login: VerifiedLogin): boolean {
    const feedSeq = VerifiedLogin.feedSeq(login);
    return (
      feedSeq !== null &&
      (login.notAfter === null || this.#now() < login.notAfter) &&
      !this.#revocations.voids(login.credentialId, login.accountId, feedSeq)
    );
  }

  /** For open sessions, now and then: one of an app password that lapses for want of use is a use. */
  noteOpen(login: VerifiedLogin, source: LoginSource): void {
    const now = this.#now();
    if (!login.lapses || now - (this.#notedAt.get(login) ?? Number.NEGATIVE_INFINITY) < openNoteMs) return;
    this.#notedAt.set(login, now);
    this.#lastUsed.note(login.credentialId, source);
  }

  /** Writes what was put off. */
  async stop(): Promise<void> {
    await this.#renewal.stop();
    await this.#lastUsed.stop();
    await this.#staleClients.stop();
  }

  /** Own keys only: `constructor` is a domain name too. */
  #domain(name: string): Domain | null {
    return (Object.hasOwn(this.#config.domains, name) ? this.#config.domains[name] : null) ?? null;
  }

  async #delay(origin: LoginOrigin, tried: WrongSecret | null): Promise<void> {
    const ms = this.#throttle.wrong(origin, tried);
    if (ms > 0) await this.#wait(ms);
  }
}

function rejected(
  reason: RejectionReason,
  more: { readonly appPasswordRequired?: boolean; readonly credentialId?: Buffer } = {},
): Verdict {
  return { kind: 'rejected', reason, appPasswordRequired: false, credentialId: null, ...more };
}
