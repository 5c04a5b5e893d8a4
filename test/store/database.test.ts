import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount, disableAccount, findAccount, listAccounts } from '../../src/store/accounts.ts';
import { migrate, openDatabase, pendingMigrations } from '../../src/store/database.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const guard = rowGuard();
const run = promisify(execFile);
const module = (name: string) => JSON.stringify(join(import.meta.dirname, name));

describe('the embedded database', () => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  beforeEach(async () => {
    scratch = await scratchDatabase();
  });
  afterEach(async () => {
    await scratch.close();
  });

  it('S-36: file and log are 0600 in a folder of 0700', async () => {
    const database = scratch.open();
    await migrate(database);
    const mode = async (path: string) => (await stat(path)).mode & 0o777;
    expect(await mode(scratch.file)).toBe(0o600);
    expect(await mode(`${scratch.file}-wal`)).toBe(0o600);
    expect(await mode(dirname(scratch.file))).toBe(0o700);
  });

  it('in memory needs no file', async () => {
    const database = openDatabase(':memory:');
    await migrate(database);
    expect(await listAccounts(database, guard)).toEqual([]);
    await database.destroy();
  });
});

describe.each(engines)('on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
  });
  afterEach(async () => {
    await scratch.close();
  });

  it('is migrated once, also by processes that start together', async () => {
    const script = `
      import { openStore } from ${module('open-store.ts')};
      import { migrate } from ${module('../../src/store/database.ts')};
      const database = openStore(process.argv[1]);
      console.log(JSON.stringify(await migrate(database)));
      await database.destroy();
    `;
    const starting = Array.from({ length: 4 }, () =>
      run(process.execPath, ['--input-type=module', '-e', script, scratch.at]),
    );
    const ran = (await Promise.all(starting)).map(({ stdout }) => JSON.parse(stdout) as string[]);
    const database = scratch.open();
    expect(await pendingMigrations(database)).toEqual([]);
    expect(await migrate(database)).toEqual([]);
    expect(ran.filter((names) => names.length > 0)).toHaveLength(1);
    expect(ran.flat()[0]).toBe('001-initial');
  });

  it('knows what it lacks, and half a migration is none', async () => {
    const database = scratch.open();
    const all = await pendingMigrations(database);
    expect(all.length).toBeGreaterThan(1);
    // The last of the migrations finds its table made.
    await database.schema.createTable('revocation_counter').addColumn('id', 'integer').execute();
    await expect(migrate(database)).rejects.toThrow(/already exists/);
    expect(await pendingMigrations(database)).toEqual(all);
    await database.schema.dropTable('revocation_counter').execute();
    expect(await migrate(database)).toEqual(all);
    expect(await pendingMigrations(database)).toEqual([]);
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
});
