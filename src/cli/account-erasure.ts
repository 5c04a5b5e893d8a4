import type { Command } from 'commander';
import { findAccountUnchecked } from '../store/accounts.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { addressOf, type Workbench, withWorkbench } from './workbench.ts';

interface Options extends CommonOptions {
  readonly yes?: boolean;
}

/** `account erase`: for who has left and asks to be forgotten (S-36). */
export function addAccountErasure(group: Command, io: CommandIo): void {
  group
    .command('erase <address>')
    .description('delete an account with everything of it, and end its sessions; for good')
    .option('--yes', 'that it is meant: nothing brings it back')
    .addHelpText(
      'after',
      `
What goes, at once: app passwords, second factors, recovery codes, identity links, profile links, portal sessions,
notices, the login log of the address. Live sessions end on every node.
What stays: the audit trail, whose entries name the address as it was written and cannot be changed, for as long as
audit.keep; backups, so erase again after restoring one; logs that were shipped; the mailbox itself.
Whoever signs in with the address later gets a new account with nothing of this one. To keep somebody out, close the
mailbox, or: sallyport account disable ADDRESS`,
    )
    .action(async (address: string, _: unknown, command: Command) =>
      erase(address, command.optsWithGlobals(), io),
    );
}

async function erase(typed: string, options: Options, io: CommandIo): Promise<void> {
  if (options.yes !== true) {
    throw new CommandFailure(
      exitCode.usage,
      `Nothing was deleted: say --yes to delete ${typed} and everything of it for good (--help tells what stays).`,
    );
  }
  await withWorkbench(options, io, async (bench) => {
    const { address } = addressOf(bench.config, typed);
    const account = await findAccountUnchecked(bench.database, { address });
    const erased = account === null ? null : await bench.care.erase(account, bench.order);
    if (account === null || erased === null) {
      await nameless(bench, address, options, io);
      return;
    }
    if (options.json === true) {
      io.out(json({ id: account.id.toString('hex'), address, isErased: true, ...erased }));
      return;
    }
    io.out(`${address} is erased; its sessions end now. Deleted:`);
    for (const [name, words] of Object.entries(named)) {
      io.out(`  ${words.padEnd(18)}  ${erased[name as keyof typeof erased]}`);
    }
    io.out(`The audit trail keeps what was done to account ${account.id.toString('hex')}.`);
  });
}

const named = {
  appPasswords: 'app passwords',
  secondFactors: 'second factors',
  recoveryCodes: 'recovery codes',
  portalSessions: 'portal sessions',
  identityLinks: 'identity links',
  profileLinks: 'profile links',
  notices: 'notices',
  loginEvents: 'login log rows',
} as const;

/** Done before, or never an account: no failure, so that a script may say it twice. */
async function nameless(bench: Workbench, address: string, options: Options, io: CommandIo): Promise<void> {
  const loginEvents = await bench.care.eraseName(address, bench.order);
  if (options.json === true) io.out(json({ id: null, address, isErased: false, loginEvents }));
  else io.out(`There is no account ${address}. Login log rows of the name deleted: ${loginEvents}.`);
}
