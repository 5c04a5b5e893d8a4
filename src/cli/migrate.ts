import { access } from 'node:fs/promises';
import { databaseName } from '../config/database-schema.ts';
import type { Config } from '../config/schema.ts';
import { highWaterFile } from '../credentials/high-water.ts';
import type { JournalEvent } from '../credentials/journal.ts';
import type { KeyRing } from '../credentials/key-file.ts';
import { KeyedRowGuard } from '../credentials/keyed-row-guard.ts';
import { openRedis } from '../credentials/redis.ts';
import { type AfterRestore, revokeAfterRestore } from '../credentials/restored-database.ts';
import { errorText } from '../observability/error-text.ts';
import { createMetrics } from '../observability/metrics.ts';
import { openConfiguredDatabase } from '../store/configured-database.ts';
import { type Database, migrate, pendingMigrations } from '../store/database.ts';
import { type CommandIo, type CommonOptions, json } from './io.ts';
import { configurationOf, explainOutage, highWaterOf, journalOf, keysOf, refuseWrites } from './workbench.ts';

/**
 * `migrate`: makes the database or brings it up to date. With `afterRestore` it also ends everything that the backup may
 * have revived (S-35); without, a restored database is refused.
 */
export async function runMigrate(
  options: CommonOptions & { readonly afterRestore?: boolean },
  io: CommandIo,
): Promise<void> {
  const { config, secrets } = await configurationOf(options, io);
  const name = databaseName(config.database);
  const database = openConfiguredDatabase({ config, secrets }, { isPatient: true });
  try {
    if (options.afterRestore !== true) {
      await refuseRestoredDatabase(config, database, io);
      const ran = await migrate(database);
      if (ran.length > 0) await journalizeMigrations({ config, database }, ran, options, io);
      if (options.json === true) io.out(json({ database: name, ran }));
      else io.out(sentence(name, ran));
      return;
    }
    const keys = await keysOf(config);
    const redis = openRedis(config, secrets, () => undefined);
    try {
      const ran = await migrate(database);
      const highWater = highWaterOf(config, keys, redis, io);
      const done = await revokeAfterRestore({ database, keys, highWater, now: io.now });
      const { revoked, sessionsEnded } = done;
      await journalize(
        { config, database, keys },
        { action: 'database.restored', revoked, sessionsEnded },
        options,
        io,
      );
      if (options.json === true) io.out(json({ database: name, ran, ...done }));
      else for (const line of [sentence(name, ran), ...report(done)]) io.out(line);
    } finally {
      redis?.disconnect();
    }
  } catch (error) {
    throw explainOutage(error, config);
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

function sentence(name: string, ran: readonly string[]): string {
  return ran.length === 0 ? `${name} is up to date.` : `${name}: ran ${ran.join(', ')}.`;
}

function report({ revoked, sessionsEnded, codesVoided }: AfterRestore): readonly string[] {
  return [
    `App passwords revoked: ${revoked}. Portal sessions ended: ${sessionsEnded}. Recovery and enrollment codes voided: ${codesVoided}.`,
    'Everything else is as the backup has it: disable accounts and reset second factors again that were since the backup.',
  ];
}

/** Not without a key file: a first `migrate` may come before it, and there is nothing yet that anybody could have changed. */
async function journalizeMigrations(
  parts: { readonly config: Config; readonly database: Database },
  migrations: readonly string[],
  options: CommonOptions,
  io: CommandIo,
): Promise<void> {
  const hasKeys = await access(parts.config.keysFile).then(
    () => true,
    () => false,
  );
  if (!hasKeys) return;
  const keys = await keysOf(parts.config);
  await journalize({ ...parts, keys }, { action: 'database.migrated', migrations }, options, io);
}

/** What was done is done, whatever becomes of this. */
async function journalize(
  {
    config,
    database,
    keys,
  }: { readonly config: Config; readonly database: Database; readonly keys: KeyRing },
  event: JournalEvent,
  { reason }: CommonOptions,
  io: CommandIo,
): Promise<void> {
  const guard = new KeyedRowGuard({ keys, metrics: createMetrics(), logger: null });
  const { actor, audit, journal } = journalOf({ config, database, keys, guard }, io);
  try {
    const why = reason === undefined ? {} : { reason };
    await journal.record(database, { account: null, actor, event, ...why });
    await audit.close(database);
  } catch (error) {
    io.err(`Warning: not in the audit trail: ${errorText(error)}.`);
  }
}
