import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import Sqlite from 'better-sqlite3';

/** What a backup holds. */
export interface Backup {
  readonly bytes: number;
  /** Number of the last revocation in it. */
  readonly seq: number;
}

/** The copy is not a sound database: the original is damaged. */
export class UnsoundBackupError extends Error {
  override readonly name = 'UnsoundBackupError';
}

/** More pages than a file can have: one step, because a write of another process would make several begin again. */
const everything = 0x7fffffff;

/**
 * Copies an embedded database, as it is at one moment, into a new file of mode 0600, while others read and write it.
 * The file appears whole, checked and synced, or not at all. Rejects with EEXIST where there is one, with
 * {@link UnsoundBackupError} for a damaged database.
 */
export async function backUpSqlite(file: string, target: string): Promise<Backup> {
  const temporary = `${target}.${randomBytes(6).toString('hex')}.new`;
  try {
    // The name is taken at the end; asked now, so that nobody waits for nothing.
    await (await open(target, 'wx', 0o600)).close();
    await rm(target);
    await (await open(temporary, 'wx', 0o600)).close();
    await copy(file, temporary);
    const seq = check(temporary);
    await sync(temporary);
    const { size } = await stat(temporary);
    // Unlike a rename it takes no name that somebody has taken meanwhile.
    await link(temporary, target);
    await rm(temporary);
    await sync(dirname(resolve(target)));
    return { bytes: size, seq };
  } catch (error) {
    for (const suffix of ['', '-journal', '-wal', '-shm']) await rm(`${temporary}${suffix}`, { force: true });
    throw error;
  }
}

async function copy(file: string, target: string): Promise<void> {
  const database = new Sqlite(file, { fileMustExist: true });
  try {
    await database.backup(target, { progress: () => everything });
  } finally {
    database.close();
  }
}

/** Leaves one file, which needs no log beside it. */
function check(file: string): number {
  const database = new Sqlite(file, { fileMustExist: true });
  try {
    database.pragma('journal_mode = DELETE');
    const problem = database.pragma('integrity_check(1)', { simple: true });
    if (problem !== 'ok') throw new UnsoundBackupError(String(problem));
    const [orphan] = database.pragma('foreign_key_check') as { readonly table: string }[];
    if (orphan !== undefined) throw new UnsoundBackupError(`a row of ${orphan.table} belongs to nothing`);
    const row = database.prepare('select max(seq) as seq from revocation').get() as { seq: number | null };
    return row.seq ?? 0;
  } finally {
    database.close();
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
