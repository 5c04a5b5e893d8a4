import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RevocationFeed } from '../../src/credentials/revocation.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import {
  appendRestore,
  appendRevocation,
  lastRevocation,
  purgeRevocations,
  revocationsFrom,
} from '../../src/store/revocations.ts';
import { until } from '../support/until.ts';
import { engines, scratchDatabase, sharedPostgres } from './scratch-database.ts';

const accountId = Buffer.alloc(16, 1);
const entry = (number: number, at = number) => ({
  credentialId: Buffer.from(number.toString(16).padStart(32, '0'), 'hex'),
  accountId,
  at,
  reason: String(number),
});

describe.each(engines)('the feed on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let database: Database;
  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
    database = scratch.open();
    await migrate(database);
  });
  afterEach(async () => {
    await scratch.close();
  });

  const append = async (number: number, at?: number) => {
    await database.transaction().execute(async (inside) => appendRevocation(inside, entry(number, at)));
  };
  const numbers = async () => (await revocationsFrom(database, 0, 5_000)).map(({ seq }) => seq);

  /** A gateway's window on it, and what it heard. */
  const listen = () => {
    const heard: string[] = [];
    const feed = new RevocationFeed({
      database: scratch.open(),
      now: Date.now,
      monotonic: () => performance.now(),
      windowMs: 60_000,
      maxStalenessMs: 60_000,
      metrics: createMetrics(),
    });
    feed.onRevoked(({ reason }) => heard.push(reason));
    return { feed, heard };
  };

  it('counts from 1, without gaps, also where a transaction was rolled back', async () => {
    await append(1);
    await expect(
      database.transaction().execute(async (inside) => {
        await appendRevocation(inside, entry(2));
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    await append(3);
    expect(await revocationsFrom(database, 1, 10)).toEqual([
      { seq: 1, credential_id: entry(1).credentialId, account_id: accountId, at: 1, reason: '1' },
      { seq: 2, credential_id: entry(3).credentialId, account_id: accountId, at: 3, reason: '3' },
    ]);
  });

  it('S-54: an entry that commits late has no later one before it: a reader misses none', async () => {
    const { feed, heard } = listen();
    await feed.poll();
    const first = Promise.withResolvers<void>();
    const entered = Promise.withResolvers<void>();
    const slow = scratch
      .open()
      .transaction()
      .execute(async (inside) => {
        await appendRevocation(inside, entry(1));
        entered.resolve();
        await first.promise;
      });
    await entered.promise;
    let isFastIn = false;
    const fast = scratch
      .open()
      .transaction()
      .execute(async (inside) => appendRevocation(inside, entry(2)))
      .then(() => {
        isFastIn = true;
      });
    if (engine === 'PostgreSQL') {
      const waiting =
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
      const postgres = await sharedPostgres();
      await until(async () => (await postgres.query(scratch.at, waiting)).length > 0);
    }
    await feed.poll();
    expect([isFastIn, heard]).toEqual([false, []]);
    first.resolve();
    await Promise.all([slow, fast]);
    await feed.poll();
    expect(heard).toEqual(['1', '2']);
  });

  it('S-54: eight writers at once, and a reader who reads all the time, hears each once and in order', async () => {
    const { feed, heard } = listen();
    await feed.poll();
    let isWriting = true;
    const reading = (async () => {
      while (isWriting) {
        await feed.poll();
        await new Promise(setImmediate);
      }
    })();
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      const own = scratch.open();
      for (let round = 0; round < 10; round += 1) {
        await own.transaction().execute(async (inside) => {
          await appendRevocation(inside, entry(writer * 100 + round));
          for (let turn = 0; turn < (writer * 7 + round * 3) % 11; turn += 1) {
            await inside.selectFrom('account').select('id').execute();
          }
        });
      }
    });
    await Promise.all(writers);
    isWriting = false;
    await reading;
    await feed.poll();
    expect(heard).toHaveLength(80);
    expect(new Set(heard).size).toBe(80);
    expect(await numbers()).toEqual(Array.from({ length: 80 }, (_, index) => index + 1));
    expect(heard).toEqual((await revocationsFrom(database, 1, 100)).map(({ reason }) => reason));
  });

  it('S-35: goes on above the mark after a restore, and never falls back', async () => {
    await append(1);
    const accounts = Array.from({ length: 1_201 }, (_, index) => entry(index).credentialId);
    await database.transaction().execute((inside) => appendRestore(inside, accounts, { above: 40, at: 5 }));
    expect(await lastRevocation(database)).toBe(41 + 1_201);
    await database.transaction().execute((inside) => appendRestore(inside, [], { above: 7, at: 6 }));
    await append(2);
    expect((await numbers()).slice(-2)).toEqual([1_243, 1_244]);
    // Whoever set the counter back, the numbers stay above the entries.
    await database.updateTable('revocation_counter').set({ seq: 3 }).execute();
    await append(3);
    expect((await numbers()).at(-1)).toBe(1_245);
  });

  describe('its purge', () => {
    const purge = (now: number, limit = 100) => purgeRevocations(database, { now, keepMs: 100, limit });

    it('deletes what is too old, bounded, never the last entry', async () => {
      expect(await purge(1_000)).toBe(0);
      for (const [number, at] of [
        [1, 10],
        [2, 500],
        [3, 20],
        [4, 30],
        [5, 600],
      ] as const) {
        await append(number, at);
      }
      expect(await purge(600, 2)).toBe(2);
      expect(await numbers()).toEqual([2, 4, 5]);
      expect(await purge(600, 2)).toBe(1);
      expect(await numbers()).toEqual([2, 5]);
      expect(await purge(10_000)).toBe(0);
      await append(6, 9_000);
      expect(await purge(10_000)).toBe(2);
      expect(await numbers()).toEqual([6]);
      expect(await purge(90_000)).toBe(0);
      await append(7, 90_000);
      expect(await numbers()).toEqual([6, 7]);
    });

    it('by two processes at once does the same', async () => {
      for (let number = 1; number <= 50; number += 1) await append(number, 1);
      await append(51, 1_000);
      const other = scratch.open();
      const bounds = { now: 1_000, keepMs: 100, limit: 100 };
      const purged = await Promise.all([purgeRevocations(database, bounds), purgeRevocations(other, bounds)]);
      expect(purged[0] + purged[1]).toBe(50);
      expect(await numbers()).toEqual([51]);
    });
  });
});
