import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { parseRedisUrl } from '../../src/config/redis-schema.ts';
import { HighWater } from '../../src/credentials/high-water.ts';
import { connectRedis, type Redis, readAll } from '../../src/credentials/redis.ts';
import { RedisSubscription } from '../../src/credentials/redis-subscription.ts';
import { RedisNudge } from '../../src/credentials/revocation-nudge.ts';
import { SendCounters } from '../../src/credentials/send-counters.ts';
import type { ThrottleEvent } from '../../src/credentials/throttle-event.ts';
import { RedisThrottleExchange } from '../../src/credentials/throttle-exchange.ts';
import { run } from '../../src/demo/program.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { Secret } from '../../src/secret.ts';
import { type RedisTls, startRedis } from '../support/redis.ts';
import {
  groupPassword,
  type RedisCluster,
  type SentinelGroup,
  startRedisCluster,
  startSentinelGroup,
} from '../support/redis-groups.ts';
import { keyRing } from './keys.ts';
import { until } from './until.ts';

let scratch: ScratchFolder;
const stops: (() => unknown)[] = [];
beforeAll(async () => {
  scratch = await makeScratchFolder();
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});
afterAll(() => scratch.remove());

const errors: string[] = [];
function open(url: string, password: string | null, ca: Buffer | null = null): Redis {
  const location = parseRedisUrl(url);
  if (typeof location === 'string') throw new Error(location);
  const secret = password === null ? null : Secret.fromText(password);
  const redis = connectRedis(
    location,
    { password: secret, sentinelPassword: secret },
    { ca, onError: ({ message }) => errors.push(message), commandTimeoutMs: 2_000 },
  );
  stops.push(() => redis.disconnect());
  return redis;
}

async function connect(url: string, password: string | null, ca: Buffer | null = null): Promise<Redis> {
  const redis = open(url, password, ca);
  await until(() => redis.status === 'ready');
  return redis;
}

/** Signed by itself, and for both ends: the nodes of a cluster show each other theirs. */
async function certificateOf(folder: string): Promise<RedisTls> {
  const [certFile, keyFile] = [join(folder, 'redis.pem'), join(folder, 'redis.key')];
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile],
  ]);
  return { caFile: certFile, certFile, keyFile };
}

/** Everything that the gateway does with Redis. */
async function useAll(redis: Redis): Promise<void> {
  const keys = keyRing();
  const many = Array.from({ length: 20 }, (_, index) => `sp:v1:c:${index}`);
  for (const key of many) await redis.set(key, key, 'PX', 60_000);
  expect((await readAll(redis, [...many, 'sp:v1:c:none'])).map(String)).toEqual([...many, 'null']);

  const heard: number[] = [];
  const nudge = new RedisNudge(redis, keys, ({ message }) => errors.push(message));
  stops.push(() => nudge.stop());
  nudge.subscribe((seq) => heard.push(seq));
  await until(async () => {
    await nudge.publish(7);
    return heard.length > 0;
  });
  expect(heard[0]).toBe(7);

  const metrics = createMetrics();
  const events: ThrottleEvent[] = [];
  const teller = new RedisThrottleExchange({ redis, keys, metrics, logger: null });
  const listener = new RedisThrottleExchange({ redis, keys, metrics, logger: null });
  stops.push(
    () => teller.stop(),
    () => listener.stop(),
  );
  listener.receive((event) => events.push(event));
  const tag = Buffer.alloc(12, 7);
  const network = '192.0.2.7/32';
  teller.send({ kind: 'wrong', at: 5, tag, network, seen: { narrow: 1, wide: 2 }, former: null });
  teller.send({ kind: 'right', at: 6, tag, network });
  expect(await teller.flush()).toBe(true);
  await until(() => events.length === 2);
  const read: ThrottleEvent[] = [];
  await teller.readAll((event) => read.push(event));
  expect(read).toHaveLength(2);

  const folder = await makeScratchFolder();
  stops.push(() => folder.remove());
  const mark = (at: string) =>
    new HighWater({ folder: at, keys, redis, onFault: (problem) => errors.push(problem) });
  await mark(`${folder.path}/one`).save(12);
  expect(await mark(`${folder.path}/two`).read()).toEqual({ kind: 'mark', seq: 12 });

  const logger = createLogger('warn', { write: (line: string) => void errors.push(line) });
  const counters = () =>
    new SendCounters({ redis, now: Date.now, monotonic: () => performance.now(), logger });
  const fence = { messagesPerHour: 1, messagesPerDay: 5 } as Parameters<SendCounters['reserve']>[1];
  const id = Buffer.alloc(16, 9);
  expect(await counters().reserve(id, fence, 'messages')).toMatchObject({ kind: 'reserved' });
  expect(await counters().reserve(id, fence, 'messages')).toMatchObject({ kind: 'exceeded' });
}

