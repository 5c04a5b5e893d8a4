import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds } from './accounting.ts';
import { openProofCount, type ProofSource } from './gateway-metrics.ts';
import type { Generator, Load, LoadResult } from './generator.ts';
import type { Column, Extent, Outcome } from './measurement.ts';
import type { Target } from './targets/target.ts';

export const loginColumns: readonly Column[] = [
  { key: 'cpuMs', title: 'CPU ms' },
  { key: 'besideMs', title: 'helper CPU ms' },
  { key: 'rate', title: 'per second' },
  { key: 'coreShare', title: 'core share' },
  { key: 'p50', title: 'p50 ms' },
  { key: 'p99', title: 'p99 ms' },
];

/** What a load is to a target, and what counts as one operation. */
export interface LoadPlan {
  load(target: Target, extent: Extent): Load;
  operations(result: LoadResult): number;
  /** Before each run: a fresh process that has not seen the cold credentials. */
  readonly isCold?: boolean;
  /** What must have proven the gateway's logins, or the run measured something else. */
  readonly provenBy?: ProofSource;
}

/** CPU per operation, rate, and latencies of one load. */
export function measureLoad(generator: Generator, plan: LoadPlan) {
  return async (target: Target, extent: Extent): Promise<Outcome> => {
    if (plan.isCold === true) await target.restart();
    const proven = plan.provenBy === undefined ? null : await openProofCount(target, plan.provenBy);
    const account = openAccount(target);
    const result = await generator.run(plan.load(target, extent));
    const spent = await account();
    const operations = plan.operations(result);
    const count = (await proven?.()) ?? operations;
    if (count < operations) {
      throw new Error(`${plan.provenBy} proved only ${count} of ${operations} logins at ${target.name}`);
    }
    return {
      figures: {
        cpuMs: (spent.target / operations) * 1_000,
        ...(target.beside.length > 0 ? { besideMs: (spent.beside / operations) * 1_000 } : {}),
        rate: operations / result.seconds,
        coreShare: spent.target / result.seconds,
        p50: result.p50,
        p99: result.p99,
      },
      errors: result.errors,
      firstError: result.firstError,
    };
  };
}

/** Counts CPU seconds from now on. */
export function openAccount(
  target: Target,
): () => Promise<{ readonly target: number; readonly beside: number }> {
  const read = () => ({
    target: cpuSeconds(target.servers.map(({ pid }) => pid)),
    beside: cpuSeconds(target.beside.map(({ pid }) => pid)),
  });
  const before = read();
  return async () => {
    // The last connections are still being closed.
    await delay(150);
    const after = read();
    return { target: after.target - before.target, beside: after.beside - before.beside };
  };
}
