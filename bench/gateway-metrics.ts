import type { Target } from './targets/target.ts';

/** What proved an app password, as the gateway counts it. */
export type ProofSource = 'memory' | 'redis' | 'store';

/** One value of the gateway's metrics page, 0 where it was never counted; null for a target that has no such page. */
export async function gatewayMetric({ metricsUrl }: Target, name: string): Promise<number | null> {
  if (metricsUrl === null) return null;
  const page = await (await fetch(metricsUrl)).text();
  const line = page.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

/** Counts what `source` proves from now on; answers null for a target that does not tell. */
export async function openProofCount(
  target: Target,
  source: ProofSource,
): Promise<() => Promise<number | null>> {
  const read = () => gatewayMetric(target, `sallyport_verifications_total{source="${source}"}`);
  const before = await read();
  return async () => {
    const after = await read();
    return before === null || after === null ? null : after - before;
  };
}
