import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount } from '../../src/store/accounts.ts';
import { hasEnded } from '../../src/store/app-password-life.ts';
import {
  countCreatedSince,
  countLiveAppPasswords,
  findAppPassword,
  findCandidates,
  insertAppPassword,
  isSelectorTaken,
  listAppPasswords,
  replaceProof,
  writeLastUses,
} from '../../src/store/app-passwords.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import type { NewAppPasswordRow } from '../../src/store/schema.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

describe.each(engines)('on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let database: Database;
  let accountId: Buffer;
  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
    database = scratch.open();
    await migrate(database);
    accountId = (await createAccount(database, rowGuard(), 'alice@example.com', 1)).account.id;
  });
  afterEach(async () => {
    await scratch.close();
  });

  const id = (number: number) => Buffer.from(number.toString(16).padStart(32, '0'), 'hex');

  function row(number: number, change: Partial<NewAppPasswordRow> = {}): NewAppPasswordRow {
    return {
      id: id(number),
      account_id: accountId,
      label: `Device ${number}`,
      scopes: 1,
      networks: '',
      not_after: null,
      first_use_by: null,
      max_idle_ms: null,
      state: 'active',
      pepper_version: 1,
      selector: number,
      phc: 'phc',
      fence: '',
      row_mac: Buffer.from([number]),
      created_at: number,
      created_by: 'test',
      revoked_at: null,
      last_used_at: null,
      last_used_address: null,
      last_used_protocol: null,
      last_used_client: null,
      ...change,
    };
  }

  describe('app password rows', () => {
    it('are found by account and any of the pairs of pepper version and selector', async () => {
      const bob = (await createAccount(database, rowGuard(), 'bob@example.com', 1)).account.id;
      await insertAppPassword(database, row(1, { selector: 7 }));
      await insertAppPassword(database, row(2, { selector: 8, pepper_version: 2, state: 'revoked' }));
      await insertAppPassword(database, row(3, { selector: 8 }));
      await insertAppPassword(database, row(4, { selector: 7, account_id: bob }));
      const found = await findCandidates(database, accountId, [
        { pepperVersion: 1, selector: 7 },
        { pepperVersion: 2, selector: 8 },
      ]);
      expect(found.map((each) => each.id)).toEqual([id(2), id(1)]);
      expect(await findCandidates(database, accountId, [])).toEqual([]);
      expect(await isSelectorTaken(database, accountId, 2, 8)).toBe(true);
      expect(await isSelectorTaken(database, accountId, 2, 7)).toBe(false);
    });

    it('are listed newest first and read back as they were written', async () => {
      for (const number of [2, 3, 1]) await insertAppPassword(database, row(number));
      expect((await listAppPasswords(database, accountId)).map((each) => each.id)).toEqual([
        id(3),
        id(2),
        id(1),
      ]);
      expect(await findAppPassword(database, id(2))).toEqual(row(2));
      expect(await findAppPassword(database, id(9))).toBeNull();
    });

    it('are live when neither revoked nor expired', async () => {
      await insertAppPassword(database, row(1));
      await insertAppPassword(database, row(2, { state: 'revoked' }));
      await insertAppPassword(database, row(3, { not_after: 100 }));
      expect(await countLiveAppPasswords(database, accountId, 99)).toBe(2);
      expect(await countLiveAppPasswords(database, accountId, 100)).toBe(1);
    });

    it.each<[string, Partial<NewAppPasswordRow>, number]>([
      ['a time for the first use', { first_use_by: 100 }, 100],
      ['a time for the first use, and was used', { first_use_by: 100, last_used_at: 99 }, Number.NaN],
      ['a longest time without use', { max_idle_ms: 60, created_at: 40 }, 100],
      [
        'a longest time without use, and was used',
        { max_idle_ms: 60, created_at: 40, last_used_at: 50 },
        110,
      ],
      ['both', { first_use_by: 100, max_idle_ms: 500, created_at: 40 }, 100],
      ['both, and was used', { first_use_by: 100, max_idle_ms: 500, last_used_at: 60 }, 560],
      ['a fixed end before all that', { not_after: 30, first_use_by: 100, max_idle_ms: 500 }, 30],
      ['a use in the future', { max_idle_ms: 60, last_used_at: 9e15 }, Number.NaN],
    ])('with %s end in SQL when they end in code', async (_what, change, end) => {
      await insertAppPassword(database, row(1, change));
      const read = await findAppPassword(database, id(1));
      if (read === null) throw new Error('not inserted');
      for (const now of [29, 30, 99, 100, 109, 110, 559, 560, 10_000]) {
        expect(await countLiveAppPasswords(database, accountId, now)).toBe(now >= end ? 0 : 1);
        expect(hasEnded(read, now)).toBe(now >= end);
      }
    });

    it('are counted while they are paused, and by hour and maker whatever became of them', async () => {
      await insertAppPassword(database, row(10, { state: 'paused' }));
      await insertAppPassword(database, row(11, { state: 'revoked' }));
      await insertAppPassword(database, row(12, { created_by: 'cli:root' }));
      expect(await countLiveAppPasswords(database, accountId, 99)).toBe(2);
      expect(await countCreatedSince(database, accountId, 'test', 9)).toBe(2);
      expect(await countCreatedSince(database, accountId, 'test', 10)).toBe(1);
    });

    it('keep the later of two uses, but for one that a wrong clock put far ahead', async () => {
      await insertAppPassword(database, row(1));
      const at = (moment: number) => [
        { id: id(1), at: moment, address: '192.0.2.1', protocol: 'imap', client: null },
      ];
      await writeLastUses(database, at(500));
      await writeLastUses(database, at(400));
      expect(await findAppPassword(database, id(1))).toMatchObject({ last_used_at: 500 });
      await writeLastUses(database, at(86_400_000 * 400));
      await writeLastUses(database, at(600));
      expect(await findAppPassword(database, id(1))).toMatchObject({ last_used_at: 600 });
    });

    it('take a new proof only as they were read', async () => {
      await insertAppPassword(database, row(1));
      const proof = { pepper_version: 2, selector: 9, phc: 'new', row_mac: Buffer.from([99]) };
      expect(await replaceProof(database, { ...row(1), row_mac: Buffer.from([2]) }, proof)).toBe(false);
      expect(await replaceProof(database, row(1), proof)).toBe(true);
      expect(await findAppPassword(database, id(1))).toEqual(row(1, proof));
    });

    it('take last uses together', async () => {
      await insertAppPassword(database, row(1));
      await insertAppPassword(database, row(2));
      await writeLastUses(database, [
        { id: id(1), at: 5, address: '192.0.2.1', protocol: 'imap', client: 'A' },
        { id: id(2), at: 6, address: '2001:db8::1', protocol: 'smtp', client: null },
        { id: id(3), at: 7, address: '192.0.2.3', protocol: 'imap', client: 'A' },
      ]);
      expect(await findAppPassword(database, id(2))).toMatchObject({
        last_used_at: 6,
        last_used_address: '2001:db8::1',
        last_used_protocol: 'smtp',
        last_used_client: null,
      });
    });

    it('go with their account', async () => {
      await insertAppPassword(database, row(1));
      await database.deleteFrom('account').where('id', '=', accountId).execute();
      expect(await findAppPassword(database, id(1))).toBeNull();
    });
  });
});
