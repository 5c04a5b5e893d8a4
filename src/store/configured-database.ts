import type { DatabaseLocation } from '../config/database-schema.ts';
import type { Secrets } from '../config/secrets.ts';
import { type Database, migrate, openDatabase } from './database.ts';
import { openPostgres } from './postgres.ts';

/** What opening a database takes, of the configuration and its secrets. */
interface Place {
  readonly config: { readonly database: DatabaseLocation };
  readonly secrets: Pick<Secrets, 'databasePassword' | 'authorities'>;
}

/**
 * The configured database. An embedded one is made when missing, and throws where it cannot be opened; a server is first
 * asked by the first query. `onFault` hears of broken connections that no query waits for. Patience is for what changes the
 * whole database.
 */
export function openConfiguredDatabase(
  { config, secrets }: Place,
  options: { readonly onFault?: (problem: string) => void; readonly isPatient?: boolean } = {},
): Database {
  const { database } = config;
  if (database.engine === 'sqlite') return openDatabase(database.file);
  return openPostgres({
    server: database,
    password: secrets.databasePassword,
    ca: database.caFile === null ? null : (secrets.authorities.get(database.caFile) ?? null),
    onFault: () => undefined,
    ...options,
  });
}

/** As `migrate`, over connections of its own that have patience. */
export async function migrateConfiguredDatabase(place: Place): Promise<readonly string[]> {
  const database = openConfiguredDatabase(place, { isPatient: true });
  try {
    return await migrate(database);
  } finally {
    await database.destroy();
  }
}
