import { mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { decodeMark, encodeMark, HighWater } from '../../src/credentials/high-water.ts';
import type { KeyRing } from '../../src/credentials/key-file.ts';
import {
  RestoredDatabaseError,
  refuseRestored,
  revokeAfterRestore,
} from '../../src/credentials/restored-database.ts';
import { RevocationFeed } from '../../src/credentials/revocation.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { currentCacheSalts } from '../../src/store/cache-salts.ts';
import { type Database, migrate, openDatabase } from '../../src/store/database.ts';
import { insertPortalSession } from '../../src/store/portal-sessions.ts';
import { appendRevocation, lastRevocation } from '../../src/store/revocations.ts';
import { tester } from '../support/journal.ts';
import { type Bed, openBed, outcomeOf } from './bed.ts';
import { keyRing } from './keys.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { until } from './until.ts';

const rotation = [
  { id: 2, first: 0x99 },
  { id: 1, first: 0x20, state: 'accept' as const },
];
let scratch: string;
let faults: string[];
const marks: HighWater[] = [];
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'sallyport-high-water-'));
  faults = [];
});
afterEach(async () => {
  for (const each of marks.splice(0)) await each.stop();
  await rm(scratch, { recursive: true });
});

function mark(options: { keys?: KeyRing; redis?: Redis } = {}): HighWater {
  const made = new HighWater({
    folder: join(scratch, 'var'),
    keys: options.keys ?? keyRing(),
    redis: options.redis ?? null,
    onFault: (problem) => faults.push(problem),
  });
  marks.push(made);
  return made;
}

