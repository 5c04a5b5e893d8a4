import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import { parseDuration } from '../config/duration.ts';
import type { AuditHead } from '../credentials/audit-chain.ts';
import { auditLine } from '../credentials/audit-line.ts';
import { type AuditReport, verifyAudit } from '../credentials/audit-verify.ts';
import { errorCode, errorText } from '../observability/error-text.ts';
import { entriesByTime } from '../store/audit-entries.ts';
import type { AuditEntryRow } from '../store/schema.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { accountToEnd, withWorkbench } from './workbench.ts';

interface ExportOptions extends CommonOptions {
  readonly since?: string;
  readonly account?: string;
  readonly file?: string;
}

interface VerifyOptions extends CommonOptions {
  readonly head?: readonly string[];
}

/** `audit export｜verify`. */
export function addAuditCommands(program: Command, io: CommandIo): void {
  const group = program.command('audit').description('what was done to accounts, by whom and why');

  group
    .command('export')
    .description('every entry as a line of JSON, oldest first')
    .option('--since <time>', 'how far back, such as 30d, or from when: 2026-11-01T00:00:00Z')
    .option('--account <address>', 'of one account')
    .option('--file <file>', 'into a new file (mode 0600) instead of standard output')
    .action(async (_: unknown, command: Command) => exportEntries(command.optsWithGlobals(), io));

  group
    .command('verify')
    .description('whether every entry is as the gateway wrote it; exit 1 and the place where one is not')
    .option(
      '--head <CHAIN:SEQ:HASH...>',
      'a head from the log (event audit-head): the chain must still have it',
    )
    .addHelpText(
      'after',
      '\nWithout heads an end that was cut off looks like a process that was killed: ship the log elsewhere, and give\n' +
        'the newest head of each chain from there. Keep old mac keys for as long as audit.keep.',
    )
    .action(async (_: unknown, command: Command) => verify(command.optsWithGlobals(), io));
}

const rowsAtOnce = 500;

async function exportEntries(options: ExportOptions, io: CommandIo): Promise<void> {
  const since = options.since === undefined ? 0 : timeOf(options.since, io.now());
  await withWorkbench(
    options,
    io,
    async (bench) => {
      const account = options.account === undefined ? null : await accountToEnd(bench, options.account);
      const { database } = bench;
      const each = async (write: (rows: readonly AuditEntryRow[]) => Promise<void>) => {
        let after = { at: since, chain: '', seq: -1 };
        for (;;) {
          if (io.signal.aborted) throw new CommandFailure(exitCode.failed, 'Ended before the last entry.');
          const rows = await entriesByTime(database, after, account?.id ?? null, rowsAtOnce);
          await write(rows);
          const last = rows.at(-1);
          if (last === undefined || rows.length < rowsAtOnce) return;
          after = last;
        }
      };
      if (options.file === undefined) {
        await each(async (rows) => {
          for (const row of rows) io.out(auditLine(row));
        });
      } else await intoFile(options.file, each);
    },
    'read',
  );
}

async function intoFile(
  file: string,
  each: (write: (rows: readonly AuditEntryRow[]) => Promise<void>) => Promise<void>,
): Promise<void> {
  // Never over another: it may be last month's.
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => {
    const why = errorCode(error) === 'EEXIST' ? 'exists already' : `cannot be written: ${errorText(error)}`;
    throw new CommandFailure(exitCode.failed, `${file} ${why}.`);
  });
  try {
    await each(async (rows) => {
      await handle.write(rows.map((row) => `${auditLine(row)}\n`).join(''));
    });
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function timeOf(typed: string, now: number): number {
  const ago = parseDuration(typed);
  if (!Number.isNaN(ago)) return now - ago;
  const at = /^\d{4}-\d{2}-\d{2}(T[\d:.]+Z)?$/.test(typed) ? Date.parse(typed) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new CommandFailure(
    exitCode.usage,
    `--since takes a duration such as 30d or a time such as 2026-11-01T00:00:00Z, not "${typed}".`,
  );
}

async function verify(options: VerifyOptions, io: CommandIo): Promise<void> {
  const heads = (options.head ?? []).map(headTyped);
  const report = await withWorkbench(
    options,
    io,
    async ({ database, keys }) => await verifyAudit(database, keys, heads),
    'read',
  );
  if (options.json === true) io.out(json(report));
  else tell(report, heads.length > 0, io);
  if (report.faults.length > 0) throw new CommandFailure(exitCode.failed, '');
}

function tell(
  { chains, entries, faults, isCut, open: unclosed }: AuditReport,
  hasHeads: boolean,
  io: CommandIo,
) {
  for (const { chain, seq, text } of faults) io.out(`${chain}${seq === null ? '' : `:${seq}`} ${text}`);
  if (isCut) io.out('There are more.');
  io.out(
    faults.length === 0
      ? `${entries} entries of ${chains} chains are as the gateway wrote them.`
      : `The audit trail was changed: see the ${faults.length} places above.`,
  );
  if (unclosed.length === 0 || hasHeads) return;
  io.out(
    `${unclosed.length} chains have no last entry: their process runs or was killed, or their end was cut off. ` +
      'Only --head tells which.',
  );
}

function headTyped(typed: string): AuditHead {
  const [, chain, seq, head] = /^([A-Za-z0-9.-]{1,200}):(\d{1,15}):([0-9a-f]{64})$/.exec(typed) ?? [];
  if (chain === undefined || seq === undefined || head === undefined) {
    throw new CommandFailure(
      exitCode.usage,
      `"${typed}" is not a head: CHAIN:SEQ:HASH, as the log has it in chain, seq and head.`,
    );
  }
  return { chain, seq: Number(seq), head: Buffer.from(head, 'hex') };
}
