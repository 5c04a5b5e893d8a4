import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';

/** One row: whoever enters the revocation feed counts it up, and so holds the others off until it commits. */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema
    .createTable('revocation_counter')
    .addColumn('id', 'integer', (column) => column.primaryKey().notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .execute();
  await database
    .insertInto('revocation_counter')
    .columns(['id', 'seq'])
    .expression((expression) =>
      expression
        .selectFrom('revocation')
        .select((select) => [
          sql<number>`1`.as('id'),
          select.fn.coalesce(select.fn.max('seq'), sql<number>`0`).as('seq'),
        ]),
    )
    .execute();
  // Old entries are purged by their age.
  await database.schema.createIndex('revocation_at').on('revocation').column('at').execute();
}
