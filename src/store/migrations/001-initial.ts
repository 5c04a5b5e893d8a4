import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const schema = database.schema;
  await schema
    .createTable('account')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('address', 'text', (column) => column.notNull().unique())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('mfa', 'text')
    .addColumn('enrolled_at', 'bigint')
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();

  await schema
    .createTable('app_password')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('label', 'text', (column) => column.notNull())
    .addColumn('scopes', 'integer', (column) => column.notNull())
    .addColumn('networks', 'text', (column) => column.notNull())
    .addColumn('not_after', 'bigint')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('pepper_version', 'integer', (column) => column.notNull())
    .addColumn('selector', 'integer', (column) => column.notNull())
    .addColumn('phc', 'text', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.notNull())
    .addColumn('revoked_at', 'bigint')
    .addColumn('last_used_at', 'bigint')
    .addColumn('last_used_address', 'text')
    .addColumn('last_used_protocol', 'text')
    .execute();
  // Not unique: after a pepper rotation two candidates may share one selector.
  await schema
    .createIndex('app_password_selector')
    .on('app_password')
    .columns(['account_id', 'pepper_version', 'selector'])
    .execute();

  await schema
    .createTable('revocation')
    .addColumn('seq', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('credential_id', 'blob')
    .addColumn('account_id', 'blob', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .execute();

  await schema
    .createTable('cache_salt')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('salt', 'blob', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();

  await schema
    .createTable('second_factor')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('sealed', 'text', (column) => column.notNull())
    .addColumn('confirmed_at', 'bigint')
    .addColumn('last_step', 'bigint', (column) => column.notNull())
    .addColumn('consecutive_failures', 'integer', (column) => column.notNull())
    .addColumn('disabled_at', 'bigint')
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema.createIndex('second_factor_account').on('second_factor').column('account_id').execute();

  await schema
    .createTable('factor_failure')
    .addColumn('factor_id', 'blob', (column) =>
      column.notNull().references('second_factor.id').onDelete('cascade'),
    )
    .addColumn('at', 'bigint', (column) => column.notNull())
    .execute();
  await schema
    .createIndex('factor_failure_factor')
    .on('factor_failure')
    .columns(['factor_id', 'at'])
    .execute();

  await schema
    .createTable('portal_session')
    .addColumn('id_hash', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('level', 'text', (column) => column.notNull())
    .addColumn('csrf', 'text', (column) => column.notNull())
    .addColumn('factor_at', 'bigint')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('seen_at', 'bigint', (column) => column.notNull())
    .execute();
  await schema.createIndex('portal_session_account').on('portal_session').column('account_id').execute();
}
