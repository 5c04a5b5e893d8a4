import type { Command } from 'commander';
import {
  createKeyFile,
  type KeyFamily,
  KeyFileError,
  keyFingerprints,
  rotateKeyFile,
} from '../credentials/key-file.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json, table } from './io.ts';
import { configurationOf } from './workbench.ts';

const families = ['pepper', 'mac', 'seal', 'all'] as const;

/** `keys init｜rotate｜status`. */
export function addKeysCommands(program: Command, io: CommandIo): void {
  const group = program.command('keys').description('the key file, without which the database opens nothing');

  group
    .command('init')
    .description('make the key file (mode 0600); never replaces one')
    .action(async (_: unknown, command: Command) => {
      const options: CommonOptions = command.optsWithGlobals();
      const { config } = await configurationOf(options, io);
      await refusing(createKeyFile(config.keysFile, io.now()));
      if (options.json === true) {
        io.out(json({ keysFile: config.keysFile }));
        return;
      }
      io.out(`Key file ${config.keysFile} made. Back it up, and not where the database backups are:`);
      io.out('without it every app password is lost, and with both an attacker can guess offline.');
    });

  group
    .command('rotate [family]')
    .description(
      'new keys for pepper, mac, seal or all; the old ones stay accepted. Restart the gateway afterwards',
    )
    .action(async (family: string | undefined, _: unknown, command: Command) => {
      const chosen = families.find((known) => known === (family ?? 'all'));
      if (chosen === undefined) {
        throw new CommandFailure(
          exitCode.usage,
          `The family is one of ${families.join(', ')}, not "${family}".`,
        );
      }
      const options: CommonOptions = command.optsWithGlobals();
      const { config } = await configurationOf(options, io);
      await refusing(rotateKeyFile(config.keysFile, chosen satisfies KeyFamily | 'all', io.now()));
      if (options.json === true) io.out(json({ rotated: chosen }));
      else
        io.out(
          `Keys rotated (${chosen}). Restart the gateway to use them; old logins move at their next use.`,
        );
    });

  group
    .command('status')
    .description('which keys there are: a fingerprint of each, never a key')
    .action(async (_: unknown, command: Command) => {
      const options: CommonOptions = command.optsWithGlobals();
      const { config } = await configurationOf(options, io);
      const keys = await refusing(keyFingerprints(config.keysFile));
      if (options.json === true) {
        io.out(json(keys));
        return;
      }
      const rows = keys.map((key) => [
        key.family,
        String(key.id),
        key.state,
        key.created,
        key.fingerprint ?? '',
      ]);
      for (const line of table(['family', 'id', 'state', 'created', 'fingerprint'], rows)) io.out(line);
    });
}

/** Why a key file is refused is the operator's to mend: exit 78 with the reason. */
async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof KeyFileError) throw new CommandFailure(exitCode.configuration, error.message);
    throw error;
  }
}