describe('one Redis', () => {
  it('S-29: needs these commands, keys and channels only', async () => {
    const server = await startRedis({ folder: scratch.path });
    stops.push(() => server.stop());
    const rules =
      'on >secret resetkeys resetchannels ~sp:* &sp:* -@all +get +mget +set +incr +decr +pexpire +multi +exec +xadd +xread ' +
      '+xrevrange +publish +subscribe +ping +select +info';
    await run('redis-cli', ['-p', String(server.port), 'acl', 'setuser', 'sallyport', ...rules.split(' ')]);
    await run('redis-cli', ['-p', String(server.port), 'acl', 'setuser', 'default', 'off']);
    await useAll(await connect(`redis://sallyport@127.0.0.1:${server.port}/0`, 'secret'));
    expect(errors).toEqual([]);
  });
});

describe('S-29: TLS', () => {
  it.each([
    ['sentinels and the servers behind them', startSentinelGroup, groupPassword],
    ['the nodes of a cluster', startRedisCluster, null],
  ] as const)(
    '%s are spoken to with it, and only with the right certificate',
    async (_, startGroup, password) => {
      const folder = await makeScratchFolder();
      stops.push(() => folder.remove());
      const tls = await certificateOf(folder.path);
      const group = await startGroup(folder.path, tls);
      stops.push(() => group.stop());
      await useAll(await connect(group.url, password, await readFile(tls.caFile)));
      expect(errors).toEqual([]);
      const foreign = open(group.url, password);
      await until(() =>
        errors.some((error) => /certificate|sentinels are unreachable|slots cache/i.test(error)),
      );
      expect(foreign.status).not.toBe('ready');
      errors.splice(0);
    },
    60_000,
  );
});

describe('Redis behind sentinels', () => {
  let group: SentinelGroup;
  beforeAll(async () => {
    group = await startSentinelGroup(scratch.path);
  }, 60_000);
  afterAll(() => group.stop());

  it('is used as one server is, sentinels and servers with a password', async () => {
    await useAll(await connect(group.url, groupPassword));
    expect(errors).toEqual([]);
  });

  it('killed, is followed to its successor by commands and subscriptions', async () => {
    const redis = await connect(group.url, groupPassword);
    const heard: string[] = [];
    const subscription = new RedisSubscription(redis, ['sp:v1:test'], {
      message: (_, message) => heard.push(message),
      error: ({ message }) => errors.push(message),
    });
    stops.push(() => subscription.stop());
    await until(() => subscription.isListening);
    const former = await group.master();
    await former.kill();
    await expect(redis.get('sp:x')).rejects.toThrow();
    await until(async () => (await group.master()) !== former);
    await until(() =>
      redis.set('sp:x', 'after').then(
        () => true,
        () => false,
      ),
    );
    await until(() => subscription.isListening);
    await redis.publish('sp:v1:test', 'heard');
    await until(() => heard.includes('heard'));
    expect(errors.join()).not.toContain(groupPassword);
  }, 60_000);

  it('S-29: that name a master on another host are not believed without TLS', async () => {
    errors.splice(0);
    const [port = ''] = /\d+(?=,)/.exec(group.url) ?? [];
    const words = [
      '-p',
      port,
      '-a',
      groupPassword,
      'sentinel',
      'monitor',
      'elsewhere',
      '203.0.113.5',
      '6379',
      '2',
    ];
    await run('redis-cli', words);
    const redis = open(group.url.replace(/\/\/.*/, `//127.0.0.1:${port}/elsewhere`), groupPassword);
    await until(() => errors.some((error) => /another host, which needs rediss\+sentinel/.test(error)));
    expect(redis.status).not.toBe('ready');
  });
});

describe('a Redis cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster(scratch.path);
  }, 60_000);
  afterAll(() => cluster.stop());

  it('is used as one server is', async () => {
    errors.splice(0);
    await useAll(await connect(cluster.url, null));
    expect(errors).toEqual([]);
  });

  it('is found by any of its nodes', async () => {
    const [, , third] = cluster.servers;
    const redis = await connect(`redis+cluster://127.0.0.1:1,127.0.0.1:${third?.port}`, null);
    expect(await redis.set('sp:y', '1')).toBe('OK');
  });

  it('S-29: that names a node on another host is not believed without TLS', async () => {
    errors.splice(0);
    const port = cluster.servers[0]?.port ?? 0;
    const announce = async (address: string) =>
      await run('redis-cli', ['-p', String(port), 'config', 'set', 'cluster-announce-ip', address]);
    await announce('203.0.113.5');
    stops.push(() => announce(''));
    const redis = open(`redis+cluster://127.0.0.1:${port}`, null);
    await until(async () => {
      await Promise.all(Array.from({ length: 20 }, (_, index) => redis.get(`sp:${index}`).catch(() => null)));
      return errors.some((error) => /another host, which needs rediss\+cluster/.test(error));
    });
  });
});
