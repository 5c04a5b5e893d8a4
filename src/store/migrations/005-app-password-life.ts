import type { Kysely } from 'kysely';

export async function up(database: Kysely<unknown>): Promise<void> {
  const { schema } = database;
  await schema.alterTable('app_password').addColumn('first_use_by', 'bigint').execute();
  await schema.alterTable('app_password').addColumn('max_idle_ms', 'bigint').execute();
  // How many an account was given within the last hour.
  await schema
    .createIndex('app_password_created')
    .on('app_password')
    .columns(['account_id', 'created_at'])
    .execute();
}
