import type { Command } from 'commander';
import { formatAppPassword } from '../credentials/app-password.ts';
import type { AppPasswordView } from '../credentials/app-passwords.ts';
import { noFence } from '../credentials/fence.ts';
import { addGrantOptions, changeOf, type GrantOptions } from './app-password-options.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { accountOf, type Workbench, withWorkbench } from './workbench.ts';

interface CreateOptions extends GrantOptions {
  readonly account: string;
  readonly label: string;
}

/** `app-password create｜update｜list｜show｜revoke`. */
export function addAppPasswordCommands(program: Command, io: CommandIo): void {
  const group = program.command('app-password').description('the passwords that mail programs sign in with');

  addGrantOptions(
    group
      .command('create')
      .description('make one and print it, this once')
      .requiredOption('--account <address>', 'whose it is')
      .requiredOption('--label <text>', 'what it is for, as the person will see it'),
    'imap,smtp',
  )
    .addHelpText(
      'after',
      '\nExample:\n  sallyport app-password create --account anna@example.com --label "Scanner, 2nd floor" --scope smtp --send-to example.com\n',
    )
    .action(async (_: unknown, command: Command) => create(command.optsWithGlobals(), io));

  addGrantOptions(
    group
      .command('update <id>')
      .description('change what one is good for, and end its live sessions where it is not the label alone')
      .option('--label <text>', 'what it is for'),
    undefined,
  )
    .addHelpText(
      'after',
      '\nWhat is not mentioned stays.\n\nExample:\n  sallyport app-password update ID --send-from scan@example.com --messages-per-hour 20\n',
    )
    .action(async (id: string, _: unknown, command: Command) => update(id, command.optsWithGlobals(), io));

  group
    .command('show <id>')
    .description('one of them, with everything it is good for')
    .action(async (id: string, _: unknown, command: Command) => show(id, command.optsWithGlobals(), io));

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

async function create(options: CreateOptions, io: CommandIo): Promise<void> {
  const { scopes = [], networks = [], expiresInMs, fence } = changeOf(options);
  await withWorkbench(options, io, async (bench) => {
    const account = await accountOf(bench, options.account);
    const made = await bench.appPasswords.create({
      account,
      label: options.label,
      scopes,
      networks,
      expiresInMs,
      fence: { ...noFence, ...fence },
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

async function update(id: string, options: GrantOptions, io: CommandIo): Promise<void> {
  const bytes = idOf(id);
  const change = changeOf(options);
  if (Object.keys(change).length === 0) {
    throw new CommandFailure(
      exitCode.usage,
      'Say what to change, such as --label TEXT or --send-to example.com.',
    );
  }
  await withWorkbench(options, io, async (bench) => {
    const { accountId } = await existing(bench, bytes);
    const outcome = await bench.appPasswords.update(accountId, bytes, change, `changed by ${bench.operator}`);
    switch (outcome.kind) {
      case 'updated':
        io.out(options.json === true ? json(describe(outcome.row)) : `${id} updated`);
        return;
      case 'invalid':
        throw new CommandFailure(exitCode.usage, outcome.problem);
      case 'not-found':
        throw notFound(id);
      case 'revoked':
        throw new CommandFailure(exitCode.failed, `${id} is revoked; make a new one.`);
      case 'altered':
        throw new CommandFailure(
          exitCode.failed,
          `${id} is not as the gateway wrote it: somebody has changed the database by hand. Revoke it.`,
        );
      default:
        outcome satisfies never;
    }
  });
}

async function show(id: string, options: CommonOptions, io: CommandIo): Promise<void> {
  const bytes = idOf(id);
  const work = async (bench: Workbench) => {
    const view = describe(await existing(bench, bytes));
    if (options.json === true) {
      io.out(json(view));
      return;
    }
    const { fence, ...rest } = view;
    const set = fence === null ? [['fence', 'not understood by this version']] : Object.entries(fence);
    const rows = [...Object.entries(rest), ...set].filter(([, value]) => value !== null);
    for (const line of table(
      ['what', 'value'],
      rows.map((row) => row.map(String)),
    ))
      io.out(line);
  };
  await withWorkbench(options, io, work, 'read');
}

async function existing(bench: Workbench, id: Buffer): Promise<AppPasswordView> {
  const view = await bench.appPasswords.find(id);
  if (view === null) throw notFound(id.toString('hex'));
  return view;
}

function idOf(text: string): Buffer {
  if (/^[0-9a-f]{32}$/.test(text)) return Buffer.from(text, 'hex');
  throw new CommandFailure(
    exitCode.usage,
    `"${text}" is not an id: 32 hexadecimal digits, see \`app-password list\`.`,
  );
}

function notFound(id: string): CommandFailure {
  return new CommandFailure(exitCode.failed, `There is no app password ${id}.`);
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
    fence: view.fence,
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
  for (const id of ids) idOf(id);
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
      const bytes = idOf(id);
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
