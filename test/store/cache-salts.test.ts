import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { currentCacheSalts } from '../../src/store/cache-salts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const day = 24 * 3_600_000;
describe.each(engines)('on %s', (engine) => {
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

  describe('cache salts', () => {
    it('last a day; the one before is kept, the rest deleted', async () => {
      const [first] = await currentCacheSalts(database, 1, day);
      expect(first).toHaveLength(32);
      expect(await currentCacheSalts(database, day, day)).toEqual([first]);
      const [second, previous] = await currentCacheSalts(database, day + 1, day);
      expect(previous).toEqual(first);
      expect(second).not.toEqual(first);
      const third = await currentCacheSalts(database, 2 * day + 1, day);
      expect(third[1]).toEqual(second);
      expect(await database.selectFrom('cache_salt').selectAll().execute()).toHaveLength(2);
    });

    it('are made once by connections that ask at once', async () => {
      const connections = [scratch.open(), scratch.open(), scratch.open()];
      const answers = await Promise.all(connections.map((each) => currentCacheSalts(each, 1, day)));
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[2]).toEqual(answers[0]);
    });
  });
});
