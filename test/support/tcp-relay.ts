import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Passes bytes to a port of 127.0.0.1, until the network between is cut without a word to either end. */
export interface TcpRelay {
  readonly port: number;
  /** From now on nothing passes: connections stay open and silent, new ones are accepted and as silent. */
  cutOff(): void;
  /** New connections pass again; the old ones stay silent for ever, as behind a firewall that has forgotten them. */
  heal(): void;
  close(): Promise<void>;
}

export async function startTcpRelay(target: number): Promise<TcpRelay> {
  const open = new Set<Socket>();
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => open.delete(socket));
  };
  let isCut = false;
  const server = createServer({ noDelay: true }, (near) => {
    keep(near);
    // Read on, so that the other end never waits for a full buffer.
    if (isCut) return void near.resume();
    const far = connect({ port: target, host: '127.0.0.1', noDelay: true });
    keep(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk: Buffer) => {
        if (isPassing.has(near)) to.write(chunk);
      });
      from.once('close', () => {
        if (isPassing.has(near)) to.destroy();
      });
    }
    isPassing.add(near);
  });
  const isPassing = new Set<Socket>();
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    cutOff: () => {
      isCut = true;
      isPassing.clear();
    },
    heal: () => {
      isCut = false;
    },
    close: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, 'close');
    },
  };
}
