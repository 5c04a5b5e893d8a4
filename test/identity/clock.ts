/** Time that stands still until it is moved; `monotonic` follows it, but for {@link Clock.step}. */
export class Clock {
  #now = Date.UTC(2026, 10, 24, 12, 0, 0);
  #monotonic = 0;

  readonly now = (): number => this.#now;
  readonly monotonic = (): number => this.#monotonic;

  advance(ms: number): void {
    this.#now += ms;
    this.#monotonic += ms;
  }

  /** Sets the time of day alone, as an operator or NTP does. */
  step(ms: number): void {
    this.#now += ms;
  }
}

export const seconds = 1_000;
export const minutes = 60_000;
export const hours = 3_600_000;
export const days = 86_400_000;
