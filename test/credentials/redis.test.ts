import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { connectRedis, type Redis } from '../../src/credentials/redis.ts';
import { RedisSubscription } from '../../src/credentials/redis-subscription.ts';
import { RedisThrottleExchange } from '../../src/credentials/throttle-exchange.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { Secret } from '../../src/secret.ts';
import { redisAt, type Redis as Server, startRedis } from '../support/redis.ts';
import { startTcpRelay } from '../support/tcp-relay.ts';
import { keyRing } from './keys.ts';
import { openRedis } from './redis-bed.ts';
import { until } from './until.ts';

describe('connections to Redis', () => {
  let folder: string;
  let server: Server;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-redis-'));
    server = await startRedis({ folder });
  });
  const opened: Redis[] = [];
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
    for (const each of opened.splice(0)) each.disconnect();
  });
  afterAll(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('log in with user and password, choose the database, and print neither', async () => {
    const errors: Error[] = [];
    const connect = (url: string, password: Secret | null) => {
      const redis = connectRedis(
        redisAt(url),
        { password, sentinelPassword: null },
        {
          ca: null,
          onError: (error) => errors.push(error),
        },
      );
      opened.push(redis);
      return redis;
    };
    const admin = connect(server.url, null);
    await until(() => admin.status === 'ready');
    await admin.acl('SETUSER', 'sallyport', 'on', '>hush hush', '~sp:*', '&sp:*', '+@all');

    const good = connect(`redis://sallyport@127.0.0.1:${server.port}/3`, Secret.fromText('hush hush'));
    await until(() => good.status === 'ready');
    await good.set('sp:x', '1');
    await admin.select(3);
    expect(await admin.get('sp:x')).toBe('1');
    expect(await good.client('INFO')).toContain('resp=2');

    connect(`redis://sallyport@127.0.0.1:${server.port}`, Secret.fromText('wr0ng word'));
    await until(() => errors.length > 0);
    const printed = errors.map((error) => `${error.stack}${JSON.stringify(error)}`).join();
    expect(printed).not.toMatch(/hush|wr0ng/);
  });

  it('come back by themselves, and fail at once meanwhile', async () => {
    const own = await openRedis();
    const redis = await own.connect();
    await redis.set('sp:x', '1');
    await own.server.kill();
    await until(() => redis.status !== 'ready');
    const start = performance.now();
    await expect(redis.get('sp:x')).rejects.toThrow();
    expect(performance.now() - start).toBeLessThan(1_500);
    const again = await startRedis({ folder: own.folder, port: own.server.port });
    await until(() => redis.status === 'ready');
    expect(await redis.get('sp:x')).toBeNull();
    await again.stop();
    await own.close();
  });

  it('cut off without a word, are noticed and made anew: commands, subscriptions, counts of other nodes', async () => {
    const relay = await startTcpRelay(server.port);
    stops.push(relay.close);
    const passwords = { password: null, sentinelPassword: null };
    const at = (port: number) => {
      const redis = connectRedis(redisAt(`redis://127.0.0.1:${port}`), passwords, {
        ca: null,
        onError: () => undefined,
      });
      opened.push(redis);
      return redis;
    };
    const [far, near] = [at(relay.port), at(server.port)];
    await until(() => far.status === 'ready' && near.status === 'ready');
    const heard: string[] = [];
    const subscription = new RedisSubscription(far, ['sp:v1:test'], {
      message: (_, message) => heard.push(message),
      error: () => undefined,
    });
    const parts = { keys: keyRing(), metrics: createMetrics(), logger: null };
    const reader = new RedisThrottleExchange({ redis: far, ...parts, readMs: 1_000 });
    const teller = new RedisThrottleExchange({ redis: near, ...parts });
    stops.push(
      () => subscription.stop(),
      () => reader.stop(),
      () => teller.stop(),
    );
    const counted: number[] = [];
    reader.receive(({ at: time }) => counted.push(time));
    const tell = async (time: number) => {
      teller.send({ kind: 'right', at: time, tag: Buffer.alloc(12), network: '192.0.2.7/32' });
      await teller.flush();
    };
    await tell(1);
    await until(() => subscription.isListening && counted.includes(1));

    relay.cutOff();
    await expect(far.get('sp:x')).rejects.toThrow(/timed out/);
    relay.heal();
    await tell(2);
    await until(() => counted.includes(2));
    await until(async () => {
      await near.publish('sp:v1:test', 'again');
      return heard.includes('again');
    });
    expect(await far.get('sp:none')).toBeNull();
  }, 30_000);
});
