import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import type { CacheRecord } from '../../src/credentials/cache-record.ts';
import { cacheKey } from '../../src/credentials/verification-cache.ts';
import { Secret } from '../../src/secret.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, Clock, openBed, outcomeOf } from './bed.ts';
import { countingBytes, keyRing } from './keys.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';

const hour = 3_600_000;
const beds: Bed[] = [];
let server: RedisBed;
let redis: Redis;

beforeAll(async () => {
  server = await openRedis();
  redis = await server.connect();
});
afterAll(async () => {
  await server.close();
});
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
  await redis.flushall();
});

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed({ redis, ...options });
  beds.push(opened);
  return opened;
}

/** Alice, logged in once: her record is in Redis. `next` is another process, with an empty memory. */
async function warm(options: BedOptions = {}) {
  const gateway = await bed(options);
  const alice = await gateway.account('alice@example.com');
  const { id, password } = await gateway.issue(alice);
  expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
  const [key] = await redis.keys('sp:v1:c:*');
  if (key === undefined) throw new Error('no record');
  const next = (more: BedOptions = {}) => bed({ file: gateway.file, clock: gateway.clock, ...more });
  return { gateway, alice, id, password, key, next };
}

/** Logs in at a process without memory, and says what proved it. */
async function sourceAt(process: Bed, password: string): Promise<string> {
  expect(outcomeOf(await process.login('alice', password))).toBe('verified');
  for (const source of ['memory', 'redis', 'store']) {
    if ((await process.value('sallyport_verifications_total', { source })) > 0) return source;
  }
  return 'nothing';
}

describe('records in Redis', () => {
  it('prove a login at another process', async () => {
    const { password, next } = await warm();
    const other = await next();
    expect(await sourceAt(other, password)).toBe('redis');
    expect(await sourceAt(other, password)).toBe('memory');
  });

  it('live for less than the hour, and never with an expiry of their own to be trusted', async () => {
    const { key } = await warm();
    const left = await redis.pttl(key);
    expect(left).toBeGreaterThan(0.89 * hour);
    expect(left).toBeLessThanOrEqual(hour);
  });

  it('S-27: PERSIST does not prolong them', async () => {
    const { gateway, password, key, next } = await warm();
    await redis.persist(key);
    gateway.clock.advance(59 * 60_000);
    expect(await sourceAt(await next(), password)).toBe('redis');
    gateway.clock.advance(2 * 60_000);
    const late = await next();
    expect(await sourceAt(late, password)).toBe('store');
    expect(await late.value('sallyport_cache_rejected_total', { reason: 'void' })).toBe(1);
  });

  it('S-27: one from the future is void', async () => {
    const { gateway, password, next } = await warm();
    gateway.clock.advance(-6_000);
    expect(await sourceAt(await next(), password)).toBe('store');
  });

  it('S-26: a dump of a revoked record, restored, stays void; after a restart too', async () => {
    const { gateway, alice, id, password, key, next } = await warm();
    const dump = await redis.getBuffer(key);
    await gateway.appPasswords.revoke(alice.id, id, 'lost', tester);
    await redis.set(key, dump ?? '');
    expect(outcomeOf(await gateway.login('alice', password))).toBe('revoked');
    const restarted = await next();
    expect(outcomeOf(await restarted.login('alice', password))).toBe('revoked');
    expect(await restarted.value('sallyport_cache_rejected_total', { reason: 'void' })).toBe(1);
    const cold = await next({ isCold: true });
    expect(outcomeOf(await cold.login('alice', password))).toBe('unavailable');
  });

  it('an accepted mac key still proves, a gone one does not', async () => {
    const { password, next } = await warm();
    const accept = keyRing({
      mac: [
        { id: 2, first: 0x99 },
        { id: 1, first: 0x20, state: 'accept' },
      ],
    });
    expect(await sourceAt(await next({ keys: accept }), password)).toBe('redis');
    await redis.flushall();
    const { password: other, alice, key, next: later } = await warm();
    const gone = keyRing({
      mac: [
        { id: 2, first: 0x99 },
        { id: 1, first: 0, state: 'gone' },
      ],
    });
    const without = await later({ keys: gone });
    const salt = await without.database.selectFrom('cache_salt').select('salt').executeTakeFirstOrThrow();
    // Put where a process with the new key looks for its own.
    const secret = () => Secret.fromText(other.replaceAll(' ', ''));
    const there = cacheKey(gone, 2, salt.salt, alice.id, secret()) ?? '';
    await redis.copy(key, there);
    expect(await without.cache.find(alice.id, secret())).toBeNull();
    expect(await without.value('sallyport_cache_rejected_total', { reason: 'unknown-key' })).toBe(1);
  });
});

