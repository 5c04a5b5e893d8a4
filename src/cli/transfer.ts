import type { Command } from 'commander';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { accounts } from './transfer/accounts.ts';
import { appPasswords } from './transfer/app-passwords.ts';
import { formatOf, type LineProblem, readLines, readTextFile, writeEntries } from './transfer/file.ts';
import type { Kind, Plan } from './transfer/kind.ts';
import { type Workbench, withWorkbench } from './workbench.ts';

interface TransferOptions extends CommonOptions {
  readonly format?: string;
  readonly dryRun?: boolean;
}

const kinds: Readonly<Record<string, Kind>> = { accounts, 'app-passwords': appPasswords };
const named = Object.keys(kinds).join(' or ');

/** `export｜import accounts｜app-passwords`. */
export function addTransferCommands(program: Command, io: CommandIo): void {
  program
    .command('export <what> [file]')
    .description(`write ${named} to a new file, or to standard output; never a secret`)
    .option('--format <csv|json>', 'else as the file is called, else csv')
    .action(async (what: string, file: string | undefined, _: unknown, command: Command) =>
      exportTo(kindOf(what), file, command.optsWithGlobals(), io),
    );

  program
    .command('import <what> <file>')
    .description(`make and change ${named} as a file says; of app passwords it makes none`)
    .option('--format <csv|json>', 'else as the file is called, else csv')
    .option('--dry-run', 'say what would change, and change nothing')
    .addHelpText(
      'after',
      '\nThe columns are those of an export. One that the file lacks stays as it is, and so does everything while a line\n' +
        'is wrong: all of them are told. The same file again changes nothing.',
    )
    .action(async (what: string, file: string, _: unknown, command: Command) =>
      importFrom(kindOf(what), file, command.optsWithGlobals(), io),
    );
}

function kindOf(what: string): Kind {
  const kind = Object.hasOwn(kinds, what) ? kinds[what] : undefined;
  if (kind !== undefined) return kind;
  throw new CommandFailure(exitCode.usage, `Say ${named}, not "${what}".`);
}

async function exportTo(
  kind: Kind,
  file: string | undefined,
  options: TransferOptions,
  io: CommandIo,
): Promise<void> {
  const format = formatOf(options.format ?? (options.json === true ? 'json' : undefined), file);
  const work = async (bench: Workbench) => {
    let forged = 0;
    const pages = kind.pages(bench, () => {
      forged += 1;
    });
    const count = await writeEntries(pages, { file, format, columns: kind.columns }, io);
    if (forged > 0) io.err(`Warning: ${forged} rows were changed by hand in the database, and are left out.`);
    if (file !== undefined && file !== '-') io.err(`${count} written to ${file}.`);
    await bench.note({ account: null, event: { action: kind.exported, count } });
  };
  await withWorkbench(options, io, work, 'read');
}

async function importFrom(kind: Kind, file: string, options: TransferOptions, io: CommandIo): Promise<void> {
  const format = formatOf(options.format, file);
  const reading = readLines(await readTextFile(file), format, kind.columns);
  const work = async (bench: Workbench) => {
    const plan = await kind.plan(bench, reading.lines, io.now());
    const problems = [...reading.problems, ...plan.problems].toSorted(
      (left, right) => left.line - right.line,
    );
    if (problems.length > 0) refuse(problems, 'Nothing was changed.', options, io);
    const late = options.dryRun === true ? [] : await carryOut(plan, io);
    if (late.length > 0) refuse(late, 'The rest was done.', options, io);
    report(plan, options, io);
  };
  await withWorkbench(options, io, work, options.dryRun === true ? 'read' : 'write');
}

/** Each by itself: a file of 100,000 lines must not hold the database, and run again it goes on. */
async function carryOut(plan: Plan, io: CommandIo): Promise<readonly LineProblem[]> {
  const problems: LineProblem[] = [];
  for (const [index, { line, run }] of plan.steps.entries()) {
    if (io.signal.aborted) {
      throw new CommandFailure(
        exitCode.failed,
        `Stopped after ${index} changes; the same file again goes on.`,
      );
    }
    const problem = await run();
    if (problem !== null) problems.push({ line, problem });
  }
  return problems;
}

function refuse(
  problems: readonly LineProblem[],
  what: string,
  options: TransferOptions,
  io: CommandIo,
): never {
  if (options.json === true) io.out(json({ problems }));
  for (const { line, problem } of problems) io.err(`line ${line}: ${problem}.`);
  throw new CommandFailure(exitCode.failed, what);
}

function report({ steps, unchanged }: Plan, options: TransferOptions, io: CommandIo): void {
  const created = steps.filter(({ isNew }) => isNew).length;
  const changed = steps.length - created;
  const isDryRun = options.dryRun === true;
  if (options.json === true) io.out(json({ created, changed, unchanged, isDryRun, problems: [] }));
  else
    io.out(`${isDryRun ? 'Would be: ' : ''}${created} made, ${changed} changed, ${unchanged} as they were.`);
}
