import { randomBytes } from 'node:crypto';
import { hash as argon2, argon2id } from 'argon2';
import type { Config } from '../config/schema.ts';
import type { Secret } from '../secret.ts';
import { equalBytes } from './derive.ts';
import { type HashPlace, HashQueue, type HashQueueLimits } from './hash-queue.ts';
import type { KeyRing } from './key-file.ts';
import { formatPhc, parsePhc } from './phc.ts';

const labels = {
  'app-password': 'sallyport/v1/app-password/argon2-secret',
  'recovery-code': 'sallyport/v1/recovery-code/argon2-secret',
  'enrollment-code': 'sallyport/v1/enrollment-code/argon2-secret',
} as const;
/** What a secret is for: a hash of one purpose never matches for another. */
export type HashPurpose = keyof typeof labels;

const saltBytes = 16;

/** `busy`: not computed, no say about the secret. `unusable`: the row asks for what this program never writes. */
export type HashMatch = 'match' | 'differs' | 'busy' | 'unusable';

/** argon2id keyed with the pepper: without the key file a stolen database is not even worth guessing at (requirements 3.3). */
export class PasswordHash {
  readonly #keys: KeyRing;
  readonly #argon2: Config['appPasswords']['argon2'];
  readonly #queue: HashQueue;

  constructor(parts: {
    readonly keys: KeyRing;
    readonly argon2: Config['appPasswords']['argon2'];
    readonly now: () => number;
    readonly limits?: Partial<HashQueueLimits>;
  }) {
    this.#keys = parts.keys;
    this.#argon2 = parts.argon2;
    this.#queue = new HashQueue(parts.now, parts.limits);
  }

  /** A new PHC string under the active pepper. Rejects when the queue is stuck. */
  async hash(
    secret: Secret,
    purpose: HashPurpose = 'app-password',
  ): Promise<{ readonly phc: string; readonly pepperVersion: number }> {
    const pepperVersion = this.#keys.activeId('pepper');
    const salt = randomBytes(saltBytes);
    const { memoryKib, passes, lanes } = this.#argon2;
    const parameters = { memoryKib, passes, lanes, salt };
    const tag = await this.#queue.run(null, () => this.#compute(secret, purpose, pepperVersion, parameters));
    if (tag === 'busy' || tag === null) throw new Error('the secret could not be hashed');
    return { phc: formatPhc({ ...parameters, tag }), pepperVersion };
  }

  /** Whether the secret is the one behind the PHC string. Its parameters are capped before anything is computed (S-21). */
  async matches(
    secret: Secret,
    row: { readonly phc: string; readonly pepperVersion: number },
    place: HashPlace,
    purpose: HashPurpose = 'app-password',
  ): Promise<HashMatch> {
    const parsed = parsePhc(row.phc);
    if (parsed === null) return 'unusable';
    const tag = await this.#queue.run(place, () => this.#compute(secret, purpose, row.pepperVersion, parsed));
    if (tag === 'busy') return 'busy';
    if (tag === null) return 'unusable';
    return equalBytes(tag, parsed.tag) ? 'match' : 'differs';
  }

  /** Whether a PHC string has other parameters than the configuration asks for. */
  isOutdated(phc: string): boolean {
    const parsed = parsePhc(phc);
    return (
      parsed === null ||
      parsed.memoryKib !== this.#argon2.memoryKib ||
      parsed.passes !== this.#argon2.passes ||
      parsed.lanes !== this.#argon2.lanes
    );
  }

  /** null: the pepper is gone. */
  async #compute(
    secret: Secret,
    purpose: HashPurpose,
    pepperVersion: number,
    parameters: { memoryKib: number; passes: number; lanes: number; salt: Buffer },
  ): Promise<Buffer | null> {
    const key = this.#keys.derive('pepper', pepperVersion, labels[purpose]);
    if (key === null) return null;
    return await argon2(secret.bytes(), {
      raw: true,
      type: argon2id,
      version: 0x13,
      hashLength: 32,
      memoryCost: parameters.memoryKib,
      timeCost: parameters.passes,
      parallelism: parameters.lanes,
      salt: parameters.salt,
      secret: key,
    });
  }
}
