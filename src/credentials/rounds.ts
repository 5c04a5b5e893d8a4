/**
 * Work done again and again behind everything else: each round begins a while after the last one has ended, so never two at
 * once. It keeps no process alive. `round` must not reject.
 */
export class Rounds {
  readonly #everyMs: number;
  readonly #round: () => Promise<void>;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(everyMs: number, round: () => Promise<void>) {
    this.#everyMs = everyMs;
    this.#round = round;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#round().then(() => {
        if (this.#timer !== null) this.start();
      });
    }, this.#everyMs).unref();
  }

  /** Resolves when the round under way has ended. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#running;
  }
}
