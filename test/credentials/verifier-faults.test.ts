import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { Tap } from './tap.ts';

const wrong = 'aaaa aaaa aaaa aaar';
const kinds = ['throw', 'hang', 'undefined'] as const;
const beds: Bed[] = [];
let server: RedisBed;
let redis: Redis;

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

/** Alice on a gateway whose SQL is tapped; `next` is another process on her store, with nothing in memory. */
async function tapped(options: BedOptions = {}) {
  const tap = new Tap();
  const gateway = await bed({ plugin: tap, redis, ...options });
  const alice = await gateway.account('alice@example.com');
  const { password, id } = await gateway.issue(alice);
  const next = (more: BedOptions = {}) =>
    bed({ file: gateway.file, clock: gateway.clock, plugin: tap, redis, ...more });
  return { tap, gateway, alice, password, id, next };
}

describe('S-14: whatever fails, an outage is told', () => {
  it.each(kinds)('%s at each answer of the store', async (kind) => {
    const { tap, password, next } = await tapped();
    const outcomes: string[] = [];
    for (let at = 0; ; at += 1) {
      for (const [typed, honest] of [
        [password, 'verified'],
        [wrong, 'wrong'],
      ] as const) {
        // Without a record in Redis or memory, so that every step is taken.
        await redis.flushall();
        const gateway = await next();
        tap.break(at, kind);
        const outcome = outcomeOf(await gateway.login('alice', typed));
        const wasReached = tap.hasBroken;
        tap.heal();
        if (!wasReached) expect(outcome).toBe(honest);
        // Beside the login (salts of the cache) a fault may change nothing; it never changes yes to no or no to yes.
        expect(['unavailable', honest]).toContain(outcome);
        outcomes.push(outcome);
        await gateway.verifier.stop();
      }
      if (outcomes.slice(-2).join() === 'verified,wrong' && at > 5) break;
    }
    // The account first, and the rows last.
    expect(outcomes.slice(0, 2)).toEqual(['unavailable', 'unavailable']);
    expect(outcomes.filter((outcome) => outcome === 'unavailable').length).toBeGreaterThanOrEqual(4);
  });

  it.each(kinds)('%s at argon2', async (kind) => {
    const { gateway, password } = await tapped({ proofLimits: { hashMs: 50 } });
    gateway.passwordHash.matches = async () => {
      if (kind === 'throw') throw new Error('no memory');
      return kind === 'hang' ? await new Promise<never>(() => undefined) : (undefined as never);
    };
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
  });

  it.each(['throw', 'undefined'] as const)('%s at the cache', async (kind) => {
    const { gateway, password } = await tapped();
    gateway.cache.find = async () => {
      if (kind === 'throw') throw new Error('bug');
      return undefined as never;
    };
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
    expect(outcomeOf(await gateway.login('alice', wrong))).toBe('unavailable');
  });

  it('an unknown state of an account', async () => {
    const { gateway, password } = await tapped();
    await gateway.database
      .updateTable('account')
      .set({ state: 'frozen' } as never)
      .execute();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
  });

  it('a full argon2 queue', async () => {
    const { gateway, password } = await tapped({
      hashLimits: { threads: 1, waitingPerAccount: 0 },
      // Long enough for the second to come while the first is at it.
      argon2: { memory_kib: 65_536, passes: 6, lanes: 1 },
    });
    const bob = await gateway.account('bob@example.com');
    const other = await gateway.issue(bob);
    const verdicts = await Promise.all([
      gateway.login('alice', password),
      gateway.login('bob', other.password),
    ]);
    expect(verdicts.map(outcomeOf).toSorted()).toEqual(['unavailable', 'verified']);
  });
});

describe('what is down', () => {
  it('the store: cached records keep working until max_staleness, others are told of an outage (S-55)', async () => {
    const { tap, gateway, password } = await tapped({ redis: null });
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    await gateway.asSchemaOwner(async ({ schema }) => {
      await schema.alterTable('account').renameTo('gone').execute();
      await schema.alterTable('revocation').renameTo('revocation_gone').execute();
    });
    gateway.clock.advance(15 * 60_000);
    await gateway.revocations.poll();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    expect(outcomeOf(await gateway.login('alice', wrong))).toBe('unavailable');
    expect(outcomeOf(await gateway.login('nobody', password))).toBe('unavailable');
    gateway.clock.advance(1);
    await gateway.revocations.poll();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
    expect(await gateway.value('sallyport_revocation_staleness_seconds')).toBeCloseTo(900, 0);
    expect(gateway.log.join('')).toContain('revocations are not known');
    expect(tap.statements.length).toBeGreaterThan(0);
  });

  it('Redis killed: the store answers', async () => {
    const own = await openRedis();
    try {
      const connection = await own.connect();
      const gateway = await bed({ redis: connection });
      const { password } = await gateway.issue(await gateway.account('alice@example.com'));
      await own.server.kill();
      expect(outcomeOf(await gateway.login('alice', wrong))).toBe('wrong');
      expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    } finally {
      await own.close();
    }
  });

  it('Redis that hangs counts as a miss', async () => {
    const own = await openRedis();
    const connection = await own.connect(100);
    const admin = await own.connect();
    const pid = Number(/process_id:(\d+)/.exec(await admin.info('server'))?.[1]);
    try {
      const gateway = await bed({ redis: connection });
      const { password } = await gateway.issue(await gateway.account('alice@example.com'));
      process.kill(pid, 'SIGSTOP');
      const start = performance.now();
      expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
      expect(performance.now() - start).toBeLessThan(2_000);
      expect(outcomeOf(await gateway.login('alice', wrong))).toBe('wrong');
    } finally {
      process.kill(pid, 'SIGCONT');
      await own.close();
    }
  });

  it('S-26: a process that has not read the feed accepts nothing', async () => {
    const { gateway, password, next } = await tapped();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    const cold = await next({ isCold: true });
    expect(outcomeOf(await cold.login('alice', password))).toBe('unavailable');
    await cold.revocations.poll();
    expect(outcomeOf(await cold.login('alice', password))).toBe('verified');
    expect(await cold.value('sallyport_verifications_total', { source: 'redis' })).toBe(1);
  });
});

