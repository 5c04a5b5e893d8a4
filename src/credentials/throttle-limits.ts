/** requirements 4.3. At the /24 or /48 every number counts eightfold. */
export interface ThrottleLimits {
  /** Different wrong secrets of an account and network in the window, from which on replies are delayed. */
  readonly delayFrom: number;
  readonly maxDelayMs: number;
  readonly refuseFrom: number;
  /** Different wrong pairs of account and secret of a network in the window. */
  readonly networkRefuseFrom: number;
  readonly windowMs: number;
  readonly refuseMs: number;
  /** How long a success exempts its account and network. */
  readonly exemptMs: number;
  /** Entries of each table; a quarter of it for the wider networks. */
  readonly entries: number;
}

export const defaultThrottleLimits: ThrottleLimits = {
  delayFrom: 10,
  maxDelayMs: 15_000,
  refuseFrom: 20,
  networkRefuseFrom: 60,
  windowMs: 3_600_000,
  refuseMs: 15 * 60_000,
  exemptMs: 24 * 3_600_000,
  entries: 16_384,
};
