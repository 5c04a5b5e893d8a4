import type { Command } from 'commander';
import { formatAppPassword } from '../credentials/app-password.ts';
import { noFence } from '../credentials/fence.ts';
import { existing, idOf, listAppPasswords, notFound, showAppPassword } from './app-password-list.ts';
import { addGrantOptions, changeOf, type GrantOptions } from './app-password-options.ts';
import { describe } from './app-password-view.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { accountOf, withWorkbench } from './workbench.ts';

interface CreateOptions extends GrantOptions {
  readonly account: string;
  readonly label: string;
}

/** `app-password create｜update｜list｜show｜pause｜resume｜revoke`. */
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
    .action(async (id: string, _: unknown, command: Command) =>
      showAppPassword(id, command.optsWithGlobals(), io),
    );

  group
    .command('list')
    .description('what an account has, ended ones too')
    .requiredOption('--account <address>', 'whose')
    .action(async (_: unknown, command: Command) => listAppPasswords(command.optsWithGlobals(), io));

  group
    .command('pause <ids...>')
    .description('let nobody in with them until they are resumed, and end their live sessions')
    .action(async (ids: string[], _: unknown, command: Command) =>
      setState(ids, 'paused', command.optsWithGlobals(), io),
    );

  group
    .command('resume <ids...>')
    .description('let paused ones go on')
    .action(async (ids: string[], _: unknown, command: Command) =>
      setState(ids, 'active', command.optsWithGlobals(), io),
    );

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
  const {
    scopes = [],
    networks = [],
    expiresInMs,
    unusedAfterMs = null,
    maxIdleMs,
    fence,
  } = changeOf(options);
  await withWorkbench(options, io, async (bench) => {
    const account = await accountOf(bench, options.account);
    const made = await bench.appPasswords.create({
      account,
      label: options.label,
      scopes,
      networks,
      expiresInMs,
      // An operator hands it on when he gets to it: only where he says so.
      unusedAfterMs,
      maxIdleMs,
      fence: { ...noFence, ...fence },
      createdBy: bench.operator,
      actor: bench.actor,
      ...(options.reason === undefined ? {} : { reason: options.reason }),
      isByOperator: true,
    });
    switch (made.kind) {
      case 'invalid':
        throw new CommandFailure(exitCode.usage, made.problem);
      case 'cap-reached':
        throw new CommandFailure(
          exitCode.failed,
          `${account.address} has ${made.cap} live app passwords, which is the limit. Revoke one first.`,
        );
      case 'too-many-recently':
        throw new CommandFailure(
          exitCode.failed,
          `${account.address} got ${made.perHour} within the last hour.`,
        );
      case 'crowded':
        throw new CommandFailure(
          exitCode.failed,
          `${account.address} has had too many app passwords. Those that ended go after app_passwords.keep_ended.`,
        );
      case 'held':
        throw new CommandFailure(exitCode.failed, `${account.address} is held back after a recovery code.`);
      case 'gone':
        throw new CommandFailure(exitCode.failed, `${account.address} was disabled meanwhile.`);
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
    const outcome = await bench.appPasswords.update(
      accountId,
      bytes,
      change,
      bench.because('changed'),
      bench.actor,
    );
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

/** What became of one of several ids. */
interface Outcome {
  readonly id: string;
  readonly outcome: string;
}

function report(outcomes: readonly Outcome[], options: CommonOptions, io: CommandIo): void {
  if (options.json === true) io.out(json(outcomes));
  else for (const { id, outcome } of outcomes) io.out(`${id} ${outcome.replace('-', ' ')}`);
}

async function setState(
  ids: readonly string[],
  state: 'active' | 'paused',
  options: CommonOptions,
  io: CommandIo,
): Promise<void> {
  for (const id of ids) idOf(id);
  const done = state === 'paused' ? 'paused' : 'resumed';
  await withWorkbench(options, io, async (bench) => {
    const outcomes: Outcome[] = [];
    for (const id of ids) {
      const bytes = idOf(id);
      const found = await bench.appPasswords.find(bytes);
      const outcome =
        found === null
          ? { kind: 'not-found' as const }
          : await bench.appPasswords.update(
              found.accountId,
              bytes,
              { state },
              bench.because(done),
              bench.actor,
            );
      const word = outcome.kind === 'updated' ? (outcome.isChanged ? done : `already-${done}`) : outcome.kind;
      outcomes.push({ id, outcome: word });
    }
    report(outcomes, options, io);
    if (outcomes.some(({ outcome }) => !outcome.endsWith(done))) {
      throw new CommandFailure(exitCode.failed, `Not every one could be ${done}.`);
    }
  });
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
    const reason = bench.because('revoked');
    if (options.account !== undefined && options.all === true) {
      const account = await accountOf(bench, options.account);
      const count = await bench.appPasswords.revokeAll(account.id, reason, bench.actor);
      io.out(
        options.json === true
          ? json({ revoked: count })
          : `${count} app passwords of ${account.address} revoked.`,
      );
      return;
    }
    const outcomes: Outcome[] = [];
    for (const id of ids) {
      const bytes = idOf(id);
      const found = await bench.appPasswords.find(bytes);
      const outcome =
        found === null
          ? 'not-found'
          : await bench.appPasswords.revoke(found.accountId, bytes, reason, bench.actor);
      outcomes.push({ id, outcome });
    }
    report(outcomes, options, io);
    if (outcomes.some(({ outcome }) => outcome === 'not-found')) {
      throw new CommandFailure(exitCode.failed, 'Not every id was found.');
    }
  });
}
