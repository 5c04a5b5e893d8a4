import { setTimeout as delay } from 'node:timers/promises';
import type { Extent, Measurement } from './measurement.ts';
import type { Result } from './results.ts';
import type { Target } from './targets/target.ts';

/**
 * Each measurement in rounds, every target once per round and in turning order, so that what else the machine does meets
 * them alike. All targets are up, and idle while another is measured.
 */
export async function measureAll(
  plan: {
    readonly measurements: readonly Measurement[];
    readonly targets: ReadonlyMap<string, Target>;
    readonly rounds: number;
    readonly extent: Extent;
  },
  onResult: (result: Result) => Promise<void>,
): Promise<void> {
  for (const measurement of plan.measurements) {
    const rounds = Math.min(plan.rounds, measurement.maxRounds ?? plan.rounds);
    for (let round = 0; round < rounds; round += 1) {
      const targets = measurement.targets.flatMap((name) => plan.targets.get(name) ?? []);
      if (round % 2 === 1) targets.reverse();
      for (const target of targets) {
        const outcome = await measurement.run(target, plan.extent);
        await onResult({
          measurement: measurement.name,
          target: target.name,
          round,
          at: new Date().toISOString(),
          ...outcome,
        });
        await delay(200);
      }
    }
  }
}
