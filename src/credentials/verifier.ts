import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Config, Domain } from '../config/schema.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { SaslCredentials } from '../protocol/sasl/credentials.ts';
import type { Secret } from '../secret.ts';
import { findAccount } from '../store/accounts.ts';
import type { Database } from '../store/database.ts';
import { ForgedRowError } from '../store/row-guard.ts';
import type { Account } from '../store/schema.ts';
import { type AccountName, canonicalName } from './account-name.ts';
import { parseAppPassword } from './app-password.ts';
import type { CacheRecord } from './cache-record.ts';
import { withDeadline } from './deadline.ts';
import { isDeniedMailbox } from './denied-mailbox.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { KeyedRowGuard } from './keyed-row-guard.ts';
import { LastUsed } from './last-used.ts';
import { isAllowed, splitNetworks } from './network.ts';
import type { PasswordHash } from './password-hash.ts';
import { ProofRenewal } from './proof-renewal.ts';
import type { RevocationFeed } from './revocation.ts';
import { hasScope } from './scope.ts';
import { type ProofLimits, StoredProof, storeSilent } from './stored-proof.ts';
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

  constructor(account: Account, place: Place, record: CacheRecord) {
    this.#feedSeq = record.feedSeq;
    this.accountId = account.id;
    this.address = account.address;
    this.domain = place.name.domain;
    this.backend = place.domain.backend;
    this.credentialId = record.credentialId;
    this.protocol = place.protocol;
    this.notAfter = record.notAfter;
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
}

/** An attempt whose name and domain are known. */
interface Place {
  readonly protocol: Protocol;
  readonly address: string;
  readonly network: string;
  readonly name: AccountName;
  readonly domain: Domain;
  readonly origin: LoginOrigin;
}

const knownAccounts = 50_000;
/** Longer than a login may wait in the argon2 queue. */
const defaultLimits: ProofLimits = { storeMs: 5_000, hashMs: 45_000 };

/** Decides about logins: the order of the checks is the order of {@link Verifier.verify}'s text. */
export class Verifier {
  readonly #config: Config;
  readonly #database: Database;
  readonly #guard: KeyedRowGuard;
  readonly #cache: VerificationCache;
  readonly #revocations: RevocationFeed;
  readonly #throttle: Throttle;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #wait: (ms: number) => Promise<unknown>;
  readonly #limits: ProofLimits;
  readonly #stored: StoredProof;
  readonly #renewal: ProofRenewal;
  readonly #lastUsed: LastUsed;
  /** Accounts that logged in here, for logins from cached records while the store is down. */
  readonly #known = new LRUCache<string, Account>({ max: knownAccounts });
  readonly #processKey = randomBytes(32);