describe('S-15: a main password leaves no trace', () => {
  it('two runs that differ in it alone are the same in SQL, Redis and log', async () => {
    const traces: unknown[] = [];
    for (const main of ['correct horse battery staple', 'Tr0ub4dor&3']) {
      const { tap, gateway } = await tapped();
      tap.statements.length = 0;
      gateway.log.length = 0;
      const commands = await server.watch(async () => {
        for (const name of ['alice@example.com', 'nobody@example.com']) {
          for (let attempt = 0; attempt < 12; attempt += 1) {
            expect(outcomeOf(await gateway.login(name, main))).toBe('not-an-app-password');
          }
        }
      });
      traces.push({ statements: tap.statements, commands, log: gateway.log, waits: gateway.waits });
    }
    expect(traces[0]).toEqual(traces[1]);
    expect(traces[0]).toEqual({ statements: [], commands: [], log: [], waits: [] });
  });

  it('S-28: an app password is in SQL, Redis and log in no spelling, nor are address and label in Redis', async () => {
    const { tap, gateway, password } = await tapped();
    const plain = password.replaceAll(' ', '');
    const commands = await server.watch(async () => {
      await gateway.login('alice', password);
      await gateway.login('alice', wrong);
    });
    await gateway.verifier.stop();
    const sql = tap.statements.join('\n');
    const traces = [sql, commands.join('\n'), gateway.log.join('\n')];
    for (const trace of traces) {
      for (const secret of [plain, wrong.replaceAll(' ', '')]) {
        for (const spelling of spellings(secret)) expect(trace).not.toContain(spelling);
      }
    }
    expect(commands.map((command) => command.split(' ')[0]?.toLowerCase())).toEqual(['mget', 'set', 'mget']);
    for (const text of ['alice', 'example.com', 'Test']) expect(commands.join('\n')).not.toContain(text);
  });
});

/** As clear text, JSON bytes, hexadecimal, base64 in every alignment. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  );
  return [secret, secret.toUpperCase(), [...bytes].join(','), bytes.toString('hex'), ...shifted];
}

describe("S-18: no difference between unknown, wrong and another one's", () => {
  it('in statements, in Redis commands, in words', async () => {
    const { tap, gateway, next } = await tapped();
    const bob = await gateway.issue(await gateway.account('bob@example.com'));
    const runs: unknown[] = [];
    for (const [name, typed] of [
      ['nobody@example.com', wrong],
      ['alice@example.com', wrong],
      ['alice@example.com', bob.password],
    ] as const) {
      const fresh = await next();
      // The salts are read once a minute, whoever comes.
      await fresh.login('warm@example.com', wrong);
      tap.statements.length = 0;
      const commands = await server.watch(async () => {
        for (let attempt = 0; attempt < 12; attempt += 1) {
          const verdict = await fresh.login(name, typed);
          expect(verdict).toMatchObject({ kind: 'rejected', appPasswordRequired: false });
        }
      });
      runs.push({
        statements: tap.shapes,
        lengths: tap.statements.length,
        commands: commands.map((command) => command.replace(/sp:v1:c:[\w-]+/g, 'key')),
        waits: fresh.waits,
      });
    }
    expect(runs[0]).toEqual(runs[1]);
    expect(runs[1]).toEqual(runs[2]);
    expect(runs[0]).toMatchObject({ lengths: 24, waits: [] });
  });

  it('in delay', async () => {
    const { gateway } = await tapped();
    const secrets = Array.from({ length: 22 }, () => generateAppPassword().text());
    const delays: number[][] = [];
    for (const name of ['nobody@example.com', 'alice@example.com']) {
      gateway.waits.length = 0;
      for (const secret of secrets) await gateway.login(name, secret, { address: '198.51.100.1' });
      delays.push([...gateway.waits]);
    }
    expect(delays[0]).toEqual(delays[1]);
    expect(delays[0]).toEqual([1_000, 2_000, 4_000, 8_000, ...new Array(7).fill(15_000)]);
  });

  it('in time: medians of 5,000 each, taken in turns', async () => {
    const { gateway } = await tapped({
      throttleLimits: { delayFrom: 1e6, refuseFrom: 1e6, networkRefuseFrom: 1e6 },
    });
    const bob = await gateway.issue(await gateway.account('bob@example.com'));
    const kinds = [
      ['nobody@example.com', wrong],
      ['alice@example.com', wrong],
      ['alice@example.com', bob.password],
    ] as const;
    const times: number[][] = kinds.map(() => []);
    // A server takes ten times as long for each, and its spread is wider than what is looked for.
    const samples = gateway.file.startsWith('postgres:') ? 500 : 5_000;
    for (let round = 0; round < samples + 200; round += 1) {
      for (const [kind, [name, typed]] of kinds.entries()) {
        const start = performance.now();
        await gateway.login(name, typed);
        // The compiler of JavaScript comes first.
        if (round >= 200) times[kind]?.push(performance.now() - start);
      }
    }
    const medians = times.map((each) => each.toSorted((left, right) => left - right)[each.length >> 1] ?? 0);
    expect(times.map(({ length }) => length)).toEqual([samples, samples, samples]);
    expect(Math.max(...medians) - Math.min(...medians)).toBeLessThan(samples === 500 ? 1 : 0.2);
  }, 120_000);
});
