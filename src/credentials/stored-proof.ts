import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Secret } from '../secret.ts';
import { hasEnded } from '../store/app-password-life.ts';
import { findPossible } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import type { AppPasswordRow } from '../store/schema.ts';
import { withDeadline } from './deadline.ts';
import { keyedHash, lengthPrefixed } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import type { PasswordHash } from './password-hash.ts';
import type { RevocationFeed } from './revocation.ts';
import { isRowGenuine } from './row-mac.ts';
import { selectorOf } from './selector.ts';

/** What the store and argon2id say of a secret. Attributes of a proven row are the caller's to judge (S-17). */
export type ProofOutcome =
  | { readonly kind: 'proven'; readonly row: AppPasswordRow; readonly feedSeq: number }
  | { readonly kind: 'wrong' }
  /** It was one, which the store and argon2id prove, and is no longer. */
  | { readonly kind: 'ended'; readonly because: End; readonly credentialId: Buffer }
  | { readonly kind: 'unavailable'; readonly cause: string };

/** Why an app password opens nothing. */
type End = 'revoked' | 'paused' | 'expired';

/** Whose secret it would be; an unknown name has an id that no row has, so that it costs the same (S-18). */
export interface Claim {
  readonly accountId: Buffer;
  readonly address: string;
  readonly network: string;
}

/** How long a step may take before it counts as a fault. */
export interface ProofLimits {
  readonly storeMs: number;
  readonly hashMs: number;
}

/** The cause of an outage that is the store's. */
export const storeSilent = 'the store does not answer';

const unknownPepper = 'an app password is under a key that this key file lacks';

const wrongMs = 60_000;
const wrongEntries = 10_000;
/** A stale client polls every few minutes: one argon2id an hour for each. Its row is looked at each time. */
const endedMs = 3_600_000;

/** Why a secret that met a selector opens nothing. */
type Refutation = ProofOutcome & { readonly kind: 'wrong' | 'ended' };

/** The slow way to prove a secret, single-flight per account and secret (S-22). */
export class StoredProof {
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #passwordHash: PasswordHash;
  readonly #revocations: RevocationFeed;
  readonly #logger: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #limits: ProofLimits;
  readonly #processKey = randomBytes(32);
  readonly #running = new Map<string, Promise<ProofOutcome>>();
  /** Secrets that met a selector and were not it: repeating one must not buy another argon2id. */
  readonly #refuted = new LRUCache<string, { readonly refutation: Refutation; readonly until: number }>({
    max: wrongEntries,
  });

  constructor(parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    readonly revocations: RevocationFeed;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly limits: ProofLimits;
  }) {
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#passwordHash = parts.passwordHash;
    this.#revocations = parts.revocations;
    this.#logger = parts.logger;
    this.#metrics = parts.metrics;
    this.#now = parts.now;
    this.#limits = parts.limits;
  }

  /** Rejects only for a fault of the program. The secret must live until the promise settles. */
  prove(claim: Claim, secret: Secret): Promise<ProofOutcome> {
    const key = this.#key(claim.accountId, secret);
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const proof = this.#prove(claim, secret, key).finally(() => this.#running.delete(key));
    this.#running.set(key, proof);
    return proof;
  }

  async #prove(claim: Claim, secret: Secret, key: string): Promise<ProofOutcome> {
    // Read before the rows: a revocation that they do not show yet is later than this.
    const feedSeq = this.#revocations.seq;
    if (feedSeq < 0) return { kind: 'unavailable', cause: 'the revocation feed was not read yet' };
    const possible = await this.#possible(claim.accountId, secret);
    if (possible === null) return { kind: 'unavailable', cause: storeSilent };
    const peppers = this.#keys.ids('pepper');
    const rows = possible.filter((row) => peppers.includes(row.pepper_version));
    const refuted = rows.length === 0 ? null : this.#remembered(key, rows);
    if (refuted !== null) return refuted;

    let refutation: Refutation = { kind: 'wrong' };
    // Other nodes were given a key that this one was not: an outage of this one.
    let cause = rows.length < possible.length ? unknownPepper : null;
    for (const row of rows) {
      const answer = await this.#ask(row, claim, secret);
      switch (answer) {
        case 'match': {
          const because = this.#endedBecause(row);
          if (because === null) return { kind: 'proven', row, feedSeq };
          refutation = { kind: 'ended', because, credentialId: row.id };
          break;
        }
        case 'differs':
          break;
        case 'busy':
          cause ??= 'the argon2 queue is full';
          break;
        case 'unusable':
          cause ??= 'an app password row is not as the gateway wrote it';
          break;
        default:
          answer satisfies never;
          cause ??= 'the app password could not be compared';
      }
    }
    // One that could not be asked may have been the right one: an outage, not a wrong password.
    if (cause !== null) return { kind: 'unavailable', cause };
    if (rows.length > 0) {
      const forMs = refutation.kind === 'wrong' ? wrongMs : endedMs;
      this.#refuted.set(key, { refutation, until: this.#now() + forMs });
    }
    return refutation;
  }

  /** null: to be asked again, because time has passed or the row it was proven by lives again. */
  #remembered(key: string, rows: readonly AppPasswordRow[]): Refutation | null {
    const refuted = this.#refuted.get(key);
    if (refuted === undefined || refuted.until <= this.#now()) return null;
    const { refutation } = refuted;
    if (refutation.kind === 'wrong') return refutation;
    const row = rows.find(({ id }) => id.equals(refutation.credentialId));
    const because = row === undefined ? null : this.#endedBecause(row);
    return because === null ? null : { ...refutation, because };
  }

  #endedBecause(row: AppPasswordRow): End | null {
    if (row.state === 'paused') return 'paused';
    if (row.state !== 'active') return 'revoked';
    return hasEnded(row, this.#now()) ? 'expired' : null;
  }

  /** null: the store is down. */
  async #possible(accountId: Buffer, secret: Secret): Promise<readonly AppPasswordRow[] | null> {
    const selectors = this.#keys.ids('pepper').flatMap((pepperVersion) => {
      const selector = selectorOf(this.#keys, pepperVersion, accountId, secret);
      return selector === null ? [] : [{ pepperVersion, selector }];
    });
    try {
      const finding = findPossible(this.#database, accountId, selectors);
      return await withDeadline(finding, this.#limits.storeMs, 'the store');
    } catch (error) {
      this.#logger.error({ err: error }, storeSilent);
      return null;
    }
  }

  /** Genuine first, so that a row that SQL was made to hold is never hashed (S-21, S-34). */
  async #ask(row: AppPasswordRow, claim: Claim, secret: Secret) {
    const { accountId, address, network } = claim;
    const genuine = isRowGenuine(this.#keys, address, row);
    const matching = genuine
      ? this.#passwordHash.matches(
          secret,
          { phc: row.phc, pepperVersion: row.pepper_version },
          { account: accountId.toString('hex'), network },
        )
      : Promise.resolve('unusable' as const);
    const answer = await withDeadline(matching, this.#limits.hashMs, 'the argon2 pool');
    if (answer === 'unusable') {
      this.#metrics.integrityAlarms.inc({ table: 'app_password' });
      this.#logger.error(
        { credential: row.id.toString('hex'), account: address, genuine },
        'app password row refused: it is not as the gateway wrote it',
      );
    }
    return answer;
  }

  #key(accountId: Buffer, secret: Secret): string {
    const hash = keyedHash(this.#processKey, lengthPrefixed(accountId), lengthPrefixed(secret.bytes()));
    return hash.toString('base64url');
  }
}
