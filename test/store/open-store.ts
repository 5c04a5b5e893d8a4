import { database } from '../../src/config/database-schema.ts';
import { Secret } from '../../src/secret.ts';
import { openConfiguredDatabase } from '../../src/store/configured-database.ts';
import { type Database, openDatabase } from '../../src/store/database.ts';

/** Opens what a file name or a postgres URL stands for, also in a process without jest. */
export function openStore(at: string): Database {
  if (!at.startsWith('postgres:')) return openDatabase(at);
  const { password, passwordFile: _, ...location } = database.parse({ url: at });
  return openConfiguredDatabase({
    config: { database: location },
    secrets: {
      databasePassword: password === null ? null : Secret.fromText(password),
      authorities: new Map(),
    },
  });
}
