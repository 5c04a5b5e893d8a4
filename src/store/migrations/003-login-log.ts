import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema.alterTable('app_password').addColumn('last_used_client', 'text').execute();

  await schema
    .createTable('login_event')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) => column.references('account.id').onDelete('cascade'))
    .addColumn('name', 'text')
    .addColumn('first_at', 'bigint', (column) => column.notNull())
    .addColumn('last_at', 'bigint', (column) => column.notNull())
    .addColumn('times', 'integer', (column) => column.notNull())
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('detail', 'text')
    .addColumn('address', 'text')
    .addColumn('client', 'text')
    .addColumn('mechanism', 'text')
    .addColumn('credential_id', 'blob')
    .execute();
  await schema
    .createIndex('login_event_account')
    .on('login_event')
    .columns(['account_id', 'last_at'])
    .execute();
  await schema.createIndex('login_event_name').on('login_event').columns(['name', 'last_at']).execute();
  await schema.createIndex('login_event_age').on('login_event').column('last_at').execute();

  await schema
    .createTable('stale_client')
    .addColumn('credential_id', 'blob', (column) =>
      column.primaryKey().notNull().references('app_password.id').onDelete('cascade'),
    )
    .addColumn('first_at', 'bigint', (column) => column.notNull())
    .addColumn('last_at', 'bigint', (column) => column.notNull())
    .addColumn('times', 'integer', (column) => column.notNull())
    .addColumn('protocol', 'text', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('client', 'text')
    .execute();
}
