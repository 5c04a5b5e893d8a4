import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema.alterTable('account').addColumn('language', 'text').execute();

  await schema
    .createTable('notice')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('topic', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('facts', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('dismissed_at', 'bigint')
    .execute();
  await schema.createIndex('notice_account').on('notice').columns(['account_id', 'at']).execute();
  await schema.createIndex('notice_age').on('notice').column('at').execute();

  await schema
    .createTable('notice_delivery')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('notice_id', 'blob', (column) => column.notNull().references('notice.id').onDelete('cascade'))
    .addColumn('channel', 'text', (column) => column.notNull())
    .addColumn('recipient', 'text')
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('give_up_at', 'bigint', (column) => column.notNull())
    .addColumn('due_at', 'bigint', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .execute();
  await schema.createIndex('notice_delivery_due').on('notice_delivery').column('due_at').execute();
  await schema.createIndex('notice_delivery_notice').on('notice_delivery').column('notice_id').execute();
}
