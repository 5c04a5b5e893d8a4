import type { Logger } from '../observability/logger.ts';
import { Secret } from '../secret.ts';
import { replaceProof } from '../store/app-passwords.ts';
import type { Database } from '../store/database.ts';
import type { AppPasswordRow } from '../store/schema.ts';
import type { KeyRing } from './key-file.ts';
import type { PasswordHash } from './password-hash.ts';
import { rowMac } from './row-mac.ts';
import { selectorOf } from './selector.ts';
import { isMacOutdated } from './versioned-mac.ts';

/**
 * Moves rows to the active keys and the configured argon2 parameters when their secret is at hand, which is at a login
 * that proved it (S-40). Behind the login: a failure costs nothing, the next login tries again.
 */
export class ProofRenewal {
  readonly #database: Database;
  readonly #keys: KeyRing;
  readonly #passwordHash: PasswordHash;
  readonly #logger: Logger;
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: {
    readonly database: Database;
    readonly keys: KeyRing;
    readonly passwordHash: PasswordHash;
    readonly logger: Logger;
  }) {
    this.#database = parts.database;
    this.#keys = parts.keys;
    this.#passwordHash = parts.passwordHash;
    this.#logger = parts.logger;
  }

  /** Copies the secret if it needs it; the caller may wipe its own. */
  start(row: AppPasswordRow, address: string, secret: Secret): void {
    const id = row.id.toString('hex');
    const isProofOutdated =
      // A newer one is another node's that has activated it already.
      row.pepper_version < this.#keys.activeId('pepper') || this.#passwordHash.isOutdated(row.phc);
    if (this.#running.has(id) || !(isProofOutdated || isMacOutdated(this.#keys, row.row_mac))) return;
    const copy = new Secret(Buffer.from(secret.bytes()));
    const renewal = this.#renew(row, address, copy, isProofOutdated)
      .catch((error: unknown) => {
        this.#logger.warn({ err: error, credential: id }, 'app password not moved to the active keys');
      })
      .finally(() => {
        copy.wipe();
        this.#running.delete(id);
      });
    this.#running.set(id, renewal);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  async #renew(
    row: AppPasswordRow,
    address: string,
    secret: Secret,
    isProofOutdated: boolean,
  ): Promise<void> {
    const proof = isProofOutdated ? await this.#newProof(row, secret) : row;
    const { pepper_version, selector, phc } = proof;
    const row_mac = rowMac(this.#keys, address, { ...row, pepper_version, selector, phc });
    await replaceProof(this.#database, row, { pepper_version, selector, phc, row_mac });
  }

  async #newProof(
    row: AppPasswordRow,
    secret: Secret,
  ): Promise<Pick<AppPasswordRow, 'pepper_version' | 'selector' | 'phc'>> {
    const { phc, pepperVersion } = await this.#passwordHash.hash(secret);
    const selector = selectorOf(this.#keys, pepperVersion, row.account_id, secret);
    if (selector === null) throw new Error('the active pepper cannot be derived');
    return { pepper_version: pepperVersion, selector, phc };
  }
}