  constructor(parts: {
    readonly config: Config;
    readonly database: Database;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    readonly cache: VerificationCache;
    readonly revocations: RevocationFeed;
    readonly throttle: Throttle;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly wait?: (ms: number) => Promise<unknown>;
    readonly limits?: Partial<ProofLimits>;
  }) {
    this.#config = parts.config;
    this.#database = parts.database;
    this.#guard = new KeyedRowGuard(parts);
    this.#cache = parts.cache;
    this.#revocations = parts.revocations;
    this.#throttle = parts.throttle;
    this.#logger = parts.logger;
    this.#metrics = parts.metrics;
    this.#now = parts.now;
    this.#wait = parts.wait ?? ((ms) => sleep(ms));
    this.#limits = { ...defaultLimits, ...parts.limits };
    this.#stored = new StoredProof({ ...parts, limits: this.#limits });
    this.#renewal = new ProofRenewal(parts);
    this.#lastUsed = new LastUsed(parts);
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

  async #verify({ protocol, credentials, address, network }: LoginAttempt): Promise<Verdict> {
    const name = canonicalName(credentials.authcid, this.#config.defaultDomain);
    if (name === null) return rejected('malformed-name');
    const domain = this.#domain(name.domain);
    if (domain === null) return rejected('unknown-account');
    // The gateway logs in to the backend as master: an unchecked authzid would be every mailbox (S-05).
    if (credentials.authzid.length > 0) {
      const authzid = canonicalName(credentials.authzid, this.#config.defaultDomain);
      if (authzid?.address !== name.address) return rejected('authzid-differs');
    }

    const origin = { account: name.address, address };
    const retryAfterMs = this.#throttle.refusedForMs(origin);
    if (retryAfterMs > 0) return { kind: 'throttled', retryAfterMs };

    const secret = parseAppPassword(credentials.password.bytes());
    // Most likely a main password: from here it goes nowhere, not even into a hash (S-15).
    if (secret === null) {
      await this.#delay(origin, null);
      return rejected('not-an-app-password', domain.mfa === 'required');
    }
    try {
      return await this.#prove({ protocol, address, network, name, domain, origin }, secret);
    } finally {
      secret.wipe();
    }
  }

  async #prove(place: Place, secret: Secret): Promise<Verdict> {
    const backend = this.#config.backends[place.domain.backend];
    const found = await this.#account(place.name.address, isDeniedMailbox(backend, place.name));
    const accountId = found.account?.id ?? this.#decoyId(place.name.address);

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
      case 'revoked':
      case 'wrong':
        await this.#delay(place.origin, { accountId, secret });
        return rejected(found.account === null ? 'unknown-account' : proof.kind);
      case 'proven': {
        if (found.account === null) throw new Error('an app password without an account');
        const { row, feedSeq } = proof;
        const record: CacheRecord = {
          credentialId: row.id,
          accountId: row.account_id,
          scopes: row.scopes,
          verifiedAt: this.#now(),
          notAfter: row.not_after,
          feedSeq,
          networks: row.networks,
        };
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
    if (account.state === 'disabled') return rejected('account-disabled');
    if (account.state !== 'active') throw new Error('unknown state of an account');
    if (record.notAfter !== null && record.notAfter <= this.#now()) return rejected('expired');
    if (!hasScope(record.scopes, place.protocol)) return rejected('wrong-protocol');
    if (!isAllowed(place.address, splitNetworks(record.networks))) return rejected('wrong-network');

    this.#metrics.verifications.inc({ source });
    this.#known.set(account.address, account);
    this.#throttle.right(place.origin);
    this.#lastUsed.note(record.credentialId, place.address, place.protocol);
    return { kind: 'verified', login: new VerifiedLogin(account, place, record) };
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

  /** Writes what was put off. */
  async stop(): Promise<void> {
    await this.#renewal.stop();
    await this.#lastUsed.stop();
  }

  /** Own keys only: `constructor` is a domain name too. */
  #domain(name: string): Domain | null {
    return (Object.hasOwn(this.#config.domains, name) ? this.#config.domains[name] : null) ?? null;
  }

  /** A denied mailbox is looked up like any other, and then has no account: the same work, the same answer. */
  async #account(
    address: string,
    isDenied: boolean,
  ): Promise<{ readonly account: Account | null; readonly isStoreDown: boolean }> {
    try {
      const finding = findAccount(this.#database, this.#guard, address);
      const account = await withDeadline(finding, this.#limits.storeMs, 'the store');
      return { account: isDenied ? null : account, isStoreDown: false };
    } catch (error) {
      if (error instanceof ForgedRowError) throw error;
      this.#logger.error({ err: error }, storeSilent);
      return { account: isDenied ? null : (this.#known.get(address) ?? null), isStoreDown: true };
    }
  }

  /** An id that no row has, the same for one name: an unknown account costs what a wrong secret costs (S-18). */
  #decoyId(address: string): Buffer {
    return keyedHash(this.#processKey, lengthPrefixed(address)).subarray(0, 16);
  }

  async #delay(origin: LoginOrigin, tried: WrongSecret | null): Promise<void> {
    const ms = this.#throttle.wrong(origin, tried);
    if (ms > 0) await this.#wait(ms);
  }
}

function rejected(reason: RejectionReason, appPasswordRequired = false): Verdict {
  return { kind: 'rejected', reason, appPasswordRequired };
}
