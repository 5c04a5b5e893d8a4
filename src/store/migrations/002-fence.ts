import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .alterTable('app_password')
    .addColumn('fence', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
}
