import { readFileSync } from 'node:fs';
import { types } from 'node:util';
import { Command, CommanderError } from 'commander';
import { addAccountCommands } from './account.ts';
import { addAppPasswordCommands } from './app-password.ts';
import { addAuditCommands } from './audit.ts';
import { addBackupCommand } from './backup.ts';
import { runCheck } from './check.ts';
import { addDnsCommand } from './dns.ts';
import { addIdentityCommands } from './identity.ts';
import { CommandFailure, type CommandIo, type CommonOptions, type ExitCode, exitCode } from './io.ts';
import { addKeysCommands } from './keys.ts';
import { addLoginLogCommand } from './login-log.ts';
import { runMigrate } from './migrate.ts';
import { runServe } from './serve.ts';
import { addSessionCommands } from './session.ts';
import { addThrottleCommands } from './throttle.ts';
import { addTransferCommands } from './transfer.ts';
import { defaultConfigFile } from './workbench.ts';

/** Runs one command line (without node and program name) and answers its exit code. Never rejects. */
export async function run(words: readonly string[], io: CommandIo): Promise<ExitCode> {
  const program = new Command('sallyport')
    .description('Lets legacy mail clients sign in with app passwords, in front of an IMAP and SMTP backend.')
    .version(packageVersion(), '-V, --version')
    .option('--config <file>', `configuration; default $SALLYPORT_CONFIG, else ${defaultConfigFile}`)
    .option('--json', 'print data as JSON')
    .option('--reason <text>', 'why, for the audit trail')
    .exitOverride()
    .showHelpAfterError('(--help explains)')
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => io.err(text.trimEnd()),
    })
    .addHelpText(
      'after',
      `
First steps:
  sallyport demo                      see it work with throw-away servers
  sallyport check                     every problem of the configuration at once
  sallyport keys init                 make the key file
  sallyport serve                     run the gateway

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 the configuration cannot be used.`,
    );

  program
    .command('serve')
    .description('run the gateway in the foreground; SIGTERM drains, SIGHUP takes new certificates')
    .action(async (_: unknown, command: Command) => runServe(command.optsWithGlobals(), io));
  program
    .command('demo')
    .description('run it with a real Dovecot and Postfix in a scratch folder')
    .option('--try', 'read, send and be refused once, print each step, and end')
    .action(async (_: unknown, command: Command) => {
      // Its servers are of no use to the other commands.
      const { runDemo } = await import('./demo.ts');
      const options: CommonOptions & { try?: boolean } = command.optsWithGlobals();
      await runDemo({ try: options.try === true, json: options.json === true }, io);
    });
  program
    .command('check')
    .description('every problem of the configuration at once')
    .option('--connect', 'also dial backends, Redis and database and say what each answered')
    .action(async (_: unknown, command: Command) => runCheck(command.optsWithGlobals(), io));
  program
    .command('migrate')
    .description('make the database or bring it up to date (serve does it too)')
    .option(
      '--after-restore',
      'after restoring a backup: revoke every app password, end every portal session',
    )
    .action(async (_: unknown, command: Command) => runMigrate(command.optsWithGlobals(), io));
  addKeysCommands(program, io);
  addAccountCommands(program, io);
  addAppPasswordCommands(program, io);
  addSessionCommands(program, io);
  addIdentityCommands(program, io);
  addLoginLogCommand(program, io);
  addThrottleCommands(program, io);
  addAuditCommands(program, io);
  addDnsCommand(program, io);
  addBackupCommand(program, io);
  addTransferCommands(program, io);

  try {
    await program.parseAsync([...words], { from: 'user' });
    return exitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    if (error instanceof CommandFailure) {
      if (error.message !== '') io.err(error.message);
      return error.code;
    }
    // A fault of the program: where it happened is what a report needs.
    io.err(types.isNativeError(error) ? (error.stack ?? error.message) : String(error));
    return exitCode.failed;
  }
}

/** The same two levels up from `src/cli` and from `dist/cli`. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
