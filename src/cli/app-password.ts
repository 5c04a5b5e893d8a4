import type { Command } from 'commander';
import { parseDuration } from '../config/schema.ts';
import { formatAppPassword } from '../credentials/app-password.ts';
import type { AppPasswordView } from '../credentials/app-passwords.ts';
import type { Scope } from '../credentials/scope.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { accountOf, type Workbench, withWorkbench } from './workbench.ts';

interface CreateOptions extends CommonOptions {
  readonly account: string;
  readonly label: string;
  readonly scope?: string;
  readonly network: readonly string[];
  readonly expires?: string;
}

/** `app-password create｜list｜revoke`. */
export function addAppPasswordCommands(program: Command, io: CommandIo): void {
  const group = program.command('app-password').description('the passwords that mail programs sign in with');

  group
    .command('create')
    .description('make one and print it, this once')
    .requiredOption('--account <address>', 'whose it is')
    .requiredOption('--label <text>', 'what it is for, as the person will see it')
    .option('--scope <list>', 'protocols it opens, of imap, smtp, pop3', 'imap,smtp')
    .option('--network <cidr>', 'only from this network; give it several times for several', collect, [])
    .option('--expires <duration>', 'ends by itself, such as 12h or 90d')
    .addHelpText(
      'after',
      '\nExample:\n  sallyport app-password create --account anna@example.com --label "Scanner, 2nd floor" --scope smtp\n',
    )
    .action(async (_: unknown, command: Command) => create(command.optsWithGlobals(), io));

  group
    .command('list')
    .description('what an account has, ended ones too')
    .requiredOption('--account <address>', 'whose')
    .action(async (_: unknown, command: Command) => list(command.optsWithGlobals(), io));

  group
    .command('revoke [ids...]')
    .description('end app passwords and their live sessions, everywhere')
    .option('--account <address>', 'whose; needed with --all')
    .option('--all', 'every app password of the account')
    .action(async (ids: string[], _: unknown, command: Command) =>
      revoke(ids, command.optsWithGlobals(), io),
    );
}

function collect(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value];
}

async function create(options: CreateOptions, io: CommandIo): Promise<void> {
  const scopes = (options.scope ?? 'imap,smtp').split(',').map((scope) => scope.trim());
  const unknown = scopes.find((scope) => !isScope(scope));
  if (unknown !== undefined) {
    throw new CommandFailure(exitCode.usage, `--scope takes imap, smtp and pop3, not "${unknown}".`);
  }
  const expiresInMs = options.expires === undefined ? undefined : parseDuration(options.expires);
  if (Number.isNaN(expiresInMs)) {
    throw new CommandFailure(
      exitCode.usage,
      `--expires takes 30s, 15m, 12h or 90d, not "${options.expires}".`,
    );
  }
  await withWorkbench(options, io, async (bench) => {
    const account = await accountOf(bench, options.account);
    const made = await bench.appPasswords.create({
      account,
      label: options.label,
      scopes: scopes.filter(isScope),
      networks: options.network,
      expiresInMs,
      createdBy: bench.operator,
    });
    switch (made.kind) {
      case 'invalid':
        throw new CommandFailure(exitCode.usage, made.problem);
      case 'cap-reached':
        throw new CommandFailure(
          exitCode.failed,
          `${account.address} has ${made.cap} live app passwords, which is the limit. Revoke one first.`,
        );
      case 'created': {
        const shown = formatAppPassword(made.secret);
        const id = made.id.toString('hex');
        if (options.json === true) {
          const { label, scopes: granted, notAfter } = made.row;
          io.out(
            json({
              id,
              account: account.address,
              label,
              secret: made.secret.text(),
              scopes: granted,
              expiresAt: notAfter === null ? null : new Date(notAfter).toISOString(),
            }),
          );
        } else {
          io.out(shown);
          io.err(`App password "${made.row.label}" for ${account.address}, id ${id}. It is shown this once.`);
        }
        made.secret.wipe();
        return;
      }
      default:
        made satisfies never;
    }
  });
}

async function list(options: CommonOptions & { account: string }, io: CommandIo): Promise<void> {
  const work = async (bench: Workbench) => {
    const account = await accountOf(bench, options.account);
    const views = await bench.appPasswords.list(account.id);
    if (options.json === true) {
      io.out(json(views.map(describe)));
      return;
    }
    if (views.length === 0) {
      io.out(`${account.address} has no app passwords.`);
      return;
    }
    const rows = views.map((view) => [
      view.id.toString('hex'),
      view.label,
      view.state,
      view.scopes.join(','),
      moment(view.createdAt),
      view.lastUsedAt === null ? 'never' : `${moment(view.lastUsedAt)} ${view.lastUsedAddress ?? ''}`,
    ]);
    for (const line of table(['id', 'label', 'state', 'scopes', 'created', 'last used'], rows)) io.out(line);
  };
  await withWorkbench(options, io, work, 'read');
}

function describe(view: AppPasswordView) {
  return {
    id: view.id.toString('hex'),
    label: view.label,
    state: view.state,
    scopes: view.scopes,
    networks: view.networks,
    expiresAt: view.notAfter === null ? null : new Date(view.notAfter).toISOString(),
    createdAt: new Date(view.createdAt).toISOString(),
    createdBy: view.createdBy,
    lastUsedAt: view.lastUsedAt === null ? null : new Date(view.lastUsedAt).toISOString(),
    lastUsedAddress: view.lastUsedAddress,
    lastUsedProtocol: view.lastUsedProtocol,
  };
}

async function revoke(
  ids: readonly string[],
  options: CommonOptions & { account?: string; all?: boolean },
  io: CommandIo,
): Promise<void> {
  if ((options.all === true) === ids.length > 0) {
    throw new CommandFailure(exitCode.usage, 'Give the ids to revoke, or --account ADDRESS --all.');
  }
  if (options.all === true && options.account === undefined) {
    throw new CommandFailure(exitCode.usage, '--all needs --account ADDRESS.');
  }
  const malformed = ids.find((id) => !/^[0-9a-f]{32}$/.test(id));
  if (malformed !== undefined) {
    throw new CommandFailure(
      exitCode.usage,
      `"${malformed}" is not an id: 32 hexadecimal digits, see \`app-password list\`.`,
    );
  }
  await withWorkbench(options, io, async (bench) => {
    const reason = `revoked by ${bench.operator}`;
    if (options.account !== undefined && options.all === true) {
      const account = await accountOf(bench, options.account);
      const count = await bench.appPasswords.revokeAll(account.id, reason);
      io.out(
        options.json === true
          ? json({ revoked: count })
          : `${count} app passwords of ${account.address} revoked.`,
      );
      return;
    }
    const outcomes: { id: string; outcome: string }[] = [];
    for (const id of ids) {
      const bytes = Buffer.from(id, 'hex');
      const found = await bench.appPasswords.find(bytes);
      const outcome =
        found === null ? 'not-found' : await bench.appPasswords.revoke(found.accountId, bytes, reason);
      outcomes.push({ id, outcome });
    }
    if (options.json === true) io.out(json(outcomes));
    else for (const { id, outcome } of outcomes) io.out(`${id} ${outcome.replace('-', ' ')}`);
    if (outcomes.some(({ outcome }) => outcome === 'not-found')) {
      throw new CommandFailure(exitCode.failed, 'Not every id was found.');
    }
  });
}

function isScope(text: string): text is Scope {
  return text === 'imap' || text === 'smtp' || text === 'pop3';
}
