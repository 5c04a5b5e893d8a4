import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import type { Database } from '../../src/store/database.ts';
import { type Postgres, startPostgres } from '../support/postgres.ts';
import { openStore } from './open-store.ts';

export type Engine = 'SQLite' | 'PostgreSQL';
/** For `describe.each`: what the store promises holds on both. */
export const engines: readonly Engine[] = ['SQLite', 'PostgreSQL'];

let cluster: Promise<Postgres> | null = null;
afterAll(async () => {
  await (await cluster)?.stop();
});

/** The PostgreSQL of this test file, started when first asked for. */
export async function sharedPostgres(): Promise<Postgres> {
  cluster ??= startPostgres();
  return await cluster;
}

/** An empty database of one's own, not migrated; more connections to it on demand. */
export async function scratchDatabase(engine: Engine = 'SQLite') {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-store-'));
  const file = join(folder, 'state', 'sallyport.db');
  /** A file name or a URL. */
  const at = engine === 'SQLite' ? file : await (await sharedPostgres()).createDatabase();
  const opened: Database[] = [];
  const open = (): Database => {
    const database = openStore(at);
    opened.push(database);
    return database;
  };
  const close = async () => {
    for (const database of opened) await database.destroy();
    await rm(folder, { recursive: true, force: true });
  };
  return { at, file, open, close };
}
