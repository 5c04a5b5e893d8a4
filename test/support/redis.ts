import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseRedisUrl } from '../../src/config/redis-schema.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { startServerProcess } from '../../src/demo/server-process.ts';

/** A Redis of one's own. */
export interface Redis {
  readonly url: string;
  readonly port: number;
  /** Where the command `SAVE` writes, uncompressed; nothing is written without it. */
  readonly dumpFile: string;
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** PEM files. */
export interface RedisTls {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** For a server, a sentinel or a node of a cluster that speaks TLS only. */
export function tlsSettings(port: number, tls: RedisTls | null): Readonly<Record<string, string>> {
  if (tls === null) return {};
  return {
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': tls.certFile,
    'tls-key-file': tls.keyFile,
    'tls-ca-cert-file': tls.caFile,
    'tls-auth-clients': 'no',
    'tls-replication': 'yes',
  };
}

/** Starts Redis on 127.0.0.1 with its files in `folder/redis`; `port` is for one that comes back where it was. */
export async function startRedis(options: {
  readonly folder: string;
  readonly port?: number;
  /** In place of `redis`, where there are several. */
  readonly name?: string;
  /** TLS in place of clear text. */
  readonly tls?: RedisTls | null;
  /** Besides those of every scratch Redis. */
  readonly settings?: Readonly<Record<string, string>>;
}): Promise<Redis> {
  const folder = join(options.folder, options.name ?? 'redis');
  await mkdir(folder, { recursive: true });
  const port = options.port ?? (await freePort());
  const settings = {
    bind: '127.0.0.1',
    port: String(port),
    dir: folder,
    save: '',
    appendonly: 'no',
    rdbcompression: 'no',
    daemonize: 'no',
    logfile: join(folder, 'redis.log'),
    ...tlsSettings(port, options.tls ?? null),
    ...options.settings,
  };
  const server = await startServerProcess({
    program: 'redis-server',
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    logFile: join(folder, 'output.log'),
    greetings: [{ port, greeting: '' }],
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dumpFile: join(folder, 'dump.rdb'),
    stop: () => server.stop(),
    kill: () => server.kill(),
  };
}

/** One server as the configuration names it. */
export function redisAt(url: string) {
  const location = parseRedisUrl(url);
  if (typeof location === 'string') throw new Error(location);
  if (location.kind !== 'single') throw new Error('not one server');
  return location;
}
