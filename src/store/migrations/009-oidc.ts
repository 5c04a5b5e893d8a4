import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema.alterTable('portal_session').addColumn('role', 'text').execute();

  await schema
    .createTable('oidc_transaction')
    .addColumn('id_hash', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) => column.references('account.id').onDelete('cascade'))
    .addColumn('sealed', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema.createIndex('oidc_transaction_age').on('oidc_transaction').column('created_at').execute();

  await schema
    .createTable('identity_link')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('issuer', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .execute();
  await schema
    .createIndex('identity_link_person')
    .unique()
    .on('identity_link')
    .columns(['issuer', 'subject'])
    .execute();
  await schema
    .createIndex('identity_link_account')
    .unique()
    .on('identity_link')
    .columns(['account_id', 'issuer'])
    .execute();
}
