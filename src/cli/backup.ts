import type { Command } from 'commander';
import { databaseName } from '../config/database-schema.ts';
import { errorCode, errorText } from '../observability/error-text.ts';
import { backUpSqlite, UnsoundBackupError } from '../store/sqlite-backup.ts';
import { CommandFailure, type CommandIo, type CommonOptions, exitCode, json } from './io.ts';
import { configurationOf, noteDone } from './workbench.ts';

export function addBackupCommand(program: Command, io: CommandIo): void {
  program
    .command('backup')
    .argument('<file>', 'a new file; an existing one is never written over')
    .description('copy the embedded database into a file, also while the gateway runs')
    .action(async (file: string, _: unknown, command: Command) =>
      runBackup(file, command.optsWithGlobals(), io),
    );
}

/** `backup FILE`: the embedded database at one moment, checked, in a file of mode 0600. */
export async function runBackup(file: string, options: CommonOptions, io: CommandIo): Promise<void> {
  const { config } = await configurationOf(options, io);
  const name = databaseName(config.database);
  if (config.database.engine !== 'sqlite') {
    throw new CommandFailure(
      exitCode.failed,
      `${name} is a PostgreSQL: back it up with its own means, such as ` +
        `\`pg_dump --format=custom --file=FILE ${name}\`. ` +
        'After restoring it run `sallyport migrate --after-restore`.',
    );
  }
  try {
    const { bytes, seq } = await backUpSqlite(config.database.file, file);
    await noteDone(options, io, { action: 'backup.made' });
    if (options.json === true) io.out(json({ database: name, file, bytes, seq }));
    else {
      io.out(`${name} is backed up in ${file} (${bytes} bytes, ${seq} revocations).`);
      io.out('The key file is not in it. Keep that apart: each is worth little without the other.');
    }
  } catch (error) {
    throw explain(error, name, file);
  }
}

function explain(error: unknown, name: string, file: string): unknown {
  const failure = (text: string) => new CommandFailure(exitCode.failed, text);
  if (error instanceof UnsoundBackupError) {
    return failure(`${name} is damaged, and nothing was written: ${error.message}.`);
  }
  const code = errorCode(error);
  if (code === 'EEXIST') return failure(`${file} exists already; give the name of a new file.`);
  if (code === 'SQLITE_CANTOPEN') return failure(`There is no database ${name}.`);
  if (code?.startsWith('SQLITE_CORRUPT') === true || code === 'SQLITE_NOTADB') {
    return failure(`${name} is damaged, and nothing was written: ${errorText(error)}.`);
  }
  if (code?.startsWith('SQLITE_') === true || /^E[A-Z]+$/.test(code ?? '')) {
    return failure(`Nothing was written to ${file}: ${errorText(error)}.`);
  }
  return error;
}
