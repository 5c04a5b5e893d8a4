import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { KeyRing } from '../../src/credentials/key-file.ts';
import { RevocationFeed } from '../../src/credentials/revocation.ts';
import { decodeNudge, encodeNudge, RedisNudge } from '../../src/credentials/revocation-nudge.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { disableAccount } from '../../src/store/accounts.ts';
import { appendRestore } from '../../src/store/revocations.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';
import { countingBytes, keyRing } from './keys.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { Tap } from './tap.ts';
import { until } from './until.ts';

const minute = 60_000;
const beds: Bed[] = [];
const nudges: RedisNudge[] = [];

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of nudges.splice(0)) each.stop();
  for (const each of beds.splice(0)) await each.close();
});

async function revokeOne(gateway: Bed) {
  const alice = await gateway.account('alice@example.com');
  const { id } = await gateway.issue(alice);
  await gateway.appPasswords.revoke(alice.id, id, 'lost', tester);
  return { id, accountId: alice.id };
}

describe('the revocation window', () => {
  it('is empty and current after the first read, and neither before (S-26)', async () => {
    const gateway = await bed({ isCold: true });
    const { revocations } = gateway;
    expect([revocations.seq, revocations.isCurrent()]).toEqual([-1, false]);
    await revocations.poll();
    expect([revocations.seq, revocations.isCurrent()]).toEqual([0, true]);
  });

  it('voids what was known before an entry, not after', async () => {
    const gateway = await bed();
    const { id, accountId } = await revokeOne(gateway);
    const { revocations } = gateway;
    expect(revocations.seq).toBe(1);
    expect(revocations.voids(id, accountId, 0)).toBe(true);
    expect(revocations.voids(id, accountId, 1)).toBe(false);
    expect(revocations.voids(countingBytes(0, 16), accountId, 0)).toBe(false);
    await disableAccount(gateway.database, gateway.guard, accountId, gateway.clock.now());
    await revocations.poll();
    expect(revocations.voids(countingBytes(0, 16), accountId, 1)).toBe(true);
  });

  it('is read whole by a process that starts, and its listeners hear it', async () => {
    const gateway = await bed();
    const revoked = await revokeOne(gateway);
    const other = await bed({ file: gateway.file, clock: gateway.clock, isCold: true });
    const heard: unknown[] = [];
    other.revocations.onRevoked((entry) => {
      heard.push(entry);
      throw new Error('one bad listener');
    });
    other.revocations.onRevoked((entry) => heard.push(entry.reason));
    await other.revocations.poll();
    expect(other.revocations.voids(revoked.id, revoked.accountId, 0)).toBe(true);
    expect(heard).toEqual([
      { credentialId: revoked.id, accountId: revoked.accountId, reason: 'lost' },
      'lost',
    ]);
    await other.revocations.poll();
    expect(heard).toHaveLength(2);
  });

  it('reads thousands of entries in batches', async () => {
    const gateway = await bed({ isCold: true });
    const { id: accountId } = await gateway.account('alice@example.com');
    const entries = Array.from({ length: 2_500 }, (_, index) => ({
      seq: index + 1,
      credential_id: Buffer.from(index.toString(16).padStart(32, '0'), 'hex'),
      account_id: accountId,
      at: gateway.clock.now(),
      reason: 'test',
    }));
    for (let start = 0; start < entries.length; start += 500) {
      await gateway.database
        .insertInto('revocation')
        .values(entries.slice(start, start + 500))
        .execute();
    }
    let heard = 0;
    gateway.revocations.onRevoked(() => {
      heard += 1;
    });
    await gateway.revocations.poll();
    expect([heard, gateway.revocations.seq]).toEqual([2_500, 2_500]);
    expect(gateway.revocations.voids(entries[0]?.credential_id ?? Buffer.alloc(0), accountId, 0)).toBe(true);
  });

  it('forgets entries after TTL and five minutes, and does not read them again', async () => {
    const gateway = await bed();
    const { id, accountId } = await revokeOne(gateway);
    gateway.clock.advance(65 * minute);
    await gateway.revocations.poll();
    expect(gateway.revocations.voids(id, accountId, 0)).toBe(true);
    gateway.clock.advance(1);
    await gateway.revocations.poll();
    expect(gateway.revocations.voids(id, accountId, 0)).toBe(false);
    const late = await bed({ file: gateway.file, clock: gateway.clock });
    expect(late.revocations.seq).toBe(1);
    expect(late.revocations.voids(id, accountId, 0)).toBe(false);
  });

  it('starts at the first entry in time, although an older one has a later number', async () => {
    const gateway = await bed({ isCold: true });
    const { id: accountId } = await gateway.account('alice@example.com');
    const now = gateway.clock.now();
    for (const [first, at] of [
      [1, now],
      [2, now - 120 * minute],
    ] as const) {
      await gateway.database
        .insertInto('revocation')
        .values({
          seq: first,
          credential_id: countingBytes(first, 16),
          account_id: accountId,
          at,
          reason: 'test',
        })
        .execute();
    }
    await gateway.revocations.poll();
    expect(gateway.revocations.voids(countingBytes(1, 16), accountId, 0)).toBe(true);
  });
});

