import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { revokeRow } from '../../src/credentials/revoked-row.ts';
import { isRowGenuine, rowMac } from '../../src/credentials/row-mac.ts';
import { createAccount, lockAccount } from '../../src/store/accounts.ts';
import {
  findAppPassword,
  insertAppPassword,
  listAppPasswords,
  replaceProof,
  writeLastUses,
} from '../../src/store/app-passwords.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { countGuess, recordWrongGuess } from '../../src/store/factor-guesses.ts';
import { insertPortalSession } from '../../src/store/portal-sessions.ts';
import { appendRevocation } from '../../src/store/revocations.ts';
import { renewRowMacs } from '../../src/store/row-renewal.ts';
import type { Account, AppPasswordRow } from '../../src/store/schema.ts';
import {
  confirmPendingFactor,
  findPendingFactor,
  listFactors,
  replacePendingFactor,
  spendStep,
} from '../../src/store/second-factors.ts';
import { keyRing } from '../credentials/keys.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const keys = keyRing();
const guard = rowGuard(keys);
const id = (number: number) => Buffer.from(number.toString(16).padStart(32, '0'), 'hex');

// On several connections at once, as gateways on one database.
describe.each(engines)('at the same time on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let nodes: readonly Database[];
  let alice: Account;
  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
    nodes = Array.from({ length: 4 }, () => scratch.open());
    await migrate(node(0));
    alice = (await createAccount(node(0), guard, 'alice@example.com', 1)).account;
  });
  afterEach(async () => {
    await scratch.close();
  });

  function node(index: number): Database {
    const database = nodes[index % nodes.length];
    if (database === undefined) throw new Error('no node');
    return database;
  }
  const times = <T>(count: number, work: (index: number, on: Database) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => work(index, node(index))));

  async function factor() {
    const place = { id: id(1), accountId: alice.id };
    await replacePendingFactor(node(0), guard, { ...place, sealed: 'seed', now: 10, deadBefore: 0 });
    const pending = await findPendingFactor(node(0), guard, { ...place, now: 30, lifeMs: 30 });
    if (pending === null) throw new Error('nothing was begun');
    await confirmPendingFactor(node(0), guard, pending, { step: 3, now: 30, lifeMs: 30, name: '' });
    const [confirmed] = await listFactors(node(0), guard, alice.id);
    if (confirmed === undefined) throw new Error('not confirmed');
    return confirmed;
  }

  async function appPassword(number: number): Promise<AppPasswordRow> {
    const authorizing = {
      id: id(number),
      account_id: alice.id,
      scopes: 1,
      networks: '',
      not_after: null,
      first_use_by: null,
      max_idle_ms: null,
      state: 'active' as const,
      pepper_version: 1,
      selector: number,
      phc: 'old',
      fence: '',
    };
    await insertAppPassword(node(0), {
      ...authorizing,
      label: 'Phone',
      created_at: number,
      created_by: 'test',
      row_mac: rowMac(keys, alice.address, authorizing),
    });
    const row = await findAppPassword(node(0), id(number));
    if (row === null) throw new Error('not inserted');
    return row;
  }

  const revokeAll = async (on: Database, at: number) => {
    await on.transaction().execute(async (transaction) => {
      await lockAccount(transaction, alice.id);
      for (const row of await listAppPasswords(transaction, alice.id)) {
        if (row.state === 'revoked') continue;
        await revokeRow(transaction, keys, row, at);
        await appendRevocation(transaction, {
          credentialId: row.id,
          accountId: alice.id,
          at,
          reason: 'test',
        });
      }
    });
  };

  it('S-76: of twenty guesses as many are counted as the window holds', async () => {
    const { id: factorId } = await factor();
    const window = [{ windowMs: 1_000, guesses: 5 }];
    const keysOfGuesses = await times(20, (_, on) => countGuess(on, factorId, 100, window));
    const counted = keysOfGuesses.filter((key) => key !== null);
    expect(counted.toSorted()).toEqual([100, 101, 102, 103, 104]);
  });

  it('S-76: twenty wrong guesses make twenty failures, and the bound disables once', async () => {
    const read = await factor();
    const bounds = { consecutive: 20, long: { windowMs: 1_000, guesses: 1_000 } };
    const disabled = await times(20, (_, on) => recordWrongGuess(on, guard, read, 50, bounds));
    expect(disabled.filter(Boolean)).toHaveLength(1);
    expect(await listFactors(node(0), guard, alice.id)).toMatchObject([
      { consecutive_failures: 20, disabled_at: 50 },
    ]);
  });

  it('S-75: of twenty posts of one code one wins', async () => {
    const { id: factorId } = await factor();
    const won = await times(20, (_, on) => spendStep(on, factorId, 9, 60));
    expect(won.filter(Boolean)).toHaveLength(1);
  });

  it('S-60: sessions stay within their bound', async () => {
    await times(12, (index, on) =>
      insertPortalSession(
        on,
        guard,
        {
          id_hash: Buffer.alloc(32, index),
          account_id: alice.id,
          level: 'full',
          csrf: 'csrf',
          factor_at: 1,
          created_at: 100 + index,
          seen_at: 1,
          assurance: 'password',
          opened: null,
          role: null,
        },
        { most: 5, createdAfter: 0 },
      ),
    );
    expect(await node(0).selectFrom('portal_session').selectAll().execute()).toHaveLength(5);
  });

  it('two tabs that begin an enrollment leave one', async () => {
    const begun = { id: id(1), accountId: alice.id, now: 10, deadBefore: 0 };
    await times(6, (index, on) => replacePendingFactor(on, guard, { ...begun, sealed: `seed ${index}` }));
    expect(await node(0).selectFrom('second_factor').selectAll().execute()).toHaveLength(1);
  });

  it('S-40: a row that moves to new keys while it is revoked is revoked and genuine', async () => {
    for (let number = 1; number <= 8; number += 1) {
      const row = await appPassword(number);
      const proof = { pepper_version: 1, selector: number, phc: 'new' };
      const row_mac = rowMac(keys, alice.address, { ...row, ...proof });
      await Promise.all([revokeAll(node(1), 50), replaceProof(node(2), row, { ...proof, row_mac })]);
      const after = await findAppPassword(node(0), row.id);
      expect(after?.state).toBe('revoked');
      expect(after !== null && isRowGenuine(keys, alice.address, after)).toBe(true);
    }
  });

  it('S-54: last uses, written in any order, hold up no revocation', async () => {
    const rows: AppPasswordRow[] = [];
    for (let number = 1; number <= 12; number += 1) rows.push(await appPassword(number));
    const uses = rows.map((row) => ({
      id: row.id,
      at: 60,
      address: '192.0.2.1',
      protocol: 'imap',
      client: null,
    }));
    await Promise.all([
      writeLastUses(node(0), uses),
      revokeAll(node(1), 50),
      writeLastUses(node(2), uses.toReversed()),
      writeLastUses(node(3), uses),
    ]);
    const after = await listAppPasswords(node(0), alice.id);
    expect(after.map((row) => [row.state, row.last_used_at])).toEqual(rows.map(() => ['revoked', 60]));
  });

  it('S-40: gateways that start after a rotation move every row once', async () => {
    for (let number = 1; number <= 20; number += 1) {
      await createAccount(node(0), guard, `user${number}@example.com`, 1);
    }
    const rotated = rowGuard(
      keyRing({
        mac: [
          { id: 2, first: 0x99 },
          { id: 1, first: 0x20, state: 'accept' },
        ],
      }),
    );
    const moved = await times(4, (_, on) => renewRowMacs(on, rotated));
    expect(moved.reduce((sum, each) => sum + each, 0)).toBe(21);
  });
});
