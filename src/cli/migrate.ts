import { migrate, openDatabase } from '../store/database.ts';
import { type CommandIo, type CommonOptions, json } from './io.ts';
import { configurationOf } from './workbench.ts';

/** `migrate`: makes the database or brings it up to date. */
export async function runMigrate(options: CommonOptions, io: CommandIo): Promise<void> {
  const { config } = await configurationOf(options, io);
  const database = openDatabase(config.database.file);
  try {
    const ran = await migrate(database);
    if (options.json === true) io.out(json({ database: config.database.file, ran }));
    else
      io.out(
        ran.length === 0
          ? `${config.database.file} is up to date.`
          : `${config.database.file}: ran ${ran.join(', ')}.`,
      );
  } finally {
    await database.destroy();
  }
}
