import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema
    .createTable('audit_chain')
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('mac_key', 'bigint', (column) => column.notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('head', 'blob', (column) => column.notNull())
    .addColumn('base_seq', 'bigint', (column) => column.notNull())
    .addColumn('base_head', 'blob', (column) => column.notNull())
    .addColumn('base_mac', 'blob', (column) => column.notNull())
    .addColumn('started_at', 'bigint', (column) => column.notNull())
    .addColumn('last_at', 'bigint', (column) => column.notNull())
    .addColumn('closed_at', 'bigint')
    .execute();
  await schema.createIndex('audit_chain_age').on('audit_chain').column('last_at').execute();

  // No reference to the account: what was done to it outlives it.
  await schema
    .createTable('audit_entry')
    .addColumn('chain', 'text', (column) => column.notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('account_id', 'blob')
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('entry', 'text', (column) => column.notNull())
    .addColumn('head', 'blob', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_entry_place', ['chain', 'seq'])
    .execute();
  await schema.createIndex('audit_entry_age').on('audit_entry').columns(['at', 'chain', 'seq']).execute();
  await schema
    .createIndex('audit_entry_account')
    .on('audit_entry')
    .columns(['account_id', 'at', 'chain', 'seq'])
    .execute();
}