describe('S-25: whatever is done to a record, the login is right', () => {
  it('altered, shortened, lengthened, empty, another type', async () => {
    const { password, key, next } = await warm();
    const value = (await redis.getBuffer(key)) ?? Buffer.alloc(0);
    const flipped = (bit: number) => {
      const altered = Buffer.from(value);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      return altered;
    };
    const other = await next();
    const secret = () => Secret.fromText(password.replaceAll(' ', ''));
    const { id } = await other.account('alice@example.com');
    // Asked of a cache without memory, so that each value is read anew; a login then goes to the store.
    for (let bit = 0; bit < value.length * 8; bit += 1) {
      await redis.set(key, flipped(bit));
      expect(await other.cache.find(id, secret())).toBeNull();
    }
    for (let length = 0; length < value.length; length += 1) {
      await redis.set(key, value.subarray(0, length));
      expect(await other.cache.find(id, secret())).toBeNull();
    }
    for (const odd of [Buffer.concat([value, value]), Buffer.from('{"ok":true}'), Buffer.alloc(100_000)]) {
      await redis.set(key, odd);
      expect(await other.cache.find(id, secret())).toBeNull();
    }
    await redis.del(key);
    await redis.lpush(key, value);
    expect(await other.cache.find(id, secret())).toBeNull();
    await redis.del(key);
    await redis.set(key, flipped(100));
    expect(await other.value('sallyport_cache_rejected_total', { reason: 'forged' })).toBeGreaterThan(700);
    expect(await sourceAt(other, password)).toBe('store');
  });

  it('swapped between two accounts, or copied to another secret', async () => {
    const { gateway, password, key, next } = await warm();
    const bob = await gateway.issue(await gateway.account('bob@example.com'));
    expect(outcomeOf(await gateway.login('bob', bob.password))).toBe('verified');
    const bobKey = (await redis.keys('sp:v1:c:*')).find((each) => each !== key) ?? '';
    const [hers, his] = await redis.mgetBuffer([key, bobKey]);
    await redis.mset(key, his ?? '', bobKey, hers ?? '');
    const other = await next();
    expect(await sourceAt(other, password)).toBe('store');
    const verdict = await other.login('bob', bob.password);
    expect(verdict.kind === 'verified' && verdict.login.address).toBe('bob@example.com');
    expect(await other.value('sallyport_cache_rejected_total', { reason: 'forged' })).toBe(2);
  });
});

