import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema
    .createTable('profile_link')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('token_hash', 'blob', (column) => column.notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('device', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('not_after', 'bigint', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('used_at', 'bigint')
    .addColumn('used_address', 'text')
    .addColumn('used_by', 'text')
    .addColumn('credential_id', 'blob')
    .execute();
  await schema.createIndex('profile_link_token').unique().on('profile_link').column('token_hash').execute();
  await schema.createIndex('profile_link_account').on('profile_link').column('account_id').execute();
  await schema.createIndex('profile_link_age').on('profile_link').column('created_at').execute();
}
