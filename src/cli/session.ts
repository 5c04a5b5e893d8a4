import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { giveOrder } from '../control/client.ts';
import {
  type NodeSession,
  type SessionEnding,
  type SessionFilter,
  type SessionListing,
  sessionEndingSchema,
  sessionListingSchema,
} from '../credentials/session-directory.ts';
import { printable } from '../observability/logger.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { accountOf, addressOf, configurationOf, withWorkbench } from './workbench.ts';

interface ListOptions extends CommonOptions {
  readonly account?: string;
}

interface EndOptions extends CommonOptions {
  readonly account?: string;
  readonly credential?: string;
  readonly id?: string;
}

/** `session list｜end`: asks the gateway that runs on this host, and that the others; needs no database. */
export function addSessionCommands(program: Command, io: CommandIo): void {
  const group = program.command('session').description('who is logged in now, at every node');

  group
    .command('list')
    .description('live sessions, newest first')
    .option('--account <address>', 'of one account; names its app passwords too')
    .action(async (_: unknown, command: Command) => list(command.optsWithGlobals(), io));

  group
    .command('end')
    .description('end live sessions at once; what they signed in with stays valid')
    .option('--account <address>', 'all of an account')
    .option('--credential <id>', 'all of an app password')
    .option('--id <session>', 'one, as `session list` shows it')
    .addHelpText(
      'after',
      '\nMail programs sign in again by themselves. To keep one out: sallyport app-password revoke ID\n',
    )
    .action(async (_: unknown, command: Command) => end(command.optsWithGlobals(), io));
}

async function list(options: ListOptions, io: CommandIo): Promise<void> {
  const { config } = await configurationOf(options, io);
  const filter: SessionFilter =
    options.account === undefined
      ? { by: 'all' }
      : { by: 'account', account: addressOf(config, options.account).address };
  const listing = sessionListingSchema.parse(await ask(config, 'session-list', filter));
  for (const line of shortcomings(listing, 'its sessions are not listed')) io.err(line);
  const sessions = listing.sessions.toSorted((one, other) => other.since - one.since);
  const labels = await labelsOf(sessions, options, io);
  if (options.json === true) {
    io.out(json(sessions.map((session) => describe(session, labels))));
    return;
  }
  if (sessions.length === 0) {
    io.out(
      filter.by === 'account' ? `${filter.account} has no live sessions.` : 'There are no live sessions.',
    );
    return;
  }
  // One node is all there is without Redis.
  const hasNodes = config.redis !== null;
  const rows = sessions.map((session) => [
    session.id,
    session.state === 'open' ? session.protocol : `${session.protocol} ${session.state}`,
    session.account,
    moment(session.since),
    session.peerAddress,
    session.client === null ? '' : printable(session.client),
    labels?.get(session.credential) ?? session.credential,
    size(session.bytesUp),
    size(session.bytesDown),
    ...(hasNodes ? [session.node] : []),
  ]);
  const header = ['id', 'protocol', 'account', 'since', 'from', 'client', 'app password', 'up', 'down'];
  if (hasNodes) header.push('node');
  for (const line of table(header, rows)) io.out(line);
}

async function end(options: EndOptions, io: CommandIo): Promise<void> {
  const filters = filtersOf(options);
  const [filter] = filters;
  if (filter === undefined || filters.length > 1) {
    throw new CommandFailure(
      exitCode.usage,
      'Say which sessions: one of --account ADDRESS, --credential ID, --id SESSION.',
    );
  }
  if (filter.by === 'credential' && !/^[0-9a-f]{32}$/.test(filter.credential)) {
    throw new CommandFailure(
      exitCode.usage,
      `"${filter.credential}" is not an id: 32 hexadecimal digits, see \`app-password list\`.`,
    );
  }
  const { config } = await configurationOf(options, io);
  const named: SessionFilter =
    filter.by === 'account' ? { by: 'account', account: addressOf(config, filter.account).address } : filter;
  const ending = sessionEndingSchema.parse(await ask(config, 'session-end', named, options.reason));
  const { ended } = ending;
  if (options.json === true) io.out(json(ending));
  else io.out(ended === 1 ? 'Ended 1 session.' : `Ended ${ended} sessions.`);
  const problems = shortcomings(ending, 'sessions there may go on');
  if (problems.length > 0) throw new CommandFailure(exitCode.failed, problems.join('\n'));
}

/** What the answer does not cover, as sentences. */
function shortcomings(answer: SessionListing | SessionEnding, consequence: string): readonly string[] {
  const lines = answer.silent.map((node) => `Node ${printable(node)} did not answer: ${consequence}.`);
  if (answer.isAlone) lines.push(`Redis does not answer, so no other node was asked: ${consequence}.`);
  if ('omitted' in answer && answer.omitted > 0)
    lines.push(`${answer.omitted} more sessions are not listed.`);
  return lines;
}

function filtersOf({ account, credential, id }: EndOptions): readonly SessionFilter[] {
  const filters: SessionFilter[] = [];
  if (account !== undefined) filters.push({ by: 'account', account });
  if (credential !== undefined) filters.push({ by: 'credential', credential });
  if (id !== undefined) filters.push({ by: 'session', session: id });
  return filters;
}

async function ask(config: Config, name: string, filter: SessionFilter, reason?: string): Promise<unknown> {
  const operator = `cli:${userInfo().username}`;
  const outcome = await giveOrder(config.stateDir, { name, operator, reason, details: filter });
  switch (outcome.kind) {
    case 'done':
      return outcome.result;
    case 'refused':
      throw new CommandFailure(exitCode.failed, outcome.problem);
    case 'no-gateway':
      throw new CommandFailure(
        exitCode.failed,
        `No gateway runs on this host with the state_dir ${config.stateDir}: there are no sessions to speak of.`,
      );
    default:
      return outcome satisfies never;
  }
}

/**
 * What the app passwords of one account are called; null for the sessions of everybody, who may be thousands, and where the
 * database does not tell: the list is for outages too.
 */
async function labelsOf(
  sessions: readonly NodeSession[],
  options: ListOptions,
  io: CommandIo,
): Promise<ReadonlyMap<string, string> | null> {
  const { account: typed } = options;
  if (typed === undefined || sessions.length === 0) return null;
  try {
    return await withWorkbench(
      options,
      io,
      async (bench) => {
        const { id } = await accountOf(bench, typed);
        const views = await bench.appPasswords.list(id);
        return new Map(views.map((view) => [view.id.toString('hex'), printable(view.label)]));
      },
      'read',
    );
  } catch (error) {
    if (error instanceof CommandFailure) return null;
    throw error;
  }
}

function describe(session: NodeSession, labels: ReadonlyMap<string, string> | null) {
  return {
    ...session,
    since: new Date(session.since).toISOString(),
    label: labels?.get(session.credential) ?? null,
  };
}

/** `312 B`, `4.1 kB`, `1.2 GB`. */
function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  let value = bytes / 1_000;
  for (const unit of ['kB', 'MB', 'GB']) {
    if (value < 999.5) return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1_000;
  }
  return `${value.toFixed(1)} TB`;
}