describe('S-35: a database that went back while the gateway ran', () => {
  /** As a restore or a standby that lagged leaves it: only the first `kept` entries are there. */
  async function goBack(gateway: Bed, kept: number) {
    await gateway.database.deleteFrom('revocation').where('seq', '>', kept).execute();
    await gateway.database.updateTable('revocation_counter').set({ seq: kept }).execute();
  }

  async function seen() {
    const gateway = await bed();
    const alice = await gateway.account('alice@example.com');
    const { password } = await gateway.issue(alice);
    for (let count = 0; count < 3; count += 1) await revokeOne(gateway);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    return { gateway, alice, password };
  }

  it('lets nobody in, cached or not, and says what to do, once', async () => {
    const { gateway, alice, password } = await seen();
    await goBack(gateway, 1);
    await gateway.revocations.poll();
    await gateway.revocations.poll();
    expect([gateway.revocations.seq, gateway.revocations.isCurrent()]).toEqual([-1, false]);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
    const fresh = await gateway.issue(alice);
    expect(outcomeOf(await gateway.login('alice', fresh.password))).toBe('unavailable');
    expect(gateway.log.join('').split('database-went-back')).toHaveLength(2);
  });

  it('also where its numbers were used again by then', async () => {
    const { gateway, password } = await seen();
    await goBack(gateway, 1);
    gateway.clock.advance(1);
    const other = await bed({ file: gateway.file, clock: gateway.clock });
    for (let count = 0; count < 4; count += 1) await revokeOne(other);
    await gateway.revocations.poll();
    expect(gateway.revocations.isCurrent()).toBe(false);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
  });

  it('goes on by itself when the restore is told, with every account ended', async () => {
    const { gateway, alice, password } = await seen();
    await goBack(gateway, 1);
    await gateway.revocations.poll();
    const ended: string[] = [];
    gateway.revocations.onRevoked(({ accountId }) => ended.push(accountId.toString('hex')));
    const restore = { above: 3, at: gateway.clock.now() };
    await gateway.database.transaction().execute((inside) => appendRestore(inside, [alice.id], restore));
    await gateway.revocations.poll();
    expect([gateway.revocations.seq, gateway.revocations.isCurrent()]).toEqual([5, true]);
    expect(ended).toContain(alice.id.toString('hex'));
    // Not cached any more; the row itself is `migrate --after-restore`'s.
    expect(await gateway.value('sallyport_verifications_total', { source: 'store' })).toBe(1);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    expect(await gateway.value('sallyport_verifications_total', { source: 'store' })).toBe(2);
  });
});

describe('old entries', () => {
  const day = 86_400_000;
  const rows = async (gateway: Bed) =>
    (await gateway.database.selectFrom('revocation').selectAll().execute()).length;

  it('are deleted hourly, 30 days after, never the last one, and the feed goes on', async () => {
    const gateway = await bed();
    await revokeOne(gateway);
    await revokeOne(gateway);
    gateway.clock.advance(29 * day);
    await revokeOne(gateway);
    gateway.clock.advance(2 * day);
    await gateway.revocations.poll();
    // The last entry is two days old, and what it stands for counts from there.
    expect(await rows(gateway)).toBe(3);
    await revokeOne(gateway);
    expect(await rows(gateway)).toBe(4);
    gateway.clock.advance(3_600_000);
    await gateway.revocations.poll();
    expect(await rows(gateway)).toBe(2);
    expect(gateway.revocations.isCurrent()).toBe(true);
    expect(gateway.revocations.seq).toBe(4);
    gateway.clock.advance(400 * day);
    await gateway.revocations.poll();
    expect([await rows(gateway), gateway.revocations.isCurrent()]).toEqual([2, true]);
  });

  it('a fault of it is no fault of the feed', async () => {
    const tap = new Tap();
    const gateway = await bed({ plugin: tap });
    await revokeOne(gateway);
    gateway.clock.advance(3_600_000);
    tap.break(1, 'throw');
    await gateway.revocations.poll();
    expect([tap.hasBroken, gateway.revocations.isCurrent()]).toEqual([true, true]);
    expect(gateway.log.join('')).toContain('old revocations not deleted');
  });
});