describe('S-35: the high-water mark', () => {
  it('is a file of 0600 in a folder of 0700, replaced whole, and read back', async () => {
    expect(await mark().read()).toEqual({ kind: 'none' });
    await mark().save(8);
    await mark().save(9);
    expect(await mark().read()).toEqual({ kind: 'mark', seq: 9 });
    expect((await stat(mark().file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(scratch, 'var'))).mode & 0o777).toBe(0o700);
    expect(await readdir(join(scratch, 'var'))).toEqual(['high-water']);
    expect(faults).toEqual([]);
  });

  it('never sinks, whoever writes last', async () => {
    const [one, other] = [mark(), mark()];
    await one.save(9);
    await other.save(7);
    await Promise.all([one.save(11), one.save(10), one.save(12), one.save(3)]);
    expect(await other.read()).toEqual({ kind: 'mark', seq: 12 });
  });

  it('is noted soon and once for a burst; stopping does not lose it', async () => {
    const one = mark();
    for (let seq = 1; seq <= 500; seq += 1) one.note(seq);
    expect(await one.read()).toEqual({ kind: 'none' });
    await until(async () => (await one.read()).kind === 'mark');
    expect(await one.read()).toEqual({ kind: 'mark', seq: 500 });
    one.note(501);
    await one.stop();
    expect(await one.read()).toEqual({ kind: 'mark', seq: 501 });
  });

  it('has a MAC: nothing but what the gateway wrote is taken for one', async () => {
    const keys = keyRing();
    const text = encodeMark(keys, 8);
    expect(decodeMark(keys, text)).toEqual({ seq: 8, isOutdated: false });
    const odd = [
      '',
      '8',
      text.replace('8.', '7.'),
      text.replace('8.', '08.'),
      text.replace('8.', '9007199254740993.'),
      text.replace('8.', '-8.'),
      text.slice(0, -1),
      `${text}A`,
      encodeMark(keyRing({ mac: [{ id: 1, first: 0x21 }] }), 8),
    ];
    for (let at = 2; at < text.length; at += 1) {
      odd.push(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1));
    }
    for (const each of odd) expect([each, decodeMark(keys, each)]).toEqual([each, null]);

    await mark().save(8);
    await writeFile(mark().file, text.replace('8.', '7.'));
    expect(await mark().read()).toEqual({
      kind: 'unusable',
      problem: expect.stringContaining('is not as the gateway wrote it'),
    });
  });

  it('moves to the active mac key when it is next noted, and is unusable once its key is gone', async () => {
    await mark().save(8);
    const rotated = mark({ keys: keyRing({ mac: rotation }) });
    expect(await rotated.read()).toEqual({ kind: 'mark', seq: 8 });
    const retired = mark({ keys: keyRing({ mac: [{ id: 2, first: 0x99 }] }) });
    expect(await retired.read()).toMatchObject({ kind: 'unusable' });
    await rotated.save(5);
    expect(await retired.read()).toEqual({ kind: 'mark', seq: 8 });
  });

  it('that cannot be written is told, and rejects nothing', async () => {
    await writeFile(join(scratch, 'var'), 'a file where the folder belongs');
    await mark().save(8);
    expect(faults).toEqual([expect.stringMatching(/high-water cannot be written/)]);
    expect(await mark().read()).toMatchObject({ kind: 'unusable' });
  });

  describe('in Redis', () => {
    let server: RedisBed;
    let redis: Redis;
    beforeAll(async () => {
      server = await openRedis();
      redis = await server.connect();
    });
    afterAll(async () => {
      await server.close();
    });
    beforeEach(async () => {
      await redis.flushall();
    });

    it('stands when the file was restored or lost with the machine', async () => {
      await mark({ redis }).save(5);
      const backup = await readFile(mark().file);
      await mark({ redis }).save(8);
      await writeFile(mark().file, backup);
      expect(await mark({ redis }).read()).toEqual({ kind: 'mark', seq: 8 });
      await unlink(mark().file);
      expect(await mark({ redis }).read()).toEqual({ kind: 'mark', seq: 8 });
      await mark({ redis }).save(6);
      expect(await mark({ redis }).read()).toEqual({ kind: 'mark', seq: 8 });
    });

    it('forged, replayed or of another kind it counts for nothing', async () => {
      await mark({ redis }).save(8);
      const old = encodeMark(keyRing(), 3);
      const foreign = encodeMark(keyRing({ mac: [{ id: 1, first: 0x21 }] }), 1_000);
      for (const text of [old, foreign, '', '9', 'x'.repeat(100_000)]) {
        await redis.set('sp:v1:high-water', text);
        expect(await mark({ redis }).read()).toEqual({ kind: 'mark', seq: 8 });
      }
      await redis.del('sp:v1:high-water');
      await redis.lpush('sp:v1:high-water', 'x');
      expect(await mark({ redis }).read()).toEqual({ kind: 'mark', seq: 8 });
      await mark({ redis }).save(9);
      expect(await mark({ redis }).read()).toEqual({ kind: 'mark', seq: 9 });
      expect(faults).toEqual([]);
    });

    it('away, it costs a second and nothing else', async () => {
      const dead = await server.connect();
      dead.disconnect();
      await mark({ redis: dead }).save(8);
      expect(await mark({ redis: dead }).read()).toEqual({ kind: 'mark', seq: 8 });
    });
  });
});

describe('S-35: the feed keeps the mark', () => {
  let database: Database;
  beforeEach(async () => {
    database = openDatabase(':memory:');
    await migrate(database);
  });
  afterEach(async () => {
    await database.destroy();
  });
  const feed = (highWater: HighWater) =>
    new RevocationFeed({
      database,
      now: Date.now,
      monotonic: () => performance.now(),
      windowMs: 60_000,
      maxStalenessMs: 60_000,
      metrics: createMetrics(),
      highWater,
    });
  const revoke = async () =>
    await appendRevocation(database, {
      credentialId: Buffer.alloc(16, 1),
      accountId: Buffer.alloc(16, 2),
      at: Date.now(),
      reason: 'test',
    });

  it('before a revocation is reported', async () => {
    const [highWater, other] = [mark(), mark()];
    const revocations = feed(highWater);
    await revocations.announce();
    expect(await other.read()).toEqual({ kind: 'none' });
    await revoke();
    await revocations.announce();
    expect(await other.read()).toEqual({ kind: 'mark', seq: 1 });
    await highWater.stop();
  });

  it('soon after a revocation of another process', async () => {
    const highWater = mark();
    const revocations = feed(highWater);
    await revocations.poll();
    await revoke();
    await revocations.poll();
    await until(async () => (await highWater.read()).kind === 'mark');
    await highWater.stop();
  });

  it('refuses a database behind it, with the way out', async () => {
    await revoke();
    await mark().save(2);
    await expect(refuseRestored(database, mark())).rejects.toThrow(
      /revocations end at 1, not at 2.*`sallyport migrate --after-restore`/,
    );
    await revoke();
    expect(await refuseRestored(database, mark())).toBeNull();
    await revoke();
    expect(await refuseRestored(database, mark())).toBeNull();
  });

  it('warns where it is missing and there were revocations, and refuses where it is spoiled', async () => {
    expect(await refuseRestored(database, mark())).toBeNull();
    await revoke();
    expect(await refuseRestored(database, mark())).toContain('high-water is missing and is made anew');
    const highWater = mark();
    await feed(highWater).poll();
    await highWater.stop();
    expect(await refuseRestored(database, mark())).toBeNull();
    await writeFile(mark().file, 'spoiled');
    await expect(refuseRestored(database, mark())).rejects.toThrow(RestoredDatabaseError);
  });
});

