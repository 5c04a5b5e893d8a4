import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
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

/** Starts Redis on 127.0.0.1 with its files in `folder/redis`; `port` is for one that comes back where it was. */
export async function startRedis(options: {
  readonly folder: string;
  readonly port?: number;
}): Promise<Redis> {
  const folder = join(options.folder, 'redis');
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
