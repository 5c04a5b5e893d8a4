import type { Kysely } from 'kysely';

/** Several factors of several kinds for an account, and the codes that lead to one. */
export async function up(database: Kysely<unknown>): Promise<void> {
  const { schema } = database;
  // One statement a column: SQLite adds no two at once.
  const add = async (table: string, name: string, type: 'text' | 'blob' | 'bigint' | 'integer') =>
    await schema.alterTable(table).addColumn(name, type).execute();

  await schema
    .alterTable('second_factor')
    .addColumn('name', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  await schema
    .alterTable('second_factor')
    .addColumn('is_primary', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await add('second_factor', 'address', 'text');
  await add('second_factor', 'credential_id', 'blob');
  await add('second_factor', 'public_key', 'blob');
  await add('second_factor', 'rp_id', 'text');
  await add('second_factor', 'user_verified', 'integer');
  await add('second_factor', 'backup_eligible', 'integer');
  await add('second_factor', 'backed_up', 'integer');
  await add('second_factor', 'sign_count', 'bigint');
  await add('second_factor', 'transports', 'text');
  await add('second_factor', 'used_at', 'bigint');
  await add('second_factor', 'told_at', 'bigint');
  await add('second_factor', 'saved_at', 'bigint');
  // Over all accounts: an authenticator that is enrolled twice would not know who is meant.
  await schema
    .createIndex('second_factor_credential')
    .on('second_factor')
    .column('credential_id')
    .unique()
    .execute();

  await add('account', 'hold_until', 'bigint');
  await add('account', 'user_handle', 'blob');
  await schema
    .alterTable('portal_session')
    .addColumn('assurance', 'text', (column) => column.notNull().defaultTo('password'))
    .execute();
  await add('portal_session', 'opened', 'text');

  await schema
    .createTable('recovery_code')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('factor_id', 'blob', (column) =>
      column.notNull().references('second_factor.id').onDelete('cascade'),
    )
    .addColumn('pepper_version', 'integer', (column) => column.notNull())
    .addColumn('selector', 'integer', (column) => column.notNull())
    .addColumn('phc', 'text', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .execute();
  await schema.createIndex('recovery_code_factor').on('recovery_code').column('factor_id').execute();

  await schema
    .createTable('enrollment_code')
    .addColumn('account_id', 'blob', (column) =>
      column.primaryKey().notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('pepper_version', 'integer', (column) => column.notNull())
    .addColumn('phc', 'text', (column) => column.notNull())
    .addColumn('not_after', 'bigint', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .addColumn('tries', 'integer', (column) => column.notNull())
    .addColumn('spell_began_at', 'bigint', (column) => column.notNull())
    .addColumn('spell_tries', 'integer', (column) => column.notNull())
    .execute();

  await schema
    .createTable('webauthn_challenge')
    .addColumn('challenge', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('session_hash', 'blob', (column) => column.notNull())
    .addColumn('ceremony', 'text', (column) => column.notNull())
    .addColumn('user_verification', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('row_mac', 'blob', (column) => column.notNull())
    .execute();
  await schema
    .createIndex('webauthn_challenge_account')
    .on('webauthn_challenge')
    .columns(['account_id', 'session_hash'])
    .execute();

  await schema
    .createTable('email_code')
    .addColumn('id', 'blob', (column) => column.primaryKey().notNull())
    .addColumn('account_id', 'blob', (column) =>
      column.notNull().references('account.id').onDelete('cascade'),
    )
    .addColumn('session_hash', 'blob', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('code_mac', 'blob', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('tries', 'integer', (column) => column.notNull())
    .addColumn('ended_at', 'bigint')
    .execute();
  await schema
    .createIndex('email_code_account')
    .on('email_code')
    .columns(['account_id', 'created_at'])
    .execute();
}
