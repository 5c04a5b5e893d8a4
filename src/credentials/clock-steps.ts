/** NTP slews by less than that between two looks; a clock that was set is off by more (S-27). */
export const toleratedStepMs = 5_000;

/** The time of day, and milliseconds that nobody sets. */
export interface Clocks {
  readonly now: () => number;
  readonly monotonic: () => number;
}

/** Notices that the time of day was set, forwards or backwards, by holding it against a clock that nobody sets. */
export class ClockSteps {
  readonly #clocks: Clocks;
  #offset: number;

  constructor({ now, monotonic }: Clocks) {
    this.#clocks = { now, monotonic };
    this.#offset = now() - monotonic();
  }

  /** Milliseconds by which the clock was set since the last call, less than 0 for backwards; 0 where it was not. */
  take(): number {
    const offset = this.#clocks.now() - this.#clocks.monotonic();
    const step = offset - this.#offset;
    this.#offset = offset;
    return Math.abs(step) > toleratedStepMs ? step : 0;
  }
}