describe('S-16: keys are functions of account and secret', () => {
  it('one secret in a thousand accounts: a thousand records, each opens its account', async () => {
    const gateway = await bed();
    const secret = () => Secret.fromText('abcdefghijklmnoq');
    const accountIds = Array.from({ length: 1_000 }, (_, index) =>
      Buffer.concat([countingBytes(0, 12), Buffer.from([0, 0, index >> 8, index & 255])]),
    );
    const recordOf = (accountId: Buffer): CacheRecord => ({
      credentialId: Buffer.from(accountId).reverse(),
      accountId,
      scopes: 1,
      verifiedAt: gateway.clock.now(),
      notAfter: null,
      lapsesAt: null,
      feedSeq: 0,
      networks: '',
      fence: '',
    });
    for (const accountId of accountIds) await gateway.cache.keep(secret(), recordOf(accountId));
    expect(await redis.dbsize()).toBe(1_000);
    const other = await bed({ file: gateway.file, clock: gateway.clock });
    for (const accountId of accountIds) {
      expect((await gateway.cache.find(accountId, secret()))?.record).toEqual(recordOf(accountId));
      expect((await other.cache.find(accountId, secret()))?.record).toEqual(recordOf(accountId));
    }
    expect(await other.cache.find(accountIds[0] ?? Buffer.alloc(16), generateAppPassword())).toBeNull();
  });
});

describe('the salt (requirements 3.4)', () => {
  it('is new every 24 h; the one before is accepted, older records are out of reach', async () => {
    const { gateway, password, next } = await warm();
    const salts = () => gateway.database.selectFrom('cache_salt').select('salt').execute();
    expect(await salts()).toHaveLength(1);
    // A record made just before the salt changed.
    gateway.clock.advance(24 * hour - 60_000);
    await redis.flushall();
    await gateway.revocations.poll();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    gateway.clock.advance(90_000);
    const other = await next();
    expect(await sourceAt(other, password)).toBe('redis');
    expect(await salts()).toHaveLength(2);

    const dump = await redis.dumpBuffer((await redis.keys('*'))[0] ?? '');
    expect(dump).not.toBeNull();
    other.clock.advance(24 * hour + 60_000);
    await other.revocations.poll();
    await other.login('alice', password);
    expect(await salts()).toHaveLength(2);
    expect(await redis.dbsize()).toBe(2);
  });

  it('is one for processes that start at once', async () => {
    const { gateway, next } = await warm();
    await gateway.database.deleteFrom('cache_salt').execute();
    const processes = await Promise.all([next(), next(), next()]);
    await Promise.all(processes.map((each) => each.login('nobody', 'aaaaaaaaaaaaaaar')));
    expect(await gateway.database.selectFrom('cache_salt').selectAll().execute()).toHaveLength(1);
  });
});

describe('the memory layer', () => {
  it('asks Redis again after a minute', async () => {
    const { gateway, password } = await warm();
    gateway.clock.advance(59_000);
    const within = await server.watch(async () => {
      await gateway.login('alice', password);
    });
    gateway.clock.advance(2_000);
    const after = await server.watch(async () => {
      await gateway.login('alice', password);
    });
    expect([within.length, after.length]).toEqual([0, 1]);
  });

  it('S-27: a clock step of more than 5 s voids it', async () => {
    const { gateway, password } = await warm();
    const login = () =>
      server.watch(async () => {
        expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
      });
    gateway.clock.step(4_000);
    expect(await login()).toHaveLength(0);
    gateway.clock.step(6_000);
    expect(await login()).toHaveLength(1);
  });

  it('without Redis, nothing is written anywhere', async () => {
    const gateway = await openBed({ clock: new Clock() });
    beds.push(gateway);
    const { password } = await gateway.issue(await gateway.account('alice@example.com'));
    await gateway.login('alice', password);
    expect(await sourceAt(gateway, password)).toBe('memory');
    expect(await gateway.database.selectFrom('cache_salt').selectAll().execute()).toEqual([]);
  });
});

it('S-28: a Redis dump holds no address, label or secret', async () => {
  const { password } = await warm();
  await redis.save();
  const dump = await readFile(server.server.dumpFile);
  expect(dump.includes('sp:v1:c:')).toBe(true);
  const plain = password.replaceAll(' ', '');
  for (const text of [
    'alice',
    'example.com',
    'Test',
    plain,
    Buffer.from(plain).toString('base64').slice(0, 20),
  ]) {
    expect(dump.includes(text)).toBe(false);
  }
});
