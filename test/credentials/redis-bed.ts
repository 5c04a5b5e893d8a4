import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, type SingleRedis } from '../../src/credentials/redis.ts';
import { redisAt, startRedis } from '../support/redis.ts';

const noPasswords = { password: null, sentinelPassword: null };

export type RedisBed = Awaited<ReturnType<typeof openRedis>>;

/** A real Redis of one's own, and connections as the gateway makes them. */
export async function openRedis() {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-redis-'));
  const server = await startRedis({ folder });
  const connections: SingleRedis[] = [];
  const errors: Error[] = [];

  /** Settles when it is usable. */
  const connect = async (commandTimeoutMs = 2_000): Promise<SingleRedis> => {
    const redis = connectRedis(redisAt(server.url), noPasswords, {
      ca: null,
      onError: (error) => errors.push(error),
      commandTimeoutMs,
    });
    connections.push(redis);
    if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
    return redis;
  };

  /** Commands that reach the server while `run` runs, without their time and address. */
  const watch = async (run: () => Promise<void>): Promise<string[]> => {
    const control = await connect();
    const monitor = await control.monitor();
    const commands: string[] = [];
    const { promise: seenAll, resolve } = Promise.withResolvers<void>();
    monitor.on('monitor', (_time: string, words: readonly string[]) => {
      if (words.includes('end of the watch')) resolve();
      else commands.push(words.join(' '));
    });
    try {
      await run();
      await control.echo('end of the watch');
      await seenAll;
    } finally {
      monitor.disconnect();
    }
    return commands;
  };

  const close = async () => {
    for (const connection of connections) connection.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { folder, server, connect, watch, errors, close };
}
