import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount, disableAccount, findAccount, listAccounts } from '../../src/store/accounts.ts';
import { migrate, openDatabase, pendingMigrations } from '../../src/store/database.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { scratchDatabase } from './scratch-database.ts';

const guard = rowGuard();
let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
beforeEach(async () => {
  scratch = await scratchDatabase();
});
afterEach(async () => {
  await scratch.close();
});

describe('the embedded database', () => {
  it('S-36: file and log are 0600 in a folder of 0700', async () => {
    const database = scratch.open();
    await migrate(database);
    const mode = async (path: string) => (await stat(path)).mode & 0o777;
    expect(await mode(scratch.file)).toBe(0o600);
    expect(await mode(`${scratch.file}-wal`)).toBe(0o600);
    expect(await mode(dirname(scratch.file))).toBe(0o700);
  });

  it('is migrated once, also by processes that start together', async () => {
    const module = join(import.meta.dirname, '../../src/store/database.ts');
    const script = `
      import { migrate, openDatabase } from ${JSON.stringify(module)};
      console.log(JSON.stringify(await migrate(openDatabase(process.argv[1]))));
    `;
    const run = promisify(execFile);
    const starting = Array.from({ length: 4 }, () =>
      run(process.execPath, ['--input-type=module', '-e', script, scratch.file]),
    );
    const ran = (await Promise.all(starting)).map(({ stdout }) => JSON.parse(stdout) as string[]);
    const database = scratch.open();
    expect(await pendingMigrations(database)).toEqual([]);
    expect(await migrate(database)).toEqual([]);
    expect(ran.filter((names) => names.length > 0)).toHaveLength(1);
    expect(ran.flat()[0]).toBe('001-initial');
  });

  it('in memory needs no file', async () => {
    const database = openDatabase(':memory:');
    await migrate(database);
    expect(await listAccounts(database, guard)).toEqual([]);
    await database.destroy();
  });
});

describe('accounts', () => {
  it('two first sign-ins at once make one', async () => {
    const database = scratch.open();
    await migrate(database);
    const outcomes = await Promise.all([
      createAccount(database, guard, 'alice@example.com', 1),
      createAccount(database, guard, 'alice@example.com', 2),
    ]);
    expect(outcomes.map(({ created }) => created).toSorted()).toEqual([false, true]);
    expect(outcomes[0]?.account).toEqual(outcomes[1]?.account);
  });

  it('S-32: names are values, never SQL', async () => {
    const database = scratch.open();
    await migrate(database);
    const names = ["' OR 1=1 --", "x'; DROP TABLE account; --", '%', '_', '"', '\\', "a@b'||(SELECT 1)||'"];
    for (const name of names) {
      expect(await findAccount(database, guard, name)).toBeNull();
      const { account } = await createAccount(database, guard, name, 1);
      expect(await findAccount(database, guard, name)).toEqual(account);
    }
    expect(await listAccounts(database, guard)).toHaveLength(names.length);
  });

  it('disabling enters the revocation feed in the same transaction', async () => {
    const database = scratch.open();
    await migrate(database);
    const { account } = await createAccount(database, guard, 'alice@example.com', 1);
    await disableAccount(database, guard, account.id, 5);
    expect(await findAccount(database, guard, 'alice@example.com')).toMatchObject({ state: 'disabled' });
    expect(await database.selectFrom('revocation').selectAll().execute()).toEqual([
      { seq: 1, credential_id: null, account_id: account.id, at: 5, reason: 'account disabled' },
    ]);
    await database.schema.dropTable('revocation').execute();
    const bob = await createAccount(database, guard, 'bob@example.com', 1);
    await expect(disableAccount(database, guard, bob.account.id, 6)).rejects.toThrow();
    expect(await findAccount(database, guard, 'bob@example.com')).toMatchObject({ state: 'active' });
  });
});
