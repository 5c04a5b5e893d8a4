import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { type Fence, noFence } from '../../src/credentials/fence.ts';
import { type Reservation, SendCounters, type SendUnit } from '../../src/credentials/send-counters.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { startRedis } from '../support/redis.ts';
import { Clock } from './bed.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { until } from './until.ts';

const id: Buffer = Buffer.alloc(16, 7);
const other = Buffer.alloc(16, 8);
const minute = 60_000;
const hour = 60 * minute;
const logger = createLogger('silent');
let clock: Clock;
beforeEach(() => {
  clock = new Clock();
});

function counting(redis: Redis | null = null) {
  const counters = new SendCounters({ redis, now: clock.now, monotonic: clock.monotonic, logger });
  const reserve = async (limits: Partial<Fence>, unit: SendUnit = 'messages', who = id) =>
    await counters.reserve(who, { ...noFence, ...limits }, unit);
  /** How many of `tries` are let through. */
  const passes = async (tries: number, limits: Partial<Fence>, unit?: SendUnit, who?: Buffer) => {
    let passed = 0;
    for (let index = 0; index < tries; index += 1) {
      if ((await reserve(limits, unit, who)).kind === 'reserved') passed += 1;
    }
    return passed;
  };
  return { reserve, passes };
}

async function reserved(reserving: Promise<{ kind: string; reservation?: Reservation }>) {
  const { reservation } = await reserving;
  if (reservation === undefined) throw new Error('exceeded');
  return reservation;
}

describe('S-58: counts of one process', () => {
  it('let a limit through in any hour, and tell which it was', async () => {
    const { reserve, passes } = counting();
    expect(await passes(5, { messagesPerHour: 3 })).toBe(3);
    expect(await reserve({ messagesPerHour: 3 })).toEqual({
      kind: 'exceeded',
      limit: { limit: 3, per: 'hour' },
    });
    clock.advance(59 * minute);
    expect(await passes(1, { messagesPerHour: 3 })).toBe(0);
    clock.advance(6 * minute);
    expect(await passes(5, { messagesPerHour: 3 })).toBe(3);
  });

  it('leave no seam between two hours', async () => {
    const { passes } = counting();
    const sent: number[] = [];
    for (let at = 0; at < 240; at += 1) {
      if ((await passes(1, { messagesPerHour: 10 })) > 0) sent.push(at);
      clock.advance(minute);
    }
    for (const start of sent) {
      expect(sent.filter((at) => at >= start && at < start + 60).length).toBeLessThanOrEqual(10);
    }
    expect(sent.length).toBeGreaterThan(25);
  });

  it('hold the day beside the hour', async () => {
    const { reserve, passes } = counting();
    const limits = { messagesPerHour: 3, messagesPerDay: 5 };
    expect(await passes(4, limits)).toBe(3);
    clock.advance(2 * hour);
    expect(await passes(4, limits)).toBe(2);
    expect(await reserve(limits)).toMatchObject({ limit: { limit: 5, per: 'day' } });
    clock.advance(25 * hour);
    expect(await passes(4, limits)).toBe(3);
  });

  it('are of one app password and one unit', async () => {
    const { passes } = counting();
    const limits = { messagesPerHour: 1, recipientsPerHour: 2 };
    expect(await passes(3, limits)).toBe(1);
    expect(await passes(3, limits, 'recipients')).toBe(2);
    expect(await passes(3, limits, 'messages', other)).toBe(1);
    expect(await passes(300, {}, 'messages')).toBe(300);
  });

  it('never let two through the last place', async () => {
    const { reserve } = counting();
    const all = await Promise.all(Array.from({ length: 50 }, () => reserve({ messagesPerHour: 7 })));
    expect(all.filter(({ kind }) => kind === 'reserved')).toHaveLength(7);
  });

  it('give back what was not sent, once', async () => {
    const { reserve, passes } = counting();
    const first = await reserved(reserve({ messagesPerHour: 2 }));
    await reserve({ messagesPerHour: 2 });
    first.release();
    first.release();
    expect(await passes(3, { messagesPerHour: 2 })).toBe(1);
  });

  it('a clock that is set back loses nothing', async () => {
    const { passes } = counting();
    expect(await passes(3, { messagesPerHour: 3 })).toBe(3);
    clock.step(-3 * hour);
    expect(await passes(3, { messagesPerHour: 3 })).toBe(0);
    expect(await passes(3, { messagesPerHour: 5 })).toBe(2);
    expect(await passes(3, { messagesPerHour: 5 })).toBe(0);
  });
});

