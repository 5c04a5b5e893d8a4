import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import type { Redis } from '../../src/credentials/redis.ts';
import { Throttle, type ThrottleExchange } from '../../src/credentials/throttle.ts';
import { decodeEvents, encodeEvents, type ThrottleEvent } from '../../src/credentials/throttle-event.ts';
import { RedisThrottleExchange } from '../../src/credentials/throttle-exchange.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { startRedis } from '../support/redis.ts';
import { Clock, openBed, outcomeOf } from './bed.ts';
import { countingBytes, keyRing } from './keys.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { until } from './until.ts';

const minute = 60_000;
const here = '203.0.113.7';
const id = countingBytes(0, 16);
const everything = { account: null, network: null };

let bed: RedisBed;
let clock: Clock;
let control: Redis;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  bed = await openRedis();
  control = await bed.connect();
});
afterAll(() => bed.close());
beforeEach(async () => {
  clock = new Clock();
  await control.flushall();
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A gateway process as far as the throttle goes. */
async function node(redis?: Redis, keys = keyRing()) {
  const metrics = createMetrics();
  const exchange = new RedisThrottleExchange({
    redis: redis ?? (await bed.connect(250)),
    keys,
    metrics,
    logger: null,
  });
  stops.push(() => exchange.stop());
  const throttle = new Throttle({ keys, now: clock.now, monotonic: clock.monotonic, exchange });
  const guess = (account = 'anna', address = here, secret = generateAppPassword()) =>
    throttle.wrong({ account, address }, { accountId: id, secret });
  const refused = (account = 'anna', address = here) => throttle.refusedForMs({ account, address });
  const counted = (account = 'anna') =>
    Math.max(0, ...throttle.view({ account, network: null }).entries.map(({ distinct }) => distinct));
  const events = async (outcome: string) => {
    const { values } = await metrics.throttleShared.get();
    return values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
  };
  return { exchange, throttle, guess, refused, counted, events };
}

describe('S-19: several nodes', () => {
  it('count together: an attacker gains nothing by going from one to the other', async () => {
    const [left, right] = [await node(), await node()];
    for (let attempt = 0; attempt < 10; attempt += 1) {
      left.guess();
      right.guess();
    }
    await until(() => left.counted() === 20 && right.counted() === 20);
    expect([left.refused(), right.refused()]).toEqual([15 * minute, 15 * minute]);
    expect(right.refused('anna', '198.51.100.1')).toBe(0);
    expect(right.refused('bert')).toBe(0);
  });

  it('wire 52: one wrong secret at both nodes counts once', async () => {
    const [left, right] = [await node(), await node()];
    const secret = generateAppPassword();
    for (let attempt = 0; attempt < 20; attempt += 1) {
      left.guess('anna', here, secret);
      right.guess('anna', here, secret);
    }
    left.guess('bert');
    await until(() => right.counted('bert') === 1);
    expect([left.counted(), right.counted()]).toEqual([1, 1]);
  });

  it('a node that starts later knows what the others counted', async () => {
    const left = await node();
    for (let attempt = 0; attempt < 20; attempt += 1) left.guess();
    left.throttle.right({ account: 'bert', address: here });
    await left.exchange.flush();
    const late = await node();
    await until(() => late.refused() > 0);
    await until(() => late.throttle.view({ account: 'bert', network: null }).exempt.length === 1);
    expect(late.refused()).toBe(15 * minute);
  });

  it('S-20: a success at one node exempts its account and network at the others, and no other account', async () => {
    const [left, right] = [await node(), await node()];
    left.throttle.right({ account: 'anna', address: here });
    await left.exchange.flush();
    await until(() => right.throttle.view({ account: 'anna', network: null }).exempt.length === 1);
    for (let attempt = 0; attempt < 30; attempt += 1) {
      expect(right.guess()).toBe(0);
      right.guess('bert');
    }
    expect(right.refused()).toBe(0);
    expect(right.refused('bert')).toBeGreaterThan(0);
  });

  it('what an operator clears is clear everywhere, and stays so for a node that reads it all again', async () => {
    const [left, right] = [await node(), await node()];
    for (let attempt = 0; attempt < 25; attempt += 1) {
      left.guess();
      left.guess('bert', '198.51.100.1');
    }
    await until(() => right.refused() > 0 && right.refused('bert', '198.51.100.1') > 0);
    clock.advance(1_000);
    right.throttle.clear({ account: 'anna', network: null });
    await until(() => left.refused() === 0);
    expect(right.refused()).toBe(0);
    const late = await node();
    await until(() => late.refused('bert', '198.51.100.1') > 0);
    await until(() => late.counted('bert') > 0);
    expect([late.refused(), late.counted()]).toEqual([0, 0]);
    expect(left.refused('bert', '198.51.100.1')).toBeGreaterThan(0);
    clock.advance(1_000);
    left.guess();
    expect(left.counted()).toBe(1);
  });
});

describe('S-31: a Redis that fails', () => {
  it('flushed: the counts stay, and go on being shared', async () => {
    const [left, right] = [await node(), await node()];
    for (let attempt = 0; attempt < 20; attempt += 1) left.guess();
    await until(() => right.refused() > 0);
    await control.flushall();
    expect([left.refused(), right.refused()]).toEqual([15 * minute, 15 * minute]);
    right.guess('bert');
    await until(() => left.counted('bert') === 1);
  });

  it('flushed under 200 logins: none is told that its password is wrong', async () => {
    const redis = await bed.connect();
    const exchange = new RedisThrottleExchange({
      redis,
      keys: keyRing(),
      metrics: createMetrics(),
      logger: null,
    });
    stops.push(() => exchange.stop());
    const gateway = await openBed({ redis, throttleExchange: exchange });
    try {
      const anna = await gateway.account('anna@example.com');
      const { password } = await gateway.issue(anna);
      const logins = Array.from({ length: 200 }, async (_, index) => {
        if (index % 20 === 0) await control.flushall();
        return outcomeOf(await gateway.login(anna.address, password, { address: `203.0.113.${index}` }));
      });
      expect(new Set(await Promise.all(logins))).toEqual(new Set(['verified']));
    } finally {
      await gateway.close();
    }
  });

  it('gone and come back: each counts alone meanwhile, and shares again', async () => {
    const server = await openRedis();
    const redis = await server.connect(250);
    const lonely = await node(redis);
    await server.server.kill();
    for (let attempt = 0; attempt < 20; attempt += 1) lonely.guess();
    expect(lonely.refused()).toBe(15 * minute);
    await until(async () => (await lonely.events('failed')) === 20);
    const back = await startRedis({ folder: server.folder, port: server.server.port });
    await until(() => redis.status === 'ready');
    lonely.guess('bert');
    const other = await node(await server.connect(250));
    await until(() => other.counted('bert') === 1);
    await back.stop();
    await server.close();
  });

  it('hanging: a login is decided in the same turn', async () => {
    const lonely = await node();
    await control.client('PAUSE', 600);
    const order: string[] = [];
    setImmediate(() => order.push('a turn later'));
    for (let attempt = 0; attempt < 20; attempt += 1) lonely.guess();
    lonely.throttle.right({ account: 'bert', address: here });
    order.push(`refused for ${lonely.refused()}`);
    expect(order).toEqual([`refused for ${15 * minute}`]);
    await control.client('UNPAUSE');
  });
});

describe('who can write Redis', () => {
  it('refuses nobody: nothing that is not sealed by a gateway is counted', async () => {
    const left = await node();
    const stranger = await node(undefined, keyRing({ seal: [{ id: 7, first: 0x90 }] }));
    for (let attempt = 0; attempt < 30; attempt += 1) stranger.guess();
    await stranger.exchange.flush();
    await control.xadd('sp:v1:{throttle}:wrong', '*', 'b', 'AAAA');
    await control.xadd('sp:v1:{throttle}:wrong', '*', 'x', '');
    left.guess('bert');
    await until(async () => (await left.events('rejected')) >= 3);
    expect([left.counted(), left.refused()]).toEqual([0, 0]);
  });

  it('moves nothing from one stream to another, and gains nothing by saying it again', async () => {
    const [left, right] = [await node(), await node()];
    left.throttle.right({ account: 'anna', address: here });
    for (let attempt = 0; attempt < 20; attempt += 1) left.guess('bert');
    await left.exchange.flush();
    await until(() => right.refused('bert') > 0);
    const rights = await control.xrange('sp:v1:{throttle}:right', '-', '+');
    const wrongs = await control.xrange('sp:v1:{throttle}:wrong', '-', '+');
    clock.advance(15 * minute);
    for (const [, fields] of rights) await control.xadd('sp:v1:{throttle}:wrong', '*', ...fields);
    for (const [, fields] of wrongs) await control.xadd('sp:v1:{throttle}:wrong', '*', ...fields);
    await until(async () => (await right.events('rejected')) === rights.length);
    left.guess('carl');
    await until(() => right.counted('carl') === 1);
    expect([right.refused('bert'), right.counted('bert')]).toEqual([0, 20]);
  });

  it('S-28: reads neither account, network nor secret', async () => {
    const left = await node();
    const secret = generateAppPassword();
    left.guess('anna@example.com', here, secret);
    left.throttle.right({ account: 'anna@example.com', address: here });
    await left.exchange.flush();
    const dump: string[] = [];
    for (const key of await control.keys('*')) {
      dump.push(key);
      for (const [, fields] of await control.xrange(key, '-', '+')) {
        dump.push(...fields, ...fields.map((field) => Buffer.from(field, 'base64url').toString('latin1')));
      }
    }
    expect(await control.keys('*')).toHaveLength(2);
    for (const word of ['anna', 'example', here, secret.text()]) expect(dump.join('\n')).not.toContain(word);
  });

  it('makes no place for itself: both streams end by themselves and are of bounded length', async () => {
    const left = await node();
    left.guess();
    left.throttle.right({ account: 'anna', address: here });
    await left.exchange.flush();
    const commands = await bed.watch(async () => {
      left.guess('bert');
      await left.exchange.flush();
    });
    expect(commands.some((command) => /^xadd sp:v1:\{throttle\}:wrong MAXLEN ~ 4096 /i.test(command))).toBe(
      true,
    );
    for (const key of await control.keys('*')) expect(await control.pttl(key)).toBeGreaterThan(0);
  });
});

it('a stream that others made long is read to a bound by a command, the newest first', async () => {
  const left = await node();
  left.guess();
  await left.exchange.flush();
  for (let round = 0; round < 100; round += 1) {
    const pipeline = control.pipeline();
    for (let index = 0; index < 100; index += 1) pipeline.xadd('sp:v1:{throttle}:wrong', '*', 'b', 'AAAA');
    await pipeline.exec();
  }
  const commands = await bed.watch(() => left.exchange.readAll(() => undefined));
  const reads = commands.filter((command) => /^xrevrange sp:v1:\{throttle\}:wrong/i.test(command));
  expect(reads).toHaveLength(256);
  expect(reads[0]).toMatch(/:wrong \+ - /);
});

describe('events', () => {
  const tag = countingBytes(1, 12);
  const all: readonly ThrottleEvent[] = [
    { kind: 'wrong', at: 5, tag, network: '192.0.2.7/32', seen: { narrow: 1, wide: 2 }, former: null },
    {
      kind: 'wrong',
      at: 1_795_000_000_000,
      tag,
      network: '2001:db8::/64',
      seen: { narrow: 0xffff_ffff, wide: 0 },
      former: { narrow: 3, wide: 4 },
    },
    { kind: 'right', at: 6, tag, network: 'unknown' },
    { kind: 'clear', at: 7, tag: null, network: null },
    { kind: 'clear', at: 7, tag, network: '192.0.2.7/32' },
  ];

  it('are read as they were written, and cut short not at all', () => {
    const bytes = encodeEvents(all);
    expect(decodeEvents(bytes)).toEqual(all);
    const ends = new Set(all.map((_, index) => encodeEvents(all.slice(0, index)).length));
    for (let length = 0; length < bytes.length; length += 1) {
      if (!ends.has(length)) expect(decodeEvents(bytes.subarray(0, length))).toBeNull();
    }
    expect(decodeEvents(Buffer.from([9, ...bytes.subarray(1)]))).toBeNull();
  });

  it('make the same counts in any order and any number', () => {
    const sent: ThrottleEvent[] = [];
    const exchange: ThrottleExchange = { send: (event) => sent.push(event), receive: () => undefined };
    const one = new Throttle({ keys: keyRing(), now: clock.now, monotonic: clock.monotonic, exchange });
    const guess = (account: string) =>
      one.wrong({ account, address: here }, { accountId: id, secret: generateAppPassword() });
    for (let attempt = 0; attempt < 30; attempt += 1) {
      guess('anna');
      guess(`person${attempt}`);
      clock.advance(7_000);
      if (attempt === 10) one.clear({ account: 'anna', network: null });
    }
    const view = (throttle: Throttle) =>
      throttle
        .view(everything)
        .entries.map(({ tag: of, ...entry }) => ({ ...entry, tag: of?.toString('hex') ?? '' }))
        .toSorted((a, b) => (a.tag + a.network < b.tag + b.network ? -1 : 1));
    for (const order of [sent, sent.toReversed(), [...sent, ...sent], [...sent.toReversed(), ...sent]]) {
      const other = new Throttle({ keys: keyRing(), now: clock.now, monotonic: clock.monotonic });
      for (const event of order) other.apply(event);
      expect(view(other)).toEqual(view(one));
    }
  });

  it('of a clock that runs ahead count for nothing', () => {
    const throttle = new Throttle({ keys: keyRing(), now: clock.now, monotonic: clock.monotonic });
    const event = all[0] as ThrottleEvent & { kind: 'wrong' };
    throttle.apply({ ...event, at: clock.now() + 2 * minute });
    throttle.apply({ ...event, at: clock.now() - 61 * minute });
    expect(throttle.size).toBe(0);
    throttle.apply({ ...event, at: clock.now() + 1_000 });
    expect(throttle.size).toBe(4);
  });
});
