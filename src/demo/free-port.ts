import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { ScratchError } from './scratch-error.ts';

const given = new Set<number>();

/**
 * A port of 127.0.0.1 nobody listens on, for servers that cannot be told to choose one themselves.
 * From below the range in which Linux picks ports for outgoing connections, so that none of those takes it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(12_000, 32_000);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
  throw new ScratchError('no free port found between 12000 and 32000');
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1' }, () => probe.close(() => resolve(true)));
  });
}
