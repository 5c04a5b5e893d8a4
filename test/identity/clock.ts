/** Time that stands still until it is moved. */
export class Clock {
  #now = Date.UTC(2026, 10, 24, 12, 0, 0);

  readonly now = (): number => this.#now;

  advance(ms: number): void {
    this.#now += ms;
  }
}

export const seconds = 1_000;
export const minutes = 60_000;
export const hours = 3_600_000;
export const days = 86_400_000;
