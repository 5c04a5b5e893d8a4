import { chmodSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { Kysely } from 'kysely';
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration';
import * as initial from './migrations/001-initial.ts';
import * as fence from './migrations/002-fence.ts';
import * as loginLog from './migrations/003-login-log.ts';
import * as revocationCounter from './migrations/004-revocation-counter.ts';
import * as appPasswordLife from './migrations/005-app-password-life.ts';
import * as secondFactors from './migrations/006-second-factors.ts';
import * as notices from './migrations/007-notices.ts';
import * as audit from './migrations/008-audit.ts';
import * as oidc from './migrations/009-oidc.ts';
import * as profileLink from './migrations/010-profile-link.ts';
import { lockMigrations } from './postgres-dialect.ts';
import { PreparedOnce } from './prepared-once.ts';
import type { Schema } from './schema.ts';
import { LockingSqliteDialect } from './sqlite-dialect.ts';

export type Database = Kysely<Schema>;

const migrations: Readonly<Record<string, Migration>> = {
  '001-initial': initial,
  '002-fence': fence,
  '003-login-log': loginLog,
  '004-revocation-counter': revocationCounter,
  '005-app-password-life': appPasswordLife,
  '006-second-factors': secondFactors,
  '007-notices': notices,
  '008-audit': audit,
  '009-oidc': oidc,
  '010-profile-link': profileLink,
};
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
  // What is deleted is overwritten: seeds and addresses must not stay in free pages (S-36).
  sqlite.pragma('secure_delete = ON');
  // The command line writes beside a running gateway; the dialect waits, and does not stop the process meanwhile.
  sqlite.pragma('busy_timeout = 0');
  return new Kysely<Schema>({ dialect: new LockingSqliteDialect({ database: new PreparedOnce(sqlite) }) });
}

/** Whether transactions of other connections run at the same time; the embedded engine lets in one that writes. */
export function isShared(database: Database): boolean {
  return database.getExecutor().adapter.supportsMultipleConnections === true;
}

/** Runs `work` in the transaction that `database` is, or else in one of its own. */
export async function within<T>(database: Database, work: (transaction: Database) => Promise<T>): Promise<T> {
  return database.isTransaction ? await work(database) : await database.transaction().execute(work);
}

/**
 * Writes single rows that do not depend on each other. Embedded, in one transaction: one sync of the disk for all of them.
 * Shared, each by itself: a transaction that held several would wait crosswise with one that revokes.
 */
export async function writeEach<T>(database: Database, write: (to: Database) => Promise<T>): Promise<T> {
  return isShared(database) ? await write(database) : await database.transaction().execute(write);
}

/**
 * Brings the schema up to date in one transaction under a lock, so that several starting processes do it once and none
 * half. Answers the names of the migrations that ran; with nothing to do it only reads, which a role without rights on the
 * schema may.
 */
export async function migrate(database: Database): Promise<readonly string[]> {
  if ((await pendingMigrations(database)).length === 0) return [];
  return await database.transaction().execute(async (transaction) => {
    if (isShared(database)) await lockMigrations(transaction);
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
