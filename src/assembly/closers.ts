import { withDeadline } from '../credentials/deadline.ts';
import type { Logger } from '../observability/logger.ts';

const closeMs = 5_000;

/** What was opened, to be closed in the opposite order. */
export class Closers {
  readonly #logger: Logger;
  readonly #closers: (() => unknown)[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(close: () => unknown): void {
    this.#closers.push(close);
  }

  async closeAll(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        // One part that hangs or throws must not keep the others, nor the process.
        await withDeadline(Promise.resolve(close()), closeMs, 'a part that closes');
      } catch (error) {
        this.#logger.error({ err: error }, 'not closed in order');
      }
    }
  }
}
