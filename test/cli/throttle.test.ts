import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type ControlServer, serveControl } from '../../src/control/server.ts';
import { throttleOrders } from '../../src/control/throttle-orders.ts';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { loadKeyFile } from '../../src/credentials/key-file.ts';
import { Throttle, type ThrottleExchange } from '../../src/credentials/throttle.ts';
import { RedisThrottleExchange } from '../../src/credentials/throttle-exchange.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { openRedis, type RedisBed } from '../credentials/redis-bed.ts';
import { until } from '../credentials/until.ts';
import { makeSite, type Site } from './site.ts';

const here = '203.0.113.7';
let site: Site;
let redis: RedisBed;

beforeEach(async () => {
  redis = await openRedis();
});
afterEach(async () => {
  await site.remove();
  await redis.close();
});

async function prepare(overrides: Readonly<Record<string, unknown>>): Promise<void> {
  site = await makeSite(overrides);
  for (const words of [['keys', 'init'], ['migrate'], ['account', 'create', 'anna@example.com']]) {
    expect((await site.command(...words)).code).toBe(0);
  }
}

/** The throttle of a running gateway, with 20 guesses at Anna and one at nobody. */
async function attacked(exchange: ThrottleExchange | null): Promise<Throttle> {
  const keys = await loadKeyFile(`${site.folder}/keys/keys.json`);
  const throttle = new Throttle({ keys, now: Date.now, monotonic: () => performance.now(), exchange });
  const accountId = Buffer.alloc(16, 1);
  for (let attempt = 0; attempt < 20; attempt += 1) {
    throttle.wrong(
      { account: 'anna@example.com', address: here },
      { accountId, secret: generateAppPassword() },
    );
  }
  throttle.wrong({ account: 'nobody@example.com', address: '198.51.100.1' }, null);
  throttle.right({ account: 'anna@example.com', address: '198.51.100.2' });
  return throttle;
}

const refused = (throttle: Throttle) => throttle.refusedForMs({ account: 'anna@example.com', address: here });

describe('throttle show and clear over Redis, whoever runs', () => {
  let exchange: RedisThrottleExchange;

  beforeEach(async () => {
    await prepare({ redis: { url: redis.server.url } });
    exchange = new RedisThrottleExchange({
      redis: await redis.connect(),
      keys: await loadKeyFile(`${site.folder}/keys/keys.json`),
      metrics: createMetrics(),
      logger: null,
    });
  });
  afterEach(() => exchange.stop());

  it('S-94: is entered by whoever clears, where no gateway runs to do it', async () => {
    await attacked(exchange);
    await exchange.flush();
    const words = ['throttle', 'clear', '--account', 'anna', '--reason', 'TICKET-11'];
    expect(await site.command(...words)).toMatchObject({ code: 0, err: '' });
    const trail = (await site.command('audit', 'export')).out.split('\n').map((line) => JSON.parse(line));
    expect(trail.filter(({ action }) => action === 'throttles.cleared')).toMatchObject([
      { object: { what: '{"account":"anna@example.com","network":null}' }, reason: 'TICKET-11' },
    ]);
  });

  it('shows what the nodes count, with names where there are accounts', async () => {
    await attacked(exchange);
    await exchange.flush();
    const { out, code } = await site.command('throttle', 'show');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^ACCOUNT +NETWORK +WRONG IN AN HOUR +STATE\nanna@example\.com +203\.0\.113\.7\/32 +20 of 20/,
    );
    expect(out).toMatch(/refused until \S+ \S+ UTC/);
    expect(out).toMatch(/no account \([0-9a-f]{8}\) +198\.51\.100\.1\/32 +1 of 20/);
    const one = await site.command('throttle', 'show', '--account', 'Anna');
    expect(one.out).not.toContain('198.51.100.1/32');
    expect(one.out).toMatch(
      /anna@example\.com logged in at 198\.51\.100\.2\/32 and is not slowed there until/,
    );
    expect(await site.dataOf('throttle', 'show', '--network', '203.0.113.0')).toMatchObject({
      entries: [{ network: '203.0.113.0/24' }, { network: '203.0.113.0/24' }],
    });
  });

  it('clears at every node', async () => {
    const node = await attacked(exchange);
    await exchange.flush();
    expect(refused(node)).toBeGreaterThan(0);
    expect(await site.command('throttle', 'clear', '--account', 'anna@example.com')).toMatchObject({
      code: 0,
      out: '2 counts forgotten, at every node.',
    });
    await until(() => refused(node) === 0);
    expect((await site.command('throttle', 'show', '--account', 'anna@example.com')).out).toContain(
      'Nothing is counted',
    );
  });

  it('needs to be told what, and says when Redis is away', async () => {
    const usage = 'Give --account or --network or both, or --all.';
    for (const words of [[], ['--all', '--account', 'anna@example.com']]) {
      expect(await site.command('throttle', 'clear', ...words)).toMatchObject({ code: 2, err: usage });
    }
    expect((await site.command('throttle', 'show', '--network', 'the office')).code).toBe(2);
    await redis.server.kill();
    const { code, err } = await site.command('throttle', 'show');
    expect([code, err]).toEqual([1, expect.stringMatching(/^Redis cannot be read: /)]);
  });
});

describe('throttle show and clear of the gateway on this host', () => {
  let control: ControlServer | null = null;

  beforeEach(async () => await prepare({}));
  afterEach(async () => {
    await control?.close();
    control = null;
  });

  it('ask it over its control socket, and need no Redis', async () => {
    const node = await attacked(null);
    const commands = throttleOrders(node);
    control = await serveControl({
      stateDir: `${site.folder}/var`,
      commands,
      logger: createLogger('silent'),
    });
    expect((await site.command('throttle', 'show')).out).toMatch(
      /anna@example\.com +203\.0\.113\.7\/32 +20 of 20/,
    );
    expect(await site.dataOf('throttle', 'clear', '--network', here)).toEqual({ cleared: 4 });
    expect(refused(node)).toBe(0);
    expect(await site.dataOf('throttle', 'clear', '--all')).toEqual({ cleared: 4 });
    expect((await site.command('throttle', 'show')).out).toBe(
      'Nothing is counted: nobody is slowed or refused.',
    );
  });

  it('say so where none runs', async () => {
    const { code, err } = await site.command('throttle', 'show');
    expect([code, err]).toEqual([1, expect.stringMatching(/^No gateway runs on this host/)]);
  });
});
