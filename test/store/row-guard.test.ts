import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createAccount,
  findAccountById,
  findAccountUnchecked,
  markEnrolled,
  resetSecondFactors,
  setAccountMfa,
} from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { ForgedRowError, type RowGuard } from '../../src/store/row-guard.ts';
import type { Account } from '../../src/store/schema.ts';
import {
  confirmPendingFactor,
  findPendingFactor,
  insertFactor,
  listFactors,
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
  const proof = { step: 3, now: 30, lifeMs: 30, name: '' };

  async function begin(factorId = id) {
    const place = { id: factorId, accountId: alice.id };
    await replacePendingFactor(database, guard, { ...place, sealed: 'seed', now: 10, deadBefore: 0 });
    const pending = await findPendingFactor(database, guard, { ...place, now: 30, lifeMs: 30 });
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
    const enroll = async (factorId = id) => {
      const pending = await begin(factorId);
      expect(await confirmPendingFactor(database, guard, pending, proof)).toBe(true);
      const account = await findAccountById(database, guard, alice.id);
      if (account !== null) await markEnrolled(database, guard, account, 30);
    };

    it('is remembered by the account, until a reset', async () => {
      await enroll();
      expect(await findAccountById(database, guard, alice.id)).toMatchObject({ enrolled_at: 30 });
      expect(await listFactors(database, guard, alice.id)).toMatchObject([{ id, last_step: 3 }]);
      expect(await resetSecondFactors(database, guard, alice.id)).toBe(1);
      expect(await findAccountById(database, guard, alice.id)).toMatchObject({ enrolled_at: null });
      expect(await listFactors(database, guard, alice.id)).toEqual([]);
    });

    it('is not open again because the factor is gone, or what it stood on', async () => {
      await enroll();
      const address = {
        id: Buffer.alloc(16, 9),
        account_id: alice.id,
        kind: 'email',
        address: 'a@example.net',
      } as const;
      await insertFactor(database, guard, { ...address, confirmed_at: 40, created_at: 40 });
      await database.deleteFrom('second_factor').where('kind', '=', 'totp').execute();
      await expect(listFactors(database, guard, alice.id)).rejects.toThrow(/is gone/);
      await database.deleteFrom('second_factor').execute();
      await expect(listFactors(database, guard, alice.id)).rejects.toThrow(/is gone/);
    });

    it('confirms a factor only as it was read', async () => {
      const read = await begin();
      await begin();
      await database
        .updateTable('second_factor')
        .set({ row_mac: Buffer.alloc(36) })
        .execute();
      expect(await confirmPendingFactor(database, guard, read, proof)).toBe(false);
    });
  });

  it('S-78: a credential id belongs to one account', async () => {
    const bob = (await createAccount(database, guard, 'bob@example.com', 1)).account;
    const passkey = (number: number, account_id: Buffer) => ({
      ...{
        id: Buffer.alloc(16, number),
        account_id,
        kind: 'passkey' as const,
        created_at: 1,
        confirmed_at: 1,
      },
      ...{ credential_id: Buffer.alloc(20, 7), public_key: Buffer.alloc(8), rp_id: 'mail.example.com' },
      ...{ user_verified: 1 as const, backup_eligible: 0 as const, backed_up: 0 as const, sign_count: 0 },
    });
    await insertFactor(database, guard, passkey(1, alice.id));
    await expect(insertFactor(database, guard, passkey(2, bob.id))).rejects.toThrow();
  });
});
