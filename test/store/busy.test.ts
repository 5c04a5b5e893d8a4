import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { migrate } from '../../src/store/database.ts';
import { isStoreOutage } from '../../src/store/outage.ts';
import { openBed, outcomeOf } from '../credentials/bed.ts';
import { scratchDatabase } from './scratch-database.ts';

let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
let holder: ChildProcess | null = null;
beforeEach(async () => {
  scratch = await scratchDatabase();
});
afterEach(async () => {
  holder?.kill('SIGKILL');
  await scratch.close();
});

/** Another process with the write lock, as a backup or a long command has it. */
async function holdLock(): Promise<{ release(): Promise<void> }> {
  const module = join(import.meta.dirname, '../../node_modules/better-sqlite3/lib/index.js');
  const script = `
    import Sqlite from ${JSON.stringify(module)};
    const database = new Sqlite(process.argv[1]);
    database.exec('begin immediate');
    console.log('held');
    process.stdin.once('data', () => { database.exec('rollback'); process.exit(0); });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, scratch.file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  holder = child;
  await once(child.stdout, 'data');
  return {
    release: async () => {
      child.stdin.write('go');
      await once(child, 'close');
    },
  };
}

describe('while another process holds the write lock', () => {
  it('a write waits for it and the process goes on', async () => {
    const database = scratch.open();
    await migrate(database);
    const lock = await holdLock();
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
    }, 1);
    let written = false;
    const writing = database
      .insertInto('cache_salt')
      .values({ salt: Buffer.alloc(32), created_at: 1 })
      .execute()
      .then(() => {
        written = true;
      });
    const transaction = database.transaction().execute((inside) =>
      inside
        .insertInto('cache_salt')
        .values({ salt: Buffer.alloc(32), created_at: 2 })
        .execute(),
    );
    // SQLite's own waiting would stop the timers for as long as the lock is held.
    while (turns < 50) await new Promise(setImmediate);
    expect(written).toBe(false);
    await lock.release();
    await Promise.all([writing, transaction]);
    clearInterval(ticking);
    expect(await database.selectFrom('cache_salt').selectAll().execute()).toHaveLength(2);
  });

  it('one that is never let go is an outage after five seconds, and nothing was written', async () => {
    const database = scratch.open();
    await migrate(database);
    const lock = await holdLock();
    const error: unknown = await database
      .insertInto('cache_salt')
      .values({ salt: Buffer.alloc(32), created_at: 1 })
      .execute()
      .catch((thrown: unknown) => thrown);
    expect(isStoreOutage(error)).toBe(true);
    await lock.release();
    expect(await database.selectFrom('cache_salt').selectAll().execute()).toEqual([]);
  });

  it('S-14: a login is decided all the same, and its last use is written when the lock is gone', async () => {
    const gateway = await openBed({ file: scratch.file });
    try {
      const { id, password } = await gateway.issue(await gateway.account('alice@example.com'));
      // The salts of the cache are written once a day.
      await gateway.login('alice', 'aaaa aaaa aaaa aaar');
      const lock = await holdLock();
      expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
      expect(outcomeOf(await gateway.login('alice', generateAppPassword().text()))).toBe('wrong');
      await lock.release();
      await gateway.verifier.stop();
      expect((await gateway.appPasswords.find(id))?.lastUsedAddress).toBe('203.0.113.7');
    } finally {
      await gateway.close();
    }
  });
});