describe('S-58: counts of several processes', () => {
  let bed: RedisBed;
  beforeAll(async () => {
    bed = await openRedis();
  });
  afterAll(() => bed.close());
  afterEach(async () => {
    const connection = await bed.connect();
    await connection.flushall();
  });

  it('are one limit', async () => {
    const [one, two] = [counting(await bed.connect()), counting(await bed.connect())];
    expect(await one.passes(2, { messagesPerHour: 3 })).toBe(2);
    expect(await two.passes(5, { messagesPerHour: 3 })).toBe(1);
    expect(await one.passes(5, { messagesPerHour: 3 })).toBe(0);
    clock.advance(65 * minute);
    expect(await two.passes(5, { messagesPerHour: 3 })).toBe(3);
  });

  it('never let two through the last place, nor keep it empty', async () => {
    const processes = await Promise.all([1, 2, 3].map(async () => counting(await bed.connect())));
    const all = await Promise.all(
      processes.flatMap(({ reserve }) => Array.from({ length: 20 }, () => reserve({ messagesPerHour: 7 }))),
    );
    expect(all.filter(({ kind }) => kind === 'reserved')).toHaveLength(7);
  });

  it('survive a restart, and what was refused or given back does not count', async () => {
    const before = counting(await bed.connect());
    const first = await reserved(before.reserve({ messagesPerDay: 3 }));
    await before.passes(2, { messagesPerDay: 3 });
    expect(await before.passes(4, { messagesPerDay: 3 })).toBe(0);
    first.release();
    const watch = await bed.connect();
    const sum = async () => {
      const values = await watch.mget(...(await watch.keys('sp:*')));
      return values.reduce((total, value) => total + Number(value), 0);
    };
    await until(async () => (await sum()) === 2);
    expect(await counting(await bed.connect()).passes(4, { messagesPerDay: 3 })).toBe(1);
  });

  it('are kept under the id alone, for no longer than they count', async () => {
    const { passes } = counting(await bed.connect());
    await passes(1, { messagesPerHour: 3, messagesPerDay: 3 });
    const watch = await bed.connect();
    const keys = await watch.keys('*');
    expect(keys.toSorted()).toEqual([
      expect.stringMatching(/^sp:v1:s:\{BwcHBwcHBwcHBwcHBwcHBw\}:m:d:\d+$/),
      expect.stringMatching(/^sp:v1:s:\{BwcHBwcHBwcHBwcHBwcHBw\}:m:h:\d+$/),
    ]);
    for (const key of keys) {
      const left = await watch.pttl(key);
      expect(left).toBeGreaterThan(hour);
      expect(left).toBeLessThanOrEqual(26 * hour);
    }
  });

  it('cost Redis nothing where nothing is limited', async () => {
    const { passes } = counting(await bed.connect());
    expect(await bed.watch(async () => void (await passes(5, { maxBytes: 5 })))).toEqual([]);
  });

  it('S-58: what Redis is made to hold opens no second limit', async () => {
    const { passes } = counting(await bed.connect());
    const liar = await bed.connect();
    let passed = 0;
    for (let index = 0; index < 10; index += 1) {
      passed += await passes(1, { messagesPerHour: 4 });
      for (const key of await liar.keys('sp:*')) await liar.set(key, index % 2 === 0 ? '-1000000' : '0');
    }
    expect(passed).toBe(4);
  });

  it.each(['list', 'text'])('S-58: a %s in its place is an outage of Redis, no error', async (kind) => {
    const { reserve, passes } = counting(await bed.connect());
    await reserve({ messagesPerHour: 4 });
    const liar = await bed.connect();
    for (const key of await liar.keys('sp:*')) {
      await liar.del(key);
      if (kind === 'list') await liar.lpush(key, 'x');
      else await liar.set(key, 'not a number');
    }
    expect(await passes(10, { messagesPerHour: 4 })).toBe(3);
  });
});

describe('S-58: Redis that stops', () => {
  it('takes nothing of what this process counted, and counts again when it is back', async () => {
    const bed = await openRedis();
    try {
      const { passes } = counting(await bed.connect(500));
      expect(await passes(2, { messagesPerHour: 5 })).toBe(2);
      await bed.server.kill();
      expect(await passes(1, { messagesPerHour: 5 })).toBe(1);
      expect(await passes(9, { messagesPerHour: 5 })).toBe(2);

      const again = await startRedis({ folder: bed.folder, port: bed.server.port });
      try {
        const watch = await bed.connect();
        clock.advance(6_000);
        await until(async () => {
          await passes(1, { messagesPerDay: 1_000 }, 'messages', other);
          clock.advance(6_000);
          return (await watch.keys('sp:*')).length > 0;
        });
        expect(await passes(9, { messagesPerHour: 5 })).toBe(0);
      } finally {
        await again.stop();
      }
    } finally {
      await bed.close();
    }
  });

  it('and hangs makes 200 recipients wait once', async () => {
    const bed = await openRedis();
    try {
      const redis = await bed.connect(10_000);
      const { passes } = counting(redis);
      let asked = 0;
      const multi = redis.multi.bind(redis);
      redis.multi = ((...words: Parameters<typeof multi>) => {
        asked += 1;
        return multi(...words);
      }) as typeof redis.multi;
      const blocker = await bed.connect(10_000);
      await blocker.call('CLIENT', 'PAUSE', '60000', 'ALL');
      expect(await passes(250, { recipientsPerHour: 200 }, 'recipients')).toBe(200);
      expect(asked).toBe(1);
    } finally {
      await bed.server.kill();
      await bed.close();
    }
  });
});