describe('S-35: after a restore', () => {
  const beds: Bed[] = [];
  afterEach(async () => {
    for (const each of beds.splice(0)) await each.close();
  });

  it('no app password opens anything, cached or not, and the feed stands above the mark', async () => {
    const gateway = await openBed();
    beds.push(gateway);
    const alice = await gateway.account('alice@example.com');
    const bob = await gateway.account('bob@example.com');
    const [hers, his] = [await gateway.issue(alice), await gateway.issue(bob)];
    expect(outcomeOf(await gateway.login('alice', hers.password))).toBe('verified');
    await gateway.appPasswords.revoke(bob.id, his.id, 'lost', tester);
    const now = gateway.clock.now();
    await insertPortalSession(
      gateway.database,
      gateway.guard,
      {
        id_hash: Buffer.alloc(32, 1),
        account_id: alice.id,
        level: 'full',
        csrf: 'csrf',
        factor_at: now,
        created_at: now,
        seen_at: now,
        assurance: 'password',
        opened: null,
        role: null,
      },
      { most: 10, createdAfter: 0 },
    );
    await currentCacheSalts(gateway.database, now, 1_000);
    const highWater = mark({ keys: gateway.keys });
    await highWater.save(40);
    const done = await revokeAfterRestore({ ...gateway, highWater, now: gateway.clock.now });
    // One entry for the restore, one for each account.
    expect(done).toEqual({ revoked: 1, sessionsEnded: 1, codesVoided: 0, seq: 43 });
    expect(await highWater.read()).toEqual({ kind: 'mark', seq: 43 });
    expect(await refuseRestored(gateway.database, highWater)).toBeNull();
    await gateway.revocations.poll();
    expect(outcomeOf(await gateway.login('alice', hers.password))).toBe('revoked');
    expect(await gateway.database.selectFrom('portal_session').selectAll().execute()).toEqual([]);
    expect(await gateway.database.selectFrom('cache_salt').selectAll().execute()).toEqual([]);
    // What is cached since the backup carries a feed number up to the mark.
    expect(gateway.revocations.voids(Buffer.alloc(16, 5), alice.id, 40)).toBe(true);
    await gateway.appPasswords.revoke(alice.id, (await gateway.issue(alice)).id, 'lost', tester);
    expect(await lastRevocation(gateway.database)).toBe(44);
  });

  it('of an empty database, or with a spoiled mark, it works too', async () => {
    const gateway = await openBed();
    beds.push(gateway);
    const highWater = mark({ keys: gateway.keys });
    await highWater.save(7);
    expect(await revokeAfterRestore({ ...gateway, highWater, now: gateway.clock.now })).toEqual({
      revoked: 0,
      sessionsEnded: 0,
      codesVoided: 0,
      seq: 8,
    });
    await writeFile(highWater.file, 'spoiled');
    await revokeAfterRestore({ ...gateway, highWater, now: gateway.clock.now });
    expect(await highWater.read()).toEqual({ kind: 'mark', seq: 9 });
    expect(await refuseRestored(gateway.database, highWater)).toBeNull();
  });
});
