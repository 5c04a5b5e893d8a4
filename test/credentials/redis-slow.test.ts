import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { connectRedis, type SingleRedis } from '../../src/credentials/redis.ts';
import { redisAt } from '../support/redis.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { until } from './until.ts';

/** A way to Redis that holds each answer back, or loses it. */
class SlowWay {
  delayMs = 0;
  /** As a firewall that forgot the connection: what is said there is never heard. */
  isCut = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(port: number) {
    this.#server = createServer((client) => {
      const redis = dial(port, '127.0.0.1');
      for (const socket of [client, redis]) {
        this.#sockets.add(socket);
        socket
          .on('error', () => undefined)
          .on('close', () => {
            client.destroy();
            redis.destroy();
            this.#sockets.delete(socket);
          });
      }
      client.pipe(redis);
      redis.on('data', (bytes) => {
        if (!this.isCut) setTimeout(() => client.writable && client.write(bytes), this.delayMs);
      });
    });
  }

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The firewall answers again, and knows none of the old connections. */
  restore(): void {
    this.isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

let server: RedisBed;
let way: SlowWay;
let redis: SingleRedis;
const beds: Bed[] = [];

beforeAll(async () => {
  server = await openRedis();
});
afterAll(async () => {
  await server.close();
});
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
  redis.disconnect();
  way.close();
});

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed({ redis, ...options });
  beds.push(opened);
  return opened;
}

/** Alice, whose proof is in Redis; `next` is a process without memory on the slow way, as the gateway connects. */
async function warm() {
  way = new SlowWay(server.server.port);
  redis = connectRedis(
    redisAt(await way.open()),
    { password: null, sentinelPassword: null },
    {
      ca: null,
      onError: () => undefined,
    },
  );
  await until(() => redis.status === 'ready');
  const gateway = await bed();
  const { password } = await gateway.issue(await gateway.account('alice@example.com'));
  expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
  const next = () => bed({ file: gateway.file, clock: gateway.clock });
  const sourceOf = async (process: Bed) => {
    expect(outcomeOf(await process.login('alice', password))).toBe('verified');
    const redisHits = await process.value('sallyport_verifications_total', { source: 'redis' });
    return redisHits > 0 ? 'redis' : 'store';
  };
  return { gateway, password, next, sourceOf };
}

describe('S-31: a Redis that is slow', () => {
  it('within its time is waited for, and proves', async () => {
    const { next, sourceOf } = await warm();
    way.delayMs = 60;
    expect(await sourceOf(await next())).toBe('redis');
  });

  it('beyond its time is none: right is let in by the store, wrong is refused, and it is used again after', async () => {
    const { password, next, sourceOf } = await warm();
    way.delayMs = 600;
    const slow = await next();
    expect(await sourceOf(slow)).toBe('store');
    expect(outcomeOf(await slow.login('alice', generateAppPassword().text()))).toBe('wrong');
    expect(outcomeOf(await slow.login('nobody', password))).toBe('unknown-account');
    way.delayMs = 0;
    // Late answers come behind those that were given up on, and each is taken for its own question.
    await until(async () => (await sourceOf(await next())) === 'redis');
    expect(outcomeOf(await slow.login('alice', generateAppPassword().text()))).toBe('wrong');
  });

  it('that is cut off without a word is none either, and is used again without a restart', async () => {
    const { password, next, sourceOf } = await warm();
    way.isCut = true;
    const cut = await next();
    expect(await sourceOf(cut)).toBe('store');
    expect(outcomeOf(await cut.login('alice', generateAppPassword().text()))).toBe('wrong');
    // From memory meanwhile.
    expect(outcomeOf(await cut.login('alice', password))).toBe('verified');
    way.restore();
    await until(async () => (await sourceOf(await next())) === 'redis');
  });

  it('never mixes up the answers of two accounts, however late they come', async () => {
    const { gateway, next } = await warm();
    const people = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const address = `person${index}@example.com`;
        return { address, ...(await gateway.issue(await gateway.account(address))) };
      }),
    );
    for (const { address, password } of people) await gateway.login(address, password);
    const other = await next();
    const seen = new Set<string>();
    for (const delayMs of [240, 260, 0]) {
      way.delayMs = delayMs;
      const verdicts = await Promise.all(
        people.map(async ({ address, password }) => ({
          address,
          verdict: await other.login(address, password),
        })),
      );
      for (const { address, verdict } of verdicts) {
        seen.add(outcomeOf(verdict));
        expect(verdict.kind === 'verified' ? verdict.login.address : address).toBe(address);
      }
    }
    expect([...seen].filter((each) => each !== 'verified' && each !== 'unavailable')).toEqual([]);
    expect(seen).toContain('verified');
  });
});
