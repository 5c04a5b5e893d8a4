import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { ScratchError } from './scratch-error.ts';

/**
 * A port of 127.0.0.1 nobody listens on, for servers that cannot be told to choose one themselves.
 * From below the range in which Linux picks ports for outgoing connections, so that none of those takes it meanwhile; given to
 * one process at a time, for as long as it lives.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(12_000, 32_000);
    if ((await isClaimed(port)) && (await isFree(port))) return port;
  }
  throw new ScratchError('no free port found between 12000 and 32000');
}

/** An abstract Unix socket with the port's number is one process's alone, and the kernel takes it back when that ends. */
async function isClaimed(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const claim = createServer();
    claim.once('error', () => resolve(false));
    claim.listen({ path: `\0sallyport-port-${port}` }, () => resolve(true)).unref();
  });
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1' }, () => probe.close(() => resolve(true)));
  });
}
