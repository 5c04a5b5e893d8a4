import { PasswordHash } from '../../src/credentials/password-hash.ts';

/** Hashes when it is let: until then an app password is under way, as while the argon2 queue is long. */
export class HeldHash extends PasswordHash {
  readonly #reached = Promise.withResolvers<void>();
  readonly #gate = Promise.withResolvers<void>();
  readonly reached = this.#reached.promise;

  release(): void {
    this.#gate.resolve();
  }

  override async hash(...given: Parameters<PasswordHash['hash']>) {
    this.#reached.resolve();
    await this.#gate.promise;
    return await super.hash(...given);
  }
}
