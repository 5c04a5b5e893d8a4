import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { Kysely } from 'kysely';
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration';
import * as initial from './migrations/001-initial.ts';
import type { Schema } from './schema.ts';
import { LockingSqliteDialect } from './sqlite-dialect.ts';

export type Database = Kysely<Schema>;

const migrations: Readonly<Record<string, Migration>> = { '001-initial': initial };
const provider: MigrationProvider = { getMigrations: async () => ({ ...migrations }) };

/**
 * Opens the embedded database, making it and its folder when missing; `:memory:` for one that dies with the process.
 * Throws where the file cannot be opened. The caller migrates.
 */
export function openDatabase(file: string): Database {
  // The file and its WAL hold addresses and hashes: nobody but the gateway's user reads them (S-36).
  if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const sqlite = new Sqlite(file);
  if (file !== ':memory:') chmodSync(file, 0o600);
  sqlite.pragma('journal_mode = WAL');
  // A revocation that was answered must survive a power cut.
  sqlite.pragma('synchronous = FULL');
  sqlite.pragma('foreign_keys = ON');
  // The command line writes beside a running gateway; the dialect waits, and does not stop the process meanwhile.
  sqlite.pragma('busy_timeout = 0');
  return new Kysely<Schema>({ dialect: new LockingSqliteDialect({ database: sqlite }) });
}

/**
 * Brings the schema up to date in one transaction, so that several starting processes do it once and none half.
 * Answers the names of the migrations that ran, empty when there was nothing to do.
 */
export async function migrate(database: Database): Promise<readonly string[]> {
  return await database.transaction().execute(async (transaction) => {
    const { error, results } = await new Migrator({ db: transaction, provider }).migrateToLatest();
    if (error !== undefined) throw error;
    return (results ?? []).map((result) => result.migrationName);
  });
}

/** Migrations this program knows and the database has not seen; reads only. */
export async function pendingMigrations(database: Database): Promise<readonly string[]> {
  const all = await new Migrator({ db: database, provider }).getMigrations();
  return all.filter((migration) => migration.executedAt === undefined).map((migration) => migration.name);
}
