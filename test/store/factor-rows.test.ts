import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { recordWrongGuess } from '../../src/store/factor-guesses.ts';
import { replaceSealed } from '../../src/store/key-moves.ts';
import type { Account } from '../../src/store/schema.ts';
import { enableFactor, insertFactor, listFactors } from '../../src/store/second-factors.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const guard = rowGuard();

describe.each(engines)('S-40: a factor whose seed is sealed anew after it was read, on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let database: Database;
  let alice: Account;
  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
    database = scratch.open();
    await migrate(database);
    alice = (await createAccount(database, guard, 'alice@example.com', 1)).account;
  });
  afterEach(async () => {
    await scratch.close();
  });

  const factor = async () =>
    await insertFactor(database, guard, {
      id: Buffer.alloc(16, 1),
      account_id: alice.id,
      kind: 'totp',
      sealed: 'under the old key',
      confirmed_at: 5,
      created_at: 4,
    });
  const once = { consecutive: 1, long: { windowMs: 1_000, guesses: 100 } };

  it('is disabled as it is now, and stays one that the gateway wrote', async () => {
    const read = await factor();
    expect(await replaceSealed(database, guard, read, 'under the new key')).toBe(true);
    expect(await recordWrongGuess(database, guard, read, 50, once)).toBe(true);
    expect(await listFactors(database, guard, alice.id)).toMatchObject([
      { sealed: 'under the new key', disabled_at: 50 },
    ]);
  });

  it('is not enabled as it was then', async () => {
    await recordWrongGuess(database, guard, await factor(), 50, once);
    const [read] = await listFactors(database, guard, alice.id);
    if (read === undefined) throw new Error('no factor');
    expect(await replaceSealed(database, guard, read, 'under the new key')).toBe(true);
    expect(await enableFactor(database, guard, read)).toBe(false);
    const [now] = await listFactors(database, guard, alice.id);
    expect(now).toMatchObject({ sealed: 'under the new key', disabled_at: 50 });
    expect(now !== undefined && (await enableFactor(database, guard, now))).toBe(true);
    expect(await listFactors(database, guard, alice.id)).toMatchObject([{ disabled_at: null }]);
  });
});
