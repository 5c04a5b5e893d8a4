/*
 * Handshakes that never finish: each costs a descriptor, buffers and, once begun, the gateway's private key.
 *
 * Policy. Of one network 50 may be unfinished and 60 be begun at once, 20 a second after that (eightfold for the /24 or /48
 * around); more are closed before TLS sees a byte. Each has 15 seconds, however slowly it goes on. Whoever is elsewhere is
 * served meanwhile, and afterwards nothing is left.
 */
import { once } from 'node:events';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ListenerBed, lineOf } from '../proxy/listener-bed.ts';
import { until } from '../support/until.ts';

let bed: ListenerBed;

beforeAll(async () => {
  bed = await ListenerBed.make();
});
afterEach(() => bed.close());

describe('S-12: unfinished handshakes', () => {
  it('10,000 of one network: 50 are held, and neighbours are served', async () => {
    const { port, listener, door } = await bed.open({ now: () => 1e6 });
    let open = 0;
    let ended = 0;
    for (let batch = 0; batch < 100; batch += 1) {
      const before = ended;
      const sockets = Array.from({ length: 100 }, () =>
        bed.plain(port, { localAddress: '127.0.9.1' }).resume(),
      );
      for (const socket of sockets) {
        socket.once('connect', () => {
          open += 1;
        });
        socket.once('close', () => {
          ended += 1;
        });
      }
      await until(() => ended - before >= (batch === 0 ? 50 : 100));
    }
    expect(open - ended).toBe(50);
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.10.1' }))).toBe('hello');
    expect(door.accepted).toHaveLength(1);
    bed.close();
    await until(() => listener.networks === 0);
  }, 60_000);

  it('of a whole /24: 400 are held', async () => {
    const { port, listener } = await bed.open({ now: () => 1e6 });
    let ended = 0;
    const sockets = Array.from({ length: 600 }, (_, index) =>
      bed.plain(port, { localAddress: `127.0.9.${1 + (index % 200)}` }).resume(),
    );
    for (const socket of sockets) {
      socket.once('close', () => {
        ended += 1;
      });
    }
    await until(() => ended === 200);
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.9.250' }))).toBe('closed');
    expect(await lineOf(bed.dial(port, { localAddress: '127.0.10.1' }))).toBe('hello');
    bed.close();
    await until(() => listener.networks === 0);
  });

  it('wire 117: one byte a second ends after 15 seconds', async () => {
    const { port, listener, log } = await bed.open();
    const client = bed.plain(port).resume();
    await once(client, 'connect');
    const hello = Buffer.from('16030102000100', 'hex');
    let sent = 0;
    const trickle = setInterval(() => {
      client.write(hello.subarray(sent, sent + 1));
      sent += 1;
    }, 1_000);
    await once(client, 'close');
    clearInterval(trickle);
    await until(() => listener.networks === 0);
    expect(log.map(({ msg }) => msg)).toEqual(['TLS handshake failed']);
  });
});
