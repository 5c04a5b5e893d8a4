import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { ClockSteps } from '../../src/credentials/clock-steps.ts';
import { noFence } from '../../src/credentials/fence.ts';
import { LoginLog } from '../../src/credentials/login-log.ts';
import { SendCounters } from '../../src/credentials/send-counters.ts';
import { Throttle } from '../../src/credentials/throttle.ts';
import { WriteBehind } from '../../src/credentials/write-behind.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, Clock, openBed, outcomeOf } from './bed.ts';
import { countingBytes, keyRing } from './keys.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { Tap } from './tap.ts';
import { until } from './until.ts';

// The time of day is set while the gateway runs: by hours, forwards and backwards. Nobody is let in who should not be, nobody
// is kept out for hours, nothing is lost.

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const silent = createLogger('silent');
let server: RedisBed;
let redis: Redis;
const beds: Bed[] = [];

beforeAll(async () => {
  server = await openRedis();
  redis = await server.connect();
});
afterAll(async () => {
  await server.close();
});
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
  await redis.flushall();
});

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}

describe('a step', () => {
  it('is what two looks differ by, and no drift', () => {
    const clock = new Clock();
    const steps = new ClockSteps(clock);
    clock.advance(day);
    expect(steps.take()).toBe(0);
    for (let look = 0; look < 100; look += 1) {
      clock.step(4_000);
      expect(steps.take()).toBe(0);
    }
    clock.step(-3 * hour);
    expect([steps.take(), steps.take()]).toEqual([-3 * hour, 0]);
    clock.step(day);
    clock.advance(hour);
    expect([steps.take(), steps.take()]).toEqual([day, 0]);
  });
});

describe('S-19: the throttle', () => {
  function open() {
    const clock = new Clock();
    const throttle = new Throttle({ keys: keyRing(), now: clock.now, monotonic: clock.monotonic });
    const alice = { account: 'alice', address: '203.0.113.7' };
    const guess = (times = 1) => {
      let delayMs = 0;
      for (let attempt = 0; attempt < times; attempt += 1) {
        delayMs = throttle.wrong(alice, { accountId: countingBytes(0, 16), secret: generateAppPassword() });
      }
      return delayMs;
    };
    return { clock, throttle, alice, guess };
  }

  it.each([-3 * hour, -30 * day, 3 * hour, 30 * day])(
    'set by %d ms, refuses for what was left of 15 minutes',
    (step) => {
      const { clock, throttle, alice, guess } = open();
      guess(20);
      clock.advance(5 * minute);
      clock.step(step);
      expect(throttle.refusedForMs(alice)).toBe(10 * minute);
      clock.advance(10 * minute);
      expect(throttle.refusedForMs(alice)).toBe(0);
    },
  );

  it.each([-3 * hour, 3 * hour])('set by %d ms, goes on with its counts', (step) => {
    const { clock, throttle, alice, guess } = open();
    guess(19);
    clock.step(step);
    expect(throttle.refusedForMs(alice)).toBe(0);
    expect(guess()).toBe(15_000);
    expect(throttle.refusedForMs(alice)).toBe(15 * minute);
    // And forgets them as after any hour.
    clock.advance(hour);
    expect(guess()).toBe(0);
  });

  it.each([-3 * hour, 3 * hour])('set by %d ms, exempts for what was left of a day', (step) => {
    const { clock, throttle, alice, guess } = open();
    throttle.right(alice);
    clock.advance(12 * hour);
    clock.step(step);
    expect(guess(40)).toBe(0);
    clock.advance(12 * hour);
    expect(guess(40)).toBe(15_000);
    expect(throttle.refusedForMs(alice)).toBe(15 * minute);
  });

  it('an operator who cleared by a clock that was ahead has not switched it off', () => {
    const { clock, throttle, alice, guess } = open();
    clock.step(3 * hour);
    throttle.clear({ account: null, network: null });
    clock.step(-3 * hour);
    clock.advance(1_000);
    guess(20);
    expect(throttle.refusedForMs(alice)).toBe(15 * minute);
  });
});

