import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import { addLoginEvents, pageLoginEvents } from '../../src/store/login-events.ts';
import type { NewLoginEventRow } from '../../src/store/schema.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

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

  it('pages through the events of one account: the newest first, each once, whatever shares a moment', async () => {
    const mine = (await createAccount(database, rowGuard(), 'alice@example.com', 1)).account.id;
    const theirs = (await createAccount(database, rowGuard(), 'bob@example.com', 1)).account.id;
    const event = (number: number, accountId: Buffer): NewLoginEventRow => ({
      // Bytes above 127: an engine that compared text would order them otherwise.
      id: Buffer.from([(number * 37) % 256, ...Buffer.alloc(14), number]),
      account_id: accountId,
      name: null,
      first_at: 1,
      last_at: 1_000 - Math.floor(number / 4),
      times: 1,
      protocol: 'imap',
      reason: null,
      detail: null,
      address: '192.0.2.1',
      client: null,
      mechanism: 'PLAIN',
      credential_id: null,
    });
    const numbers = Array.from({ length: 23 }, (_, number) => number);
    await addLoginEvents(database, [
      ...numbers.map((number) => event(number, mine)),
      ...numbers.map((number) => event(number + 100, theirs)),
    ]);
    const seen: { readonly last_at: number; readonly id: Buffer }[] = [];
    for (let page = 0; page < 10; page += 1) {
      const last = seen.at(-1);
      const after = last === undefined ? null : { lastAt: last.last_at, id: last.id };
      const rows = await pageLoginEvents(database, mine, after, 5);
      expect(rows.length).toBeLessThanOrEqual(5);
      seen.push(...rows);
    }
    expect(new Set(seen.map(({ id }) => id[15]))).toEqual(new Set(numbers));
    expect(seen).toHaveLength(23);
    expect(seen.map(({ last_at }) => last_at)).toEqual(
      seen.map(({ last_at }) => last_at).toSorted((left, right) => right - left),
    );
  });
});
