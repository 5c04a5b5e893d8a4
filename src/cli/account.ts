import type { Command } from 'commander';
import { listAccounts, type UncheckedAccount } from '../store/accounts.ts';
import { addAccountErasure } from './account-erasure.ts';
import { addAccountFactorCommands } from './account-factors.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment, table } from './io.ts';
import { accountOf, accountToEnd, addressOf, type Workbench, withWorkbench } from './workbench.ts';

/** `account list｜show｜create｜disable｜enable｜set-mfa｜reset-mfa｜password-changed`, and those of account-factors.ts and account-erasure.ts. */
export function addAccountCommands(program: Command, io: CommandIo): void {
  const group = program.command('account').description('mailboxes the gateway knows');

  group
    .command('list')
    .description('every account')
    .action(async (_: unknown, command: Command) => list(command.optsWithGlobals(), io));

  group
    .command('show <address>')
    .description('one account and its app passwords in numbers')
    .action(async (address: string, _: unknown, command: Command) =>
      show(address, command.optsWithGlobals(), io),
    );

  group
    .command('create <address>')
    .description('make an account of a configured domain; people also make theirs by signing in')
    .action(async (address: string, _: unknown, command: Command) =>
      create(address, command.optsWithGlobals(), io),
    );

  group
    .command('disable <address>')
    .description('refuse every login and end every session of the account')
    .action(async (address: string, _: unknown, command: Command) =>
      withWorkbench(command.optsWithGlobals(), io, async (bench) => {
        const account = await accountToEnd(bench, address);
        await bench.care.disable(account, bench.order);
        const after = { ...account, state: 'disabled' as const };
        report(command.optsWithGlobals(), io, after, 'is disabled; its sessions end now.');
      }),
    );

  group
    .command('enable <address>')
    .description('take it back')
    .action(async (address: string, _: unknown, command: Command) =>
      withWorkbench(command.optsWithGlobals(), io, async (bench) => {
        const account = await accountOf(bench, address);
        await bench.care.enable(account, bench.order);
        report(command.optsWithGlobals(), io, { ...account, state: 'active' }, 'is enabled.');
      }),
    );

  group
    .command('set-mfa <address> <policy>')
    .description('required, optional or off for this account; domain to follow its domain')
    .action(async (address: string, policy: string, _: unknown, command: Command) => {
      if (policy !== 'required' && policy !== 'optional' && policy !== 'off' && policy !== 'domain') {
        throw new CommandFailure(
          exitCode.usage,
          `The policy is required, optional, off or domain, not "${policy}".`,
        );
      }
      await withWorkbench(command.optsWithGlobals(), io, async (bench) => {
        const account = await accountOf(bench, address);
        const mfa = policy === 'domain' ? null : policy;
        await bench.care.setMfa(account, mfa, bench.order);
        const words = `has multi-factor authentication: ${policy}.`;
        report(command.optsWithGlobals(), io, { ...account, mfa }, words);
      });
    });

  group
    .command('reset-mfa <address>')
    .description('remove every second factor, so that the person enrolls anew')
    .requiredOption('--app-passwords <keep|revoke>', 'what becomes of the app passwords')
    .action(async (address: string, _: unknown, command: Command) =>
      resetMfa(address, command.optsWithGlobals(), io),
    );

  group
    .command('password-changed <address>')
    .description(
      'after the main password was changed: end the portal sessions, and the app passwords if so said',
    )
    .requiredOption('--app-passwords <keep|revoke>', 'what becomes of the app passwords')
    .action(async (address: string, _: unknown, command: Command) =>
      passwordChanged(address, command.optsWithGlobals(), io),
    );

  addAccountFactorCommands(group, io);
  addAccountErasure(group, io);
}

function report(options: CommonOptions, io: CommandIo, account: UncheckedAccount, text: string): void {
  io.out(options.json === true ? json(describe(account)) : `${account.address} ${text}`);
}

function describe(account: UncheckedAccount) {
  return {
    id: account.id.toString('hex'),
    address: account.address,
    state: account.state,
    mfa: account.mfa,
    createdAt: new Date(account.created_at).toISOString(),
  };
}

async function list(options: CommonOptions, io: CommandIo): Promise<void> {
  const work = async (bench: Workbench) => {
    const accounts = await listAccounts(bench.database, bench.guard);
    if (options.json === true) {
      io.out(json(accounts.map(({ account, isGenuine }) => ({ ...describe(account), isGenuine }))));
      return;
    }
    const rows = accounts.map(({ account, isGenuine }) => [
      account.address,
      isGenuine ? account.state : 'changed by hand',
      account.mfa ?? 'as its domain',
      moment(account.created_at),
    ]);
    for (const line of table(['address', 'state', 'mfa', 'created'], rows)) io.out(line);
  };
  await withWorkbench(options, io, work, 'read');
}

async function show(address: string, options: CommonOptions, io: CommandIo): Promise<void> {
  const work = async (bench: Workbench) => {
    const account = await accountOf(bench, address);
    const views = await bench.appPasswords.list(account.id);
    const active = views.filter((view) => view.state === 'active').length;
    if (options.json === true) {
      io.out(json({ ...describe(account), appPasswords: { active, ended: views.length - active } }));
      return;
    }
    io.out(`address        ${account.address}`);
    io.out(`state          ${account.state}`);
    io.out(`mfa            ${account.mfa ?? 'as its domain'}`);
    io.out(`created        ${moment(account.created_at)}`);
    io.out(`app passwords  ${active} active, ${views.length - active} ended`);
  };
  await withWorkbench(options, io, work, 'read');
}

async function create(typed: string, options: CommonOptions, io: CommandIo): Promise<void> {
  await withWorkbench(options, io, async (bench) => {
    const { address, domain } = addressOf(bench.config, typed);
    if (!Object.hasOwn(bench.config.domains, domain)) {
      throw new CommandFailure(exitCode.failed, `${domain} is not among the configured domains.`);
    }
    const { account, created } = await bench.care.create(address, bench.order);
    report(options, io, account, created ? 'is made.' : 'was there already.');
  });
}

async function resetMfa(
  typed: string,
  options: CommonOptions & { appPasswords: string },
  io: CommandIo,
): Promise<void> {
  const appPasswords = fateOf(options.appPasswords);
  await withWorkbench(options, io, async (bench) => {
    const account = await accountOf(bench, typed);
    const { factorsRemoved, revoked } = await bench.care.resetFactors(account, appPasswords, bench.order);
    if (options.json === true) io.out(json({ address: account.address, factorsRemoved, revoked }));
    else
      io.out(
        `${account.address}: ${factorsRemoved} second factors removed, ${revoked} app passwords revoked.`,
      );
  });
}

async function passwordChanged(
  typed: string,
  options: CommonOptions & { appPasswords: string },
  io: CommandIo,
): Promise<void> {
  const appPasswords = fateOf(options.appPasswords);
  await withWorkbench(options, io, async (bench) => {
    const account = await accountToEnd(bench, typed);
    const outcome = await bench.care.mainPasswordChanged(account, appPasswords, bench.order);
    const { sessionsEnded, revoked } = outcome;
    if (options.json === true) io.out(json({ address: account.address, ...outcome }));
    else
      io.out(`${account.address}: ${sessionsEnded} portal sessions ended, ${revoked} app passwords revoked.`);
  });
}

function fateOf(typed: string): 'keep' | 'revoke' {
  if (typed === 'keep' || typed === 'revoke') return typed;
  throw new CommandFailure(exitCode.usage, `--app-passwords takes keep or revoke, not "${typed}".`);
}