describe('S-55: staleness', () => {
  it('is current for max_staleness after the last read, shows it, and says so at 10 s', async () => {
    const tap = new Tap();
    const gateway = await bed({ plugin: tap });
    tap.break(0, 'throw');
    gateway.clock.advance(9_000);
    await gateway.revocations.poll();
    expect(await gateway.value('sallyport_revocation_staleness_seconds')).toBe(9);
    expect(gateway.log.join('')).not.toContain('not known for 10 s');
    tap.break(0, 'throw');
    gateway.clock.advance(15 * minute - 9_000);
    await gateway.revocations.poll();
    expect(gateway.log.join('')).toContain('not known for 10 s');
    expect(gateway.revocations.isCurrent()).toBe(true);
    gateway.clock.advance(1);
    expect(gateway.revocations.isCurrent()).toBe(false);
    await gateway.revocations.poll();
    expect(gateway.revocations.isCurrent()).toBe(true);
    expect(await gateway.value('sallyport_revocation_staleness_seconds')).toBe(0);
  });

  it('polls by itself, and goes on when the store was down at the start', async () => {
    const gateway = await bed({ isCold: true });
    const tap = new Tap();
    tap.break(0, 'throw');
    const feed = new RevocationFeed({
      database: gateway.database.withPlugin(tap),
      now: Date.now,
      monotonic: () => performance.now(),
      windowMs: minute,
      maxStalenessMs: minute,
      metrics: createMetrics(),
    });
    await feed.start();
    expect(feed.isCurrent()).toBe(false);
    await until(() => feed.isCurrent());
    await feed.stop();
  });
});

describe('S-30: nudges', () => {
  let server: RedisBed;
  let redis: Redis;
  beforeAll(async () => {
    server = await openRedis();
    redis = await server.connect();
  });
  afterAll(async () => {
    await server.close();
  });

  const listener = (keys: KeyRing): RedisNudge => {
    const nudge = new RedisNudge(redis, keys, () => undefined);
    nudges.push(nudge);
    return nudge;
  };

  /** A process that listens, with a count of its feed reads. */
  async function listening(options: BedOptions = {}) {
    const tap = new Tap();
    const keys = keyRing();
    const nudge = listener(keys);
    const gateway = await bed({ plugin: tap, nudge, ...options });
    let heard = 0;
    gateway.revocations.onRevoked(() => {
      heard += 1;
    });
    await gateway.revocations.start();
    await until(async () => {
      const [, listeners] = (await redis.pubsub('NUMSUB', 'sp:v1:revocation')) as [string, number];
      return listeners > 0;
    });
    const reads = () => tap.shapes.filter((shape) => shape.endsWith('revocation')).length;
    return { gateway, keys, reads, heard: () => heard };
  }

  it('a revocation at one process is known at another by its word alone', async () => {
    const { gateway, heard } = await listening();
    const other = await bed({ file: gateway.file, clock: gateway.clock, nudge: listener(keyRing()) });
    const { id, accountId } = await revokeOne(other);
    await until(() => heard() === 1);
    expect(gateway.revocations.voids(id, accountId, 0)).toBe(true);
  });

  it('10,000 forged ones end nothing and cause no read; a replayed one neither', async () => {
    const { gateway, keys, reads, heard } = await listening();
    await revokeOne(gateway);
    expect(heard()).toBe(1);
    const before = reads();
    const start = Date.now();
    const good = encodeNudge(keys, 5) ?? '';
    for (let round = 0; round < 100; round += 1) {
      const pipeline = redis.pipeline();
      for (let index = 0; index < 100; index += 1) {
        const forged = Buffer.from(good, 'base64url');
        forged.writeUInt8(forged.readUInt8(index % 44) ^ 1, index % 44);
        pipeline.publish('sp:v1:revocation', forged.toString('base64url'));
      }
      await pipeline.exec();
    }
    for (const odd of ['', 'x', '{"seq":9}', good.slice(1), `${good}x`, '='.repeat(59)]) {
      await redis.publish('sp:v1:revocation', odd);
    }
    const replayed = encodeNudge(keys, 1) ?? '';
    for (let index = 0; index < 100; index += 1) await redis.publish('sp:v1:revocation', replayed);
    // A true one that names more than there is: read once, however often it comes.
    const polls = Math.ceil((Date.now() - start) / 2_000) + 1;
    expect(reads() - before).toBeLessThanOrEqual(polls);
    for (let index = 0; index < 100; index += 1) await redis.publish('sp:v1:revocation', good);
    await until(() => reads() > before);
    expect(reads() - before).toBeLessThanOrEqual(polls + 2);
    expect(heard()).toBe(1);
  });

  it('carry feed number and MAC under a live key', () => {
    const keys = keyRing();
    const message = encodeNudge(keys, 42) ?? '';
    expect(decodeNudge(keys, message)).toBe(42);
    expect(encodeNudge(keys, -1)).toBeNull();
    expect(decodeNudge(keyRing({ mac: [{ id: 1, first: 0x21 }] }), message)).toBeNull();
    const retired = keyRing({
      mac: [
        { id: 2, first: 0x99 },
        { id: 1, first: 0, state: 'gone' },
      ],
    });
    expect(decodeNudge(retired, message)).toBeNull();
  });
});
