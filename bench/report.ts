import type { Column, Measurement } from './measurement.ts';
import type { Result } from './results.ts';

/** Markdown: a table for each measurement, medians with their range, and how the gateway compares to each peer. */
export function report(measurements: readonly Measurement[], results: readonly Result[]): string {
  return measurements
    .map((measurement) =>
      section(
        measurement,
        results.filter(({ measurement: name }) => name === measurement.name),
      ),
    )
    .filter((text) => text !== null)
    .join('\n');
}

function section(measurement: Measurement, results: readonly Result[]): string | null {
  const byTarget = Map.groupBy(results, ({ target }) => target);
  const [gateway = ''] = measurement.targets;
  const [compared] = measurement.columns;
  if (byTarget.size === 0 || compared === undefined) return null;
  const ours = medianOf(byTarget.get(gateway) ?? [], compared);
  const shown = measurement.columns.filter(({ key }) =>
    results.some(({ figures }) => figures[key] !== undefined),
  );
  const header = [
    '',
    `gateway ÷ this, ${compared.title}`,
    ...shown.map(({ title }) => title),
    'runs',
    'errors',
  ];
  const rows = measurement.targets.flatMap((target) => {
    const runs = byTarget.get(target);
    if (runs === undefined) return [];
    const theirs = medianOf(runs, compared);
    const ratio =
      target === gateway || ours === null || theirs === null ? '' : `**${number(ours / theirs)}**`;
    const errors = runs.reduce((sum, run) => sum + run.errors, 0);
    return [
      [target, ratio, ...shown.map((column) => spread(runs, column)), String(runs.length), String(errors)],
    ];
  });
  return [
    `### ${measurement.name}`,
    '',
    `${measurement.about}.`,
    '',
    ...[header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`),
    '',
  ].join('\n');
}

function valuesOf(runs: readonly Result[], { key }: Column): number[] {
  return runs.flatMap(({ figures }) => figures[key] ?? []).sort((a, b) => a - b);
}

function medianOf(runs: readonly Result[], column: Column): number | null {
  const values = valuesOf(runs, column);
  const middle = (values.length - 1) / 2;
  const low = values[Math.floor(middle)];
  const high = values[Math.ceil(middle)];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}

/** `median (lowest–highest)` */
function spread(runs: readonly Result[], column: Column): string {
  const values = valuesOf(runs, column);
  const median = medianOf(runs, column);
  const [lowest] = values;
  const highest = values.at(-1);
  if (median === null || lowest === undefined || highest === undefined) return '';
  return `${number(median)} (${number(lowest)}–${number(highest)})`;
}

function number(value: number): string {
  return Math.abs(value) >= 1_000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
