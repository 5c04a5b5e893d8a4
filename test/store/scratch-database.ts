import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../src/store/database.ts';

/** An empty database file of one's own, not migrated; more connections to it on demand. */
export async function scratchDatabase() {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-store-'));
  const file = join(folder, 'state', 'sallyport.db');
  const opened: Database[] = [];
  const open = (): Database => {
    const database = openDatabase(file);
    opened.push(database);
    return database;
  };
  const close = async () => {
    for (const database of opened) await database.destroy();
    await rm(folder, { recursive: true, force: true });
  };
  return { file, open, close };
}
