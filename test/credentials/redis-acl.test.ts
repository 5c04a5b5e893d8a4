import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { noFence } from '../../src/credentials/fence.ts';
import { HighWater } from '../../src/credentials/high-water.ts';
import { connectRedis, type SingleRedis } from '../../src/credentials/redis.ts';
import { RedisNudge } from '../../src/credentials/revocation-nudge.ts';
import { SendCounters } from '../../src/credentials/send-counters.ts';
import { Throttle } from '../../src/credentials/throttle.ts';
import { RedisThrottleExchange } from '../../src/credentials/throttle-exchange.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { Secret } from '../../src/secret.ts';
import { redisAt, startRedis } from '../support/redis.ts';
import { type Bed, Clock, openBed, outcomeOf } from './bed.ts';
import { keyRing } from './keys.ts';
import { until } from './until.ts';

// The user of config/redis.conf is all that the gateway has in these tests.

const settingsFile = join(import.meta.dirname, '../../config/redis.conf');
const logger = createLogger('silent');
let folder: string;
let server: Awaited<ReturnType<typeof startRedis>>;
let redis: SingleRedis;
const errors: string[] = [];
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-acl-'));
  server = await startRedis({ folder, settings: { include: settingsFile } });
  redis = connectRedis(
    redisAt(server.url.replace('redis://', 'redis://sallyport@')),
    { password: Secret.fromText('CHANGE-ME'), sentinelPassword: null },
    { ca: null, onError: (error) => errors.push(error.message), commandTimeoutMs: 2_000 },
  );
  await until(() => redis.status === 'ready');
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function bed(options: Parameters<typeof openBed>[0] = {}): Promise<Bed> {
  const opened = await openBed({ redis, ...options });
  closers.push(() => opened.close());
  return opened;
}

describe('S-29: the Redis user of config/redis.conf', () => {
  it('caches proofs for another process', async () => {
    const gateway = await bed();
    const { password } = await gateway.issue(await gateway.account('alice@example.com'));
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    const next = await bed({ file: gateway.file, clock: gateway.clock });
    expect(outcomeOf(await next.login('alice', password))).toBe('verified');
    expect(await next.value('sallyport_verifications_total', { source: 'redis' })).toBe(1);
  });

  it('carries the word of a revocation', async () => {
    const nudge = () => {
      const made = new RedisNudge(redis, keyRing(), (error) => errors.push(error.message));
      closers.push(() => made.stop());
      return made;
    };
    const heard: number[] = [];
    nudge().subscribe((seq) => heard.push(seq));
    const publisher = nudge();
    await until(async () => {
      await publisher.publish(7);
      return heard.length > 0;
    });
    expect(heard[0]).toBe(7);
  });

  it('shares what is counted: wrong secrets, messages, the mark of the feed', async () => {
    const clock = new Clock();
    const keys = keyRing();
    const open = () => {
      const exchange = new RedisThrottleExchange({ redis, keys, metrics: createMetrics(), logger: null });
      closers.push(() => exchange.stop());
      return new Throttle({ keys, now: clock.now, monotonic: clock.monotonic, exchange });
    };
    const [here, there] = [open(), open()];
    here.wrong({ account: 'alice', address: '203.0.113.7' }, null);
    await until(() => there.view({ account: 'alice', network: null }).entries.length === 2);

    const reader = new RedisThrottleExchange({ redis, keys, metrics: createMetrics(), logger: null });
    closers.push(() => reader.stop());
    let read = 0;
    await reader.readAll(() => {
      read += 1;
    });
    expect(read).toBe(1);

    const counters = () => new SendCounters({ redis, now: clock.now, monotonic: clock.monotonic, logger });
    const send = async () =>
      (await counters().reserve(Buffer.alloc(16, 7), { ...noFence, messagesPerHour: 1 }, 'messages')).kind;
    expect([await send(), await send()]).toEqual(['reserved', 'exceeded']);

    const mark = (place: string) =>
      new HighWater({ folder: join(folder, place), keys, redis, onFault: (problem) => errors.push(problem) });
    await mark('one').save(42);
    expect(await mark('another').read()).toEqual({ kind: 'mark', seq: 42 });
  });

  it('may ask whether Redis writes to disk', async () => {
    expect(await redis.config('GET', 'save')).toEqual(['save', '']);
    expect(await redis.config('GET', 'appendonly')).toEqual(['appendonly', 'no']);
  });

  it('may do nothing else, and was refused nothing that it needs', async () => {
    const refused: string[] = [];
    for (const [command = '', ...words] of [
      ['FLUSHALL'],
      ['KEYS', '*'],
      ['SCAN', '0'],
      ['EVAL', 'return 1', '0'],
      ['CONFIG', 'SET', 'dir', '/'],
      ['SAVE'],
      ['SHUTDOWN'],
      ['REPLICAOF', '127.0.0.1', '1'],
      ['MODULE', 'LIST'],
      ['MONITOR'],
      ['ACL', 'LIST'],
      ['GET', 'another:key'],
      ['SET', 'another:key', 'x'],
      ['PUBLISH', 'another:channel', 'x'],
    ]) {
      const answer = redis.call(command, ...words);
      await answer.catch((error: { message: string }) => {
        if (error.message.startsWith('NOPERM')) refused.push([command, ...words].join(' '));
      });
    }
    expect(refused).toHaveLength(14);
    expect(errors).toEqual([]);
  });
});
