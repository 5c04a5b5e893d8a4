import type { Command } from 'commander';
import { formatRecoveryCode } from '../identity/second-factor/recovery-code.ts';
import { findAccountById, lockAccount, setHold } from '../store/accounts.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, moment } from './io.ts';
import { accountOf, withWorkbench } from './workbench.ts';

/** `account enrollment-code｜end-recovery-hold`: what an operator hands a person after having seen who it is. */
export function addAccountFactorCommands(group: Command, io: CommandIo): void {
  group
    .command('enrollment-code <address>')
    .description('make the one-time code for the first second factor, and print it once')
    .action(async (address: string, _: unknown, command: Command) =>
      enrollmentCode(address, command.optsWithGlobals(), io),
    );

  group
    .command('end-recovery-hold <address>')
    .description('let the person create app passwords at once after using a recovery code')
    .action(async (address: string, _: unknown, command: Command) =>
      endRecoveryHold(address, command.optsWithGlobals(), io),
    );
}

async function enrollmentCode(typed: string, options: CommonOptions, io: CommandIo): Promise<void> {
  await withWorkbench(options, io, async (bench) => {
    const account = await accountOf(bench, typed);
    const made = await bench.enrollmentCodes.create(account.id, bench.actor, options.reason);
    if (made === null) {
      throw new CommandFailure(
        exitCode.failed,
        `${account.address} has second factors: a code would open nothing. \`sallyport account reset-mfa\` removes them.`,
      );
    }
    const code = formatRecoveryCode(made.secret);
    made.secret.wipe();
    const domain = bench.config.domains[account.address.slice(account.address.lastIndexOf('@') + 1)];
    if (domain?.enrollment !== 'code') {
      io.err('Warning: enrollment is not `code` for this domain, so nobody will be asked for it.');
    }
    if (options.json === true) {
      io.out(json({ address: account.address, code, notAfter: new Date(made.until).toISOString() }));
    } else {
      io.out(`${code}  for ${account.address}, once, until ${moment(made.until)}.`);
    }
  });
}

async function endRecoveryHold(typed: string, options: CommonOptions, io: CommandIo): Promise<void> {
  await withWorkbench(options, io, async (bench) => {
    const { id, address } = await accountOf(bench, typed);
    const wasHeld = await bench.database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, id);
      const account = await findAccountById(transaction, bench.guard, id);
      if (account === null || account.hold_until === null || account.hold_until <= io.now()) return false;
      await setHold(transaction, bench.guard, account, null);
      await bench.record(transaction, { account, event: { action: 'recovery-hold.ended' } });
      return true;
    });
    if (options.json === true) io.out(json({ address, wasHeld }));
    else io.out(`${address} ${wasHeld ? 'may create app passwords again.' : 'was not held back.'}`);
  });
}
