import { access } from 'node:fs/promises';
import type { Config } from '../config/schema.ts';
import { highWaterFile } from '../credentials/high-water.ts';
import { openRedis } from '../credentials/redis.ts';
import { type AfterRestore, revokeAfterRestore } from '../credentials/restored-database.ts';
import { type Database, migrate, openDatabase, pendingMigrations } from '../store/database.ts';
import { type CommandIo, type CommonOptions, json } from './io.ts';
import { configurationOf, highWaterOf, keysOf, refuseWrites } from './workbench.ts';

/**
 * `migrate`: makes the database or brings it up to date. With `afterRestore` it also ends everything that the backup may
 * have revived (S-35); without, a restored database is refused.
 */
export async function runMigrate(
  options: CommonOptions & { readonly afterRestore?: boolean },
  io: CommandIo,
): Promise<void> {
  const { config, secrets } = await configurationOf(options, io);
  const { file } = config.database;
  const database = openDatabase(file);
  try {
    if (options.afterRestore !== true) {
      await refuseRestoredDatabase(config, database, io);
      const ran = await migrate(database);
      if (options.json === true) io.out(json({ database: file, ran }));
      else io.out(sentence(file, ran));
      return;
    }
    const keys = await keysOf(config);
    const redis = openRedis(config, secrets, () => undefined);
    try {
      const ran = await migrate(database);
      const highWater = highWaterOf(config, keys, redis, io);
      const done = await revokeAfterRestore({ database, keys, highWater, now: io.now });
      if (options.json === true) io.out(json({ database: file, ran, ...done }));
      else for (const line of [sentence(file, ran), ...report(done)]) io.out(line);
    } finally {
      redis?.disconnect();
    }
  } finally {
    await database.destroy();
  }
}

/** By the file alone: a first `migrate` may come before the key file, and then there is no mark either. */
async function refuseRestoredDatabase(config: Config, database: Database, io: CommandIo): Promise<void> {
  const isMarked = await access(highWaterFile(config.stateDir)).then(
    () => true,
    () => false,
  );
  // Not made yet, there is nothing in it that a restore could have revived.
  if (!isMarked || (await pendingMigrations(database)).includes('001-initial')) return;
  await refuseWrites(database, highWaterOf(config, await keysOf(config), null, io), io);
}

function sentence(file: string, ran: readonly string[]): string {
  return ran.length === 0 ? `${file} is up to date.` : `${file}: ran ${ran.join(', ')}.`;
}

function report({ revoked, sessionsEnded }: AfterRestore): readonly string[] {
  return [
    `App passwords revoked: ${revoked}. Portal sessions ended: ${sessionsEnded}.`,
    'Everything else is as the backup has it: disable accounts and reset second factors again that were since the backup.',
  ];
}
