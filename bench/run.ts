import { parseArgs } from 'node:util';
import { makeScratchFolder } from '../src/demo/scratch-folder.ts';
import { prepareBed } from './bed.ts';
import { Generator } from './generator.ts';
import { allMeasurements } from './measurements.ts';
import { stopServers } from './processes.ts';
import { report } from './report.ts';
import { appendResult, type Result, readResults } from './results.ts';
import { measureAll } from './schedule.ts';
import type { Target } from './targets/target.ts';

const usage = `use: scripts/bench [run] [--only NAME,…] [--targets NAME,…] [--runs 3] [--secs 3] [--out FILE] [--keep]
     scripts/bench report FILE…
`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    targets: { type: 'string' },
    runs: { type: 'string', default: '3' },
    secs: { type: 'string', default: '3' },
    out: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const [command = 'run', ...files] = positionals;
if (command === 'report' && files.length > 0) {
  const results = (await Promise.all(files.map(readResults))).flat();
  process.stdout.write(report(allMeasurements(new Generator('')), results));
} else if (command === 'run' && files.length === 0) {
  await run();
} else {
  process.stderr.write(usage);
  process.exitCode = 2;
}

async function run(): Promise<void> {
  const rounds = bounded('runs', values.runs, 20);
  const extent = { seconds: bounded('secs', values.secs, 30) };
  const out = values.out ?? `bench-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.jsonl`;
  const folder = await makeScratchFolder();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stopServers().finally(() => process.exit(1)));
  }
  try {
    const bed = await prepareBed(folder.path, extent.seconds);
    const measurements = allMeasurements(bed.generator).filter(({ name }) => isChosen(values.only, name));
    if (measurements.length === 0) throw new Error(`--only: there is no measurement ${values.only}`);
    const names = new Set(measurements.flatMap(({ targets }) => targets));
    const targets = new Map<string, Target>();
    for (const name of [...names].filter((name) => isChosen(values.targets, name))) {
      say(`starting ${name}`);
      targets.set(name, await bed.start(name));
    }
    const results: Result[] = [];
    await measureAll({ measurements, targets, rounds, extent }, async (result) => {
      say(lineOf(result));
      results.push(result);
      await appendResult(out, result);
    });
    process.stdout.write(report(measurements, results));
    say(`results: ${out}`);
  } finally {
    await stopServers();
    if (values.keep) say(`kept: ${folder.path}`);
    else await folder.remove();
  }
}

function bounded(name: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 1 && value <= most) return value;
  throw new Error(`--${name} must be a number from 1 to ${most}`);
}

function isChosen(list: string | undefined, name: string): boolean {
  return list === undefined || list.split(',').includes(name);
}

function lineOf({ measurement, target, round, figures, errors, firstError }: Result): string {
  const numbers = Object.entries(figures).map(([key, value]) => `${key}=${value.toPrecision(4)}`);
  const trouble = errors > 0 ? ` errors=${errors} (${firstError})` : '';
  return `${measurement} ${round + 1} ${target}: ${numbers.join(' ')}${trouble}`;
}
