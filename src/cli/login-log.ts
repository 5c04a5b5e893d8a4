import type { Command } from 'commander';
import { parseDuration } from '../config/duration.ts';
import { describeStale } from '../credentials/app-password-json.ts';
import type { LoginReason } from '../credentials/login-reason.ts';
import { printable } from '../observability/logger.ts';
import { findAccountUnchecked } from '../store/accounts.ts';
import { listAppPasswords } from '../store/app-passwords.ts';
import { listLoginEvents } from '../store/login-events.ts';
import type { LoginEventRow } from '../store/schema.ts';
import { listStaleClients } from '../store/stale-clients.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { type ReasonWords, reasonWords } from './login-reasons.ts';
import { addressOf, type Workbench, withWorkbench } from './workbench.ts';

type Options = CommonOptions & { readonly since: string };

const mostRows = 1_000;
const unknownWords: ReasonWords = {
  sentence: 'for a reason that a newer version knows',
  remedy: 'Run the command of the version that serves.',
};

/** `login-log ADDRESS [--since 24h]`: why somebody can or cannot log in, in one command. */
export function addLoginLogCommand(program: Command, io: CommandIo): void {
  program
    .command('login-log <address>')
    .description('the last logins and refusals of an address, with the reason and the remedy')
    .option('--since <duration>', 'how far back, such as 24h or 7d', '24h')
    .action(async (address: string, _: unknown, command: Command) =>
      show(address, command.optsWithGlobals(), io),
    );
}

async function show(typed: string, options: Options, io: CommandIo): Promise<void> {
  const backMs = parseDuration(options.since);
  if (Number.isNaN(backMs)) {
    throw new CommandFailure(exitCode.usage, `--since takes 30s, 15m, 24h or 7d, not "${options.since}".`);
  }
  const since = io.now() - backMs;
  await withWorkbench(options, io, async (bench) => report(bench, typed, since, options, io), 'read');
}

async function report(
  { config, database, note }: Workbench,
  typed: string,
  since: number,
  options: Options,
  io: CommandIo,
): Promise<void> {
  const { address } = addressOf(config, typed);
  const account = await findAccountUnchecked(database, { address });
  const of = account === null ? { name: address } : { accountId: account.id };
  const events = await listLoginEvents(database, of, since, mostRows);
  const stale = account === null ? [] : await listStaleClients(database, account.id, since);
  const appPasswords = account === null ? [] : await listAppPasswords(database, account.id);
  const labels = new Map(appPasswords.map(({ id, label }) => [id.toString('hex'), label]));
  await note({ account, event: { action: 'login-log.viewed' } });
  if (options.json === true) {
    io.out(
      json({
        address,
        isAccount: account !== null,
        since: new Date(since).toISOString(),
        events: events.map((event) => describe(event, labels)),
        staleClients: stale.map(describeStale),
      }),
    );
    return;
  }
  if (account === null) io.out(`There is no account ${address}.`);
  if (events.length === 0) io.out(`No login was tried as ${address} since ${moment(since)}.`);
  else print(events, labels, io);
  for (const each of stale) {
    const who = each.client ?? `a client at ${each.address}`;
    io.out('');
    io.out(`${who} still sends the app password "${each.label}", which ended on ${moment(each.endedAt)};`);
    io.out(
      `  ${each.times} times, last at ${moment(each.last_at)} from ${each.address} over ${each.protocol}.`,
    );
  }
}

function print(events: readonly LoginEventRow[], labels: ReadonlyMap<string, string>, io: CommandIo): void {
  const rows = events.map((event) => [
    moment(event.last_at),
    String(event.times),
    event.protocol,
    event.address ?? 'many',
    event.client === null ? '' : printable(event.client).slice(0, 32),
    outcomeOf(event, labels),
  ]);
  const lines = table(['last', 'times', 'protocol', 'from', 'client', 'outcome'], rows);
  io.out(lines[0] ?? '');
  for (const [index, event] of events.entries()) {
    io.out(lines[index + 1] ?? '');
    const words = wordsOf(event);
    if (words !== null) io.out(`  -> ${words.remedy}`);
  }
}

function outcomeOf(event: LoginEventRow, labels: ReadonlyMap<string, string>): string {
  const label = event.credential_id === null ? undefined : labels.get(event.credential_id.toString('hex'));
  const which = label === undefined ? '' : ` ("${label}")`;
  const words = wordsOf(event);
  if (words === null) return `logged in${which}`;
  const detail = event.detail === null ? '' : ` [${printable(event.detail)}]`;
  return `refused: ${words.sentence}${which}${detail}`;
}

/** null: logged in. */
function wordsOf({ reason }: LoginEventRow): ReasonWords | null {
  if (reason === null) return null;
  return Object.hasOwn(reasonWords, reason) ? reasonWords[reason as LoginReason] : unknownWords;
}

function describe(event: LoginEventRow, labels: ReadonlyMap<string, string>) {
  const credential = event.credential_id?.toString('hex') ?? null;
  const words = wordsOf(event);
  return {
    outcome: event.reason === null ? 'logged-in' : 'refused',
    reason: event.reason,
    sentence: words?.sentence ?? null,
    remedy: words?.remedy ?? null,
    detail: event.detail,
    firstAt: new Date(event.first_at).toISOString(),
    lastAt: new Date(event.last_at).toISOString(),
    times: event.times,
    protocol: event.protocol,
    address: event.address,
    client: event.client,
    mechanism: event.mechanism,
    credential,
    label: credential === null ? null : (labels.get(credential) ?? null),
  };
}
