import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../src/demo/free-port.ts';
import { run } from '../../src/demo/program.ts';
import { type ServerProcess, startServerProcess } from '../../src/demo/server-process.ts';
import { type Redis, type RedisTls, startRedis, tlsSettings } from './redis.ts';
import { until } from './until.ts';

/** Of the servers and of the sentinels. */
export const groupPassword = 'hush hush';
const masterName = 'mymaster';

const cliWords = (tls: RedisTls | null) => (tls === null ? [] : ['--tls', '--cacert', tls.caFile]);

/** A master with a replica, and three sentinels that watch them. */
export interface SentinelGroup {
  /** Without a password. */
  readonly url: string;
  readonly servers: readonly Redis[];
  /** The server that the sentinels call the master now. */
  master(): Promise<Redis>;
  stop(): Promise<void>;
}

export async function startSentinelGroup(
  folder: string,
  tls: RedisTls | null = null,
): Promise<SentinelGroup> {
  const settings = { requirepass: groupPassword, masterauth: groupPassword, 'repl-diskless-sync-delay': '0' };
  const first = await startRedis({ folder, name: 'first', tls, settings });
  const second = await startRedis({
    folder,
    name: 'second',
    tls,
    settings: { ...settings, replicaof: `127.0.0.1 ${first.port}` },
  });
  const servers = [first, second];
  const sentinels: ServerProcess[] = [];
  const ports: number[] = [];
  for (const number of [1, 2, 3]) {
    const port = await freePort();
    const home = join(folder, `sentinel-${number}`);
    await mkdir(home);
    const file = join(home, 'sentinel.conf');
    const lines = [
      ...Object.entries({ port: String(port), ...tlsSettings(port, tls) }).map((pair) => pair.join(' ')),
      'bind 127.0.0.1',
      `dir ${home}`,
      `requirepass "${groupPassword}"`,
      `sentinel monitor ${masterName} 127.0.0.1 ${first.port} 2`,
      `sentinel auth-pass ${masterName} "${groupPassword}"`,
      `sentinel sentinel-pass "${groupPassword}"`,
      `sentinel down-after-milliseconds ${masterName} 500`,
      `sentinel failover-timeout ${masterName} 2000`,
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    ports.push(port);
    sentinels.push(
      await startServerProcess({
        program: 'redis-server',
        args: [file, '--sentinel'],
        logFile: join(home, 'output.log'),
        greetings: [{ port, greeting: '' }],
      }),
    );
  }
  const ask = async (port: number, ...words: readonly string[]) =>
    await run('redis-cli', [
      '-p',
      String(port),
      ...cliWords(tls),
      '-a',
      groupPassword,
      '--no-auth-warning',
      ...words,
    ]);
  // Each knows the replica and both of the others: only then a failover can be agreed on.
  for (const port of ports) {
    await until(async () => {
      const state = await ask(port, 'sentinel', 'master', masterName);
      const value = (name: string) => state.split('\n')[state.split('\n').indexOf(name) + 1];
      return value('num-slaves') === '1' && value('num-other-sentinels') === '2';
    });
  }
  return {
    url: `redis${tls === null ? '' : 's'}+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${masterName}`,
    servers,
    master: async () => {
      const answer = await ask(ports[0] ?? 0, 'sentinel', 'get-master-addr-by-name', masterName);
      const found = servers.find(({ port }) => answer.includes(String(port)));
      if (found === undefined) throw new Error(`the sentinels name no master: ${answer}`);
      return found;
    },
    stop: async () => {
      for (const server of [...sentinels, ...servers]) await server.stop();
    },
  };
}

/** Three masters that share the slots, without replicas. */
export interface RedisCluster {
  readonly url: string;
  readonly servers: readonly Redis[];
  stop(): Promise<void>;
}

export async function startRedisCluster(folder: string, tls: RedisTls | null = null): Promise<RedisCluster> {
  const servers: Redis[] = [];
  for (const number of [1, 2, 3]) {
    const settings = {
      'cluster-enabled': 'yes',
      'cluster-port': String(await freePort()),
      'cluster-node-timeout': '2000',
      ...(tls === null ? {} : { 'tls-cluster': 'yes' }),
    };
    servers.push(await startRedis({ folder, name: `node-${number}`, tls, settings }));
  }
  const places = servers.map(({ port }) => `127.0.0.1:${port}`);
  await run('redis-cli', [...cliWords(tls), '--cluster', 'create', ...places, '--cluster-yes']);
  for (const { port } of servers) {
    await until(async () =>
      (await run('redis-cli', ['-p', String(port), ...cliWords(tls), 'cluster', 'info'])).includes(
        'cluster_state:ok',
      ),
    );
  }
  return {
    url: `redis${tls === null ? '' : 's'}+cluster://${places.join(',')}`,
    servers,
    stop: async () => {
      for (const server of servers) await server.stop();
    },
  };
}
