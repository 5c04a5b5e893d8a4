import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis as Client } from 'ioredis';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { type Redis, startRedis } from './redis.ts';

describe('scratch Redis', () => {
  let scratch: ScratchFolder;
  let redis: Redis;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    redis = await startRedis({ folder: scratch.path });
  });
  afterAll(async () => {
    await redis.stop();
    await scratch.remove();
  });

  it('answers, and dumps in clear when asked', async () => {
    const client = new Client(redis.url, { lazyConnect: true });
    await client.connect();
    expect(await client.ping()).toBe('PONG');
    await client.set('key', 'value '.repeat(50));
    await client.save();
    expect((await readFile(redis.dumpFile)).includes('value '.repeat(50))).toBe(true);
    client.disconnect();
  });

  it('comes back empty on its port after a crash', async () => {
    await redis.kill();
    redis = await startRedis({ folder: scratch.path, port: redis.port });
    const client = new Client(redis.url, { lazyConnect: true });
    await client.connect();
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });
});
