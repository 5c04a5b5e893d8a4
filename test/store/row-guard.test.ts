import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createAccount,
  findAccountById,
  findAccountUnchecked,
  resetSecondFactors,
  setAccountMfa,
} from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { ForgedRowError, type RowGuard } from '../../src/store/row-guard.ts';
import type { Account } from '../../src/store/schema.ts';
import {
  confirmFactor,
  findConfirmedFactor,
  findPendingFactor,
  replacePendingFactor,
} from '../../src/store/second-factors.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const guard: RowGuard = rowGuard();
describe.each(engines)('on %s', (engine) => {
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

  const id = Buffer.alloc(16, 1);
  const proof = { step: 3, now: 30, createdAfter: 0 };

  async function begin(factorId = id) {
    const place = { id: factorId, accountId: alice.id };
    await replacePendingFactor(database, guard, { ...place, sealed: 'seed', now: 10, deadBefore: 0 });
    const pending = await findPendingFactor(database, guard, { ...place, createdAfter: 0 });
    if (pending === null) throw new Error('nothing was begun');
    return pending;
  }

  it('S-34: an update of what authorizes does not compile without its MAC', () => {
    // Built and never run: the compiler is the test.
    const updates = () => [
      // @ts-expect-error: under the row's MAC
      database.updateTable('account').set({ mfa: 'off' }),
      // @ts-expect-error: under the row's MAC
      database.updateTable('account').set({ state: 'active' }),
      // @ts-expect-error: under the row's MAC
      database.updateTable('account').set({ enrolled_at: null }),
      // @ts-expect-error: under the row's MAC
      database.updateTable('second_factor').set({ confirmed_at: 1 }),
      // @ts-expect-error: under the row's MAC
      database.updateTable('second_factor').set({ disabled_at: null }),
      // @ts-expect-error: under the row's MAC
      database.updateTable('portal_session').set({ factor_at: 1 }),
      // @ts-expect-error: a row that authorizes has a MAC
      database.insertInto('account').values({ id, address: 'x', state: 'active', created_at: 1 }),
    ];
    expect(updates).toHaveLength(0);
  });

  it('S-34: what was read unchecked is no account to the compiler', async () => {
    const unchecked = await findAccountUnchecked(database, { address: 'alice@example.com' });
    expect(unchecked).not.toHaveProperty('row_mac');
    // @ts-expect-error: no MAC was checked
    const account: Account | null = unchecked;
    expect(account?.id).toEqual(alice.id);
  });

  describe('changes of an account', () => {
    it('keep what they do not name, and the row genuine', async () => {
      await setAccountMfa(database, guard, alice.id, 'optional');
      expect(await findAccountById(database, guard, alice.id)).toMatchObject({
        address: 'alice@example.com',
        state: 'active',
        mfa: 'optional',
        enrolled_at: null,
      });
    });

    it('S-34: are refused where the row is forged, and change nothing', async () => {
      await database
        .updateTable('account')
        .set({ state: 'disabled' } as never)
        .execute();
      for (const change of [
        setAccountMfa(database, guard, alice.id, 'off'),
        resetSecondFactors(database, guard, alice.id),
        createAccount(database, guard, 'alice@example.com', 2),
      ]) {
        await expect(change).rejects.toThrow(ForgedRowError);
      }
      const row = await database.selectFrom('account').selectAll().executeTakeFirstOrThrow();
      expect(row).toMatchObject({ state: 'disabled', mfa: null });
    });
  });

  describe('the first enrollment (S-74)', () => {
    it('is remembered by the account, until a reset', async () => {
      expect(await confirmFactor(database, guard, await begin(), proof)).toBe(true);
      expect(await findAccountById(database, guard, alice.id)).toMatchObject({ enrolled_at: 30 });
      expect(await findConfirmedFactor(database, guard, alice.id)).toMatchObject({ id, last_step: 3 });
      expect(await resetSecondFactors(database, guard, alice.id)).toBe(1);
      expect(await findAccountById(database, guard, alice.id)).toMatchObject({ enrolled_at: null });
      expect(await findConfirmedFactor(database, guard, alice.id)).toBeNull();
    });

    it('is not open again because the factor is gone', async () => {
      await confirmFactor(database, guard, await begin(), proof);
      await database.deleteFrom('second_factor').execute();
      await expect(findConfirmedFactor(database, guard, alice.id)).rejects.toThrow(/is gone/);
      const another = await begin(Buffer.alloc(16, 2));
      expect(await confirmFactor(database, guard, another, proof)).toBe(false);
      expect(
        await findPendingFactor(database, guard, { id: another.id, accountId: alice.id, createdAfter: 0 }),
      ).toEqual(another);
    });

    it('confirms a factor only as it was read', async () => {
      const read = await begin();
      await begin();
      await database
        .updateTable('second_factor')
        .set({ row_mac: Buffer.alloc(36) })
        .execute();
      expect(await confirmFactor(database, guard, read, proof)).toBe(false);
      expect(await findAccountById(database, guard, alice.id)).toMatchObject({ enrolled_at: null });
    });

    it('two at once: one is confirmed', async () => {
      const [one, other] = [await begin(), await begin(Buffer.alloc(16, 2))];
      const outcomes = await Promise.all([
        confirmFactor(database, guard, one, proof),
        confirmFactor(scratch.open(), guard, other, proof),
      ]);
      expect(outcomes.toSorted()).toEqual([false, true]);
    });
  });
});
