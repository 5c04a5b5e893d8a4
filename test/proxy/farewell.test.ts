import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { sayFarewell } from '../../src/proxy/farewell.ts';

afterEach(() => {
  jest.useRealTimers();
});

async function pair(): Promise<{ ours: Socket; client: Socket; close(): void }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  const [ours] = (await once(server, 'connection')) as [Socket];
  for (const socket of [ours, client]) socket.on('error', () => {});
  return {
    ours,
    client,
    close: () => {
      client.destroy();
      server.close();
    },
  };
}

describe('wire 152: a client that is not let in', () => {
  it('reads its line, and the connection ends with it', async () => {
    const { ours, client, close } = await pair();
    sayFarewell(ours, Buffer.from('421 no\r\n'));
    const [line] = (await once(client, 'data')) as [Buffer];
    expect(line.toString()).toBe('421 no\r\n');
    client.end();
    await once(ours, 'close');
    close();
  });

  it('does not keep the connection by talking on', async () => {
    const { ours, client, close } = await pair();
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate'] });
    sayFarewell(ours, Buffer.from('421 no\r\n'));
    for (let second = 1; second <= 5; second += 1) {
      expect(ours.destroyed).toBe(false);
      const read = ours.bytesRead;
      client.write('on and on\r\n');
      while (ours.bytesRead === read) await new Promise(setImmediate);
      jest.advanceTimersByTime(1_000);
    }
    expect(ours.destroyed).toBe(true);
    close();
  });
});