describe('S-26: revocations', () => {
  /** Alice, whose verification is in Redis and whose app password is revoked then. */
  async function revoked() {
    const gateway = await bed({ redis });
    const alice = await gateway.account('alice@example.com');
    const { id, password } = await gateway.issue(alice);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    gateway.clock.advance(minute);
    await gateway.appPasswords.revoke(alice.id, id, 'lost', tester);
    return { gateway, password };
  }

  it('are not forgotten by a clock that was ahead for a while', async () => {
    const { gateway, password } = await revoked();
    const { clock, revocations } = gateway;
    clock.step(3 * hour);
    await revocations.poll();
    clock.step(-3 * hour);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('revoked');
    await revocations.poll();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('revoked');
    expect(await redis.keys('sp:v1:c:*')).toHaveLength(1);
  });

  it('are read again by a process that was started while its clock was ahead, and told to nobody twice', async () => {
    const { gateway, password } = await revoked();
    const clock = new Clock();
    clock.advance(minute);
    clock.step(3 * hour);
    const late = await bed({ file: gateway.file, redis, clock });
    const heard: string[] = [];
    late.revocations.onRevoked(({ reason }) => heard.push(reason));
    clock.step(-3 * hour);
    // Its record is young again. Before the feed was read it counts for nothing.
    expect(late.revocations.isCurrent()).toBe(false);
    expect(outcomeOf(await late.login('alice', password))).toBe('revoked');
    await late.revocations.poll();
    expect(late.revocations.isCurrent()).toBe(true);
    expect(outcomeOf(await late.login('alice', password))).toBe('revoked');
    expect(await late.value('sallyport_verifications_total')).toBe(0);
    expect(heard).toEqual([]);
  });

  it('S-55: a clock set back lets nobody in for longer while the feed cannot be read', async () => {
    const tap = new Tap();
    const gateway = await bed({ redis: null, plugin: tap });
    const { password } = await gateway.issue(await gateway.account('alice@example.com'));
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    await gateway.database.schema.alterTable('revocation').renameTo('gone').execute();
    gateway.clock.step(-4_000);
    gateway.clock.advance(15 * minute);
    await gateway.revocations.poll();
    expect(gateway.revocations.isCurrent()).toBe(true);
    gateway.clock.advance(1);
    expect(gateway.revocations.isCurrent()).toBe(false);
    gateway.clock.step(-3 * hour);
    expect(gateway.revocations.isCurrent()).toBe(false);
    await gateway.revocations.poll();
    expect(gateway.revocations.isCurrent()).toBe(false);
    // By the time of day that is nothing, by the other clock it is an outage.
    expect(await gateway.value('sallyport_revocation_staleness_seconds')).toBeGreaterThan(15 * 60);
  });
});

describe('S-17: logins', () => {
  it.each([-3 * hour, 3 * hour])('set by %d ms, right is let in and wrong is not', async (step) => {
    const gateway = await bed({ redis });
    const alice = await gateway.account('alice@example.com');
    const { password } = await gateway.issue(alice);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    gateway.clock.step(step);
    for (const poll of [false, true]) {
      if (poll) await gateway.revocations.poll();
      expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
      expect(outcomeOf(await gateway.login('alice', generateAppPassword().text()))).toBe('wrong');
    }
    expect(gateway.waits).toEqual([]);
  });

  it('what has expired by the clock is told so, and lives again by it', async () => {
    const gateway = await bed({ redis });
    const { password } = await gateway.issue(await gateway.account('alice@example.com'), {
      expiresInMs: hour,
    });
    const login = async () => outcomeOf(await gateway.login('alice', password));
    expect(await login()).toBe('verified');
    gateway.clock.step(3 * hour);
    expect(await login()).toBe('expired');
    gateway.clock.step(-3 * hour);
    expect(await login()).toBe('verified');
    await gateway.revocations.poll();
    expect(await login()).toBe('verified');
    gateway.clock.advance(hour);
    expect(await login()).toBe('expired');
  });
});

describe('what is written behind', () => {
  it('is written on after the clock was set back', async () => {
    const clock = new Clock();
    const written: number[] = [];
    const behind = new WriteBehind<number>({
      now: clock.now,
      write: async (facts) => {
        written.push(...facts);
      },
      merge: (earlier, later) => earlier + later,
      onFault: () => undefined,
      maxKeys: 10,
    });
    behind.note('a', 1);
    await until(() => written.length === 1);
    clock.step(-3 * hour);
    behind.note('a', 2);
    await until(() => written.length === 2);
    expect(written).toEqual([1, 2]);
    await behind.stop();
  });

  it('S-36: a clock that jumped ahead for a while takes nothing of the login log', async () => {
    const gateway = await bed();
    const alice = await gateway.account('alice@example.com');
    const log = new LoginLog({
      database: gateway.database,
      logger: silent,
      metrics: gateway.metrics,
      now: gateway.clock.now,
      monotonic: gateway.clock.monotonic,
      limits: { keepMs: 90 * day, perAccount: 100 },
    });
    const rows = async () => (await gateway.database.selectFrom('login_event').selectAll().execute()).length;
    log.note({
      protocol: 'imap',
      reason: 'wrong',
      detail: null,
      account: alice.address,
      mayBePassword: false,
      address: '203.0.113.7',
      client: null,
      mechanism: 'PLAIN',
      credentialId: null,
    });
    await log.stop();
    gateway.clock.step(400 * day);
    await log.purge();
    expect(await rows()).toBe(1);
    gateway.clock.step(-400 * day);
    await log.purge();
    await log.purge();
    expect(await rows()).toBe(1);
    gateway.clock.advance(91 * day);
    await log.purge();
    expect(await rows()).toBe(0);
  });
});

it.each([-3 * hour, 3 * hour])(
  'S-58: set by %d ms, what was sent in the last hour counts as before',
  async (step) => {
    const clock = new Clock();
    const counters = new SendCounters({
      redis: null,
      now: clock.now,
      monotonic: clock.monotonic,
      logger: silent,
    });
    const send = async () =>
      (await counters.reserve(Buffer.alloc(16, 7), { ...noFence, messagesPerHour: 2 }, 'messages')).kind;
    expect([await send(), await send()]).toEqual(['reserved', 'reserved']);
    clock.step(step);
    expect(await send()).toBe('exceeded');
    clock.advance(65 * minute);
    expect(await send()).toBe('reserved');
  },
);
