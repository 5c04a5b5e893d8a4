import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { trailPlace } from '../../src/portal/actions/trail.ts';
import { searchAccounts } from '../../src/store/account-search.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const guard = rowGuard();

describe.each(engines)('what administrators look for, on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let database: Database;
  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
    database = scratch.open();
    await migrate(database);
    for (const local of ['anna', 'a_b', 'a%b', 'a\\b']) {
      await createAccount(database, guard, `${local}@example.com`, 1);
    }
  });
  afterEach(async () => {
    await scratch.close();
  });

  const found = async (text: string, after: string | null = null) => {
    const accounts = await searchAccounts(database, guard, { text, after, limit: 10 });
    return accounts.map(({ address }) => address);
  };

  it('is text, and no pattern', async () => {
    expect(await found('ANN')).toEqual(['anna@example.com']);
    expect(await found('_')).toEqual(['a_b@example.com']);
    expect(await found('%')).toEqual(['a%b@example.com']);
    expect(await found('\\')).toEqual(['a\\b@example.com']);
  });

  it('S-32: may be anything a browser can send', async () => {
    for (const text of ['\0', 'anna\0', "' or 1=1 --", '\ud800', 'ā'.repeat(254)]) {
      expect(await found(text)).toEqual([]);
      expect((await found('', text)).length).toBeLessThanOrEqual(4);
      expect(trailPlace(`1:1:${text}`)).toBeNull();
    }
  });
});
