import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { nodeName } from '../../src/credentials/node-exchange.ts';
import { NodeRoster } from '../../src/credentials/node-roster.ts';
import { NodeSessions } from '../../src/credentials/node-sessions.ts';
import { connectRedis, type SingleRedis } from '../../src/credentials/redis.ts';
import type { LocalSessions, SessionFilter, SessionView } from '../../src/credentials/session-directory.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { redisAt, startRedis } from '../support/redis.ts';
import { startTcpRelay } from '../support/tcp-relay.ts';
import { keyRing } from './keys.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';
import { until } from './until.ts';

let bed: RedisBed;
let control: SingleRedis;
beforeAll(async () => {
  bed = await openRedis();
  control = await bed.connect();
});
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});
afterAll(() => bed.close());

const everybody = { by: 'all' } as const;
const view = (id: string, account = 'anna@example.com'): SessionView => ({
  id,
  protocol: 'imap',
  account,
  credential: '00'.repeat(16),
  peerAddress: '192.0.2.77',
  network: '192.0.2.77/32',
  since: 1_795_000_000_000,
  client: 'Thunderbird',
  mechanism: 'PLAIN',
  security: 'tls',
  backend: 'office',
  bytesUp: 1,
  bytesDown: 2,
  state: 'open',
});

/** The sessions of one process, and the orders that reached them. */
class Sessions implements LocalSessions {
  readonly ended: { readonly filter: SessionFilter; readonly reason: string }[] = [];
  views: readonly SessionView[];

  constructor(views: readonly SessionView[]) {
    this.views = views;
  }

  list(filter: SessionFilter): readonly SessionView[] {
    return filter.by === 'account'
      ? this.views.filter(({ account }) => account === filter.account)
      : this.views;
  }

  end(filter: SessionFilter, reason: string): number {
    this.ended.push({ filter, reason });
    const gone = this.list(filter);
    this.views = this.views.filter((each) => !gone.includes(each));
    return gone.length;
  }
}

interface Options {
  readonly redis?: SingleRedis | null;
  readonly keys?: ReturnType<typeof keyRing>;
  readonly now?: () => number;
  readonly ttlMs?: number;
}

async function node(views: readonly SessionView[], options: Options = {}) {
  const local = new Sessions(views);
  const log: string[] = [];
  const directory = new NodeSessions({
    local,
    redis: options.redis === undefined ? await bed.connect() : options.redis,
    keys: options.keys ?? keyRing(),
    now: options.now ?? Date.now,
    logger: createLogger('info', { write: (line: string) => void log.push(line) }),
    onRedisError: () => undefined,
    timing: { heartbeatMs: 100, ttlMs: options.ttlMs ?? 15_000, answerMs: 1_000 },
  });
  stops.push(() => directory.stop());
  return { local, directory, log };
}

/** Settles when each of them hears the others. */
async function together(...nodes: readonly { readonly directory: NodeSessions }[]): Promise<void> {
  for (const { directory } of nodes) {
    await until(async () => {
      const { sessions, silent, isAlone } = await directory.list(everybody);
      return !isAlone && silent.length === 0 && new Set(sessions.map(({ id }) => id)).size >= nodes.length;
    });
  }
}
const ids = (listing: { readonly sessions: readonly { readonly id: string }[] }) =>
  listing.sessions.map(({ id }) => id).toSorted();

describe('the sessions of several nodes', () => {
  it('are listed at each of them, with the name of their node, and filtered where they are', async () => {
    const nodes = [
      await node([view('a1'), view('a2', 'bert@example.com')]),
      await node([view('b1')]),
      await node([view('c1')]),
    ];
    await together(...nodes);
    for (const { directory } of nodes) {
      const listing = await directory.list(everybody);
      expect(ids(listing)).toEqual(['a1', 'a2', 'b1', 'c1']);
      expect(listing).toMatchObject({ silent: [], isAlone: false, omitted: 0 });
      expect(new Set(listing.sessions.map((each) => each.node))).toEqual(new Set([nodeName]));
    }
    const annas = await nodes[1]?.directory.list({ by: 'account', account: 'anna@example.com' });
    expect(ids(annas ?? { sessions: [] })).toEqual(['a1', 'b1', 'c1']);
  });

  it('are ended at each of them, counted, with the reason in the log of each', async () => {
    const [one, two, three] = [
      await node([view('a')]),
      await node([view('b')]),
      await node([view('c', 'bert@example.com')]),
    ];
    await together(one, two, three);
    const filter = { by: 'account', account: 'anna@example.com' } as const;
    expect(await one.directory.end(filter, 'ended by cli:root')).toEqual({
      ended: 2,
      silent: [],
      isAlone: false,
    });
    expect([one, two, three].map(({ local }) => local.views.length)).toEqual([0, 0, 1]);
    expect(two.local.ended).toEqual([{ filter, reason: 'ended by cli:root' }]);
    expect(JSON.parse(two.log.at(-1) ?? '')).toMatchObject({
      node: nodeName,
      reason: 'ended by cli:root',
      ended: 1,
    });
    expect(await three.directory.end(filter, 'again')).toMatchObject({ ended: 0 });
  });

  it('are this one process without Redis', async () => {
    const { directory, local } = await node([view('a')], { redis: null });
    expect(await directory.list(everybody)).toMatchObject({
      sessions: [{ id: 'a', node: nodeName }],
      silent: [],
      isAlone: false,
    });
    expect(await directory.end(everybody, 'x')).toEqual({ ended: 1, silent: [], isAlone: false });
    expect(local.views).toEqual([]);
  });

  it('beyond 10,000 of one node are counted and not told', async () => {
    const many = Array.from({ length: 12_000 }, (_, index) => ({ ...view(`m${index}`), since: index }));
    const [one, two] = [await node([view('a')]), await node(many)];
    await until(async () => (await one.directory.list(everybody)).sessions.length > 1);
    const { sessions, omitted, silent } = await one.directory.list(everybody);
    expect([sessions.length, omitted, silent]).toEqual([10_001, 2_000, []]);
    expect(sessions.some(({ id }) => id === 'm11999')).toBe(true);
    expect(two.local.ended).toEqual([]);
  }, 20_000);

  it('of another version, or with keys of others, are no answer', async () => {
    const one = await node([view('a')]);
    const stranger = await node([view('b')], { keys: keyRing({ seal: [{ id: 7, first: 0x90 }] }) });
    await until(async () => !(await one.directory.list(everybody)).isAlone);
    expect(await stranger.directory.end(everybody, 'x')).toMatchObject({ ended: 1 });
    expect(ids(await one.directory.list(everybody))).toEqual(['a']);
    expect(one.local.ended).toEqual([]);
  });
});

describe('a node that does not answer', () => {
  it('is named, until it is missed for too long', async () => {
    const relay = await startTcpRelay(bed.server.port);
    stops.push(relay.close);
    const far = connectRedis(
      redisAt(`redis://127.0.0.1:${relay.port}`),
      { password: null, sentinelPassword: null },
      { ca: null, onError: () => undefined },
    );
    stops.push(() => far.disconnect());
    const [one, two] = [await node([view('a')], { ttlMs: 3_000 }), await node([view('b')], { redis: far })];
    await together(one, two);
    relay.cutOff();
    expect(await one.directory.list(everybody)).toMatchObject({
      sessions: [{ id: 'a' }],
      silent: [nodeName],
    });
    expect(await one.directory.end(everybody, 'x')).toEqual({ ended: 1, silent: [nodeName], isAlone: false });
    await until(async () => (await one.directory.list(everybody)).silent.length === 0);
    // And it knows that it is alone itself.
    await until(async () => (await two.directory.list(everybody)).isAlone);
    relay.heal();
    await until(async () => ids(await one.directory.list(everybody)).includes('b'));
  }, 30_000);

  it('because it stopped in order is not waited for', async () => {
    const [one, two] = [await node([view('a')]), await node([view('b')])];
    await together(one, two);
    await two.directory.stop();
    await until(async () => (await one.directory.list(everybody)).silent.length === 0);
    expect(ids(await one.directory.list(everybody))).toEqual(['a']);
  });

  it('is not known of while Redis is away: this is said, and the own sessions are listed and ended', async () => {
    const own = await openRedis();
    const redis = await own.connect(250);
    const { directory } = await node([view('a')], { redis });
    await until(async () => !(await directory.list(everybody)).isAlone);
    await own.server.kill();
    await until(() => redis.status !== 'ready');
    expect(await directory.list(everybody)).toMatchObject({ sessions: [{ id: 'a' }], isAlone: true });
    expect(await directory.end(everybody, 'x')).toMatchObject({ ended: 1, isAlone: true });
    const back = await startRedis({ folder: own.folder, port: own.server.port });
    await until(async () => !(await directory.list(everybody)).isAlone);
    await directory.stop();
    await back.stop();
    await own.close();
  });
});

describe('who can write Redis', () => {
  /** Everything that is said on the channels of the nodes from now on. */
  async function listen() {
    const messages: { readonly channel: string; readonly message: string }[] = [];
    const tapped = await bed.connect();
    stops.push(() => tapped.punsubscribe());
    tapped.on('pmessage', (_: string, channel: string, message: string) =>
      messages.push({ channel, message }),
    );
    await tapped.psubscribe('sp:v1:node*');
    return messages;
  }

  it('S-30: ends no session by what is forged, altered, moved or repeated, and disturbs no answer', async () => {
    const [one, two] = [await node([view('a')]), await node([view('b')])];
    await together(one, two);
    const heard = await listen();
    expect(await one.directory.end({ by: 'session', session: 'none' }, 'ordered')).toMatchObject({
      ended: 2,
    });
    const orders = two.local.ended.length;
    two.local.views = [view('b')];
    const successor = await node([view('c')]);
    const publish = async (channel: string, message: string) => await control.publish(channel, message);
    const spoken = [...heard];
    for (const { channel, message } of spoken) {
      await publish(channel, message);
      for (const { channel: other } of spoken) await publish(other, message);
      const bytes = Buffer.from(message, 'base64url');
      for (let index = 0; index < bytes.length; index += 37) {
        const altered = Buffer.from(bytes);
        altered.writeUInt8(altered.readUInt8(index) ^ 1, index);
        await publish(channel, altered.toString('base64url'));
      }
    }
    for (const odd of ['', '{}', '{"kind":"question"}', 'A'.repeat(300_000), '='.repeat(90)]) {
      for (const { channel } of spoken.slice(0, 4)) await publish(channel, odd);
    }
    expect(ids(await one.directory.list(everybody))).toEqual(['b', 'c']);
    expect([two.local.ended.length, successor.local.ended.length]).toEqual([orders, 0]);
    expect([two.local.views.length, successor.local.views.length]).toEqual([1, 1]);
  }, 30_000);

  it('S-28: reads neither accounts nor addresses', async () => {
    const [one, two] = [await node([view('a')]), await node([view('b')])];
    const heard = await listen();
    await together(one, two);
    await one.directory.end({ by: 'account', account: 'anna@example.com' }, 'ended by cli:root');
    const text = heard
      .map(
        ({ channel, message }) =>
          `${channel} ${message} ${Buffer.from(message, 'base64url').toString('latin1')}`,
      )
      .join('\n');
    expect(heard.length).toBeGreaterThan(5);
    // Long enough not to stand in ciphertext by chance.
    for (const word of ['anna@example', 'example.com', '192.0.2', 'Thunderbird', 'cli:root']) {
      expect(text).not.toContain(word);
    }
    expect(await control.keys('sp:v1:node*')).toEqual([]);
  });
});

describe('the roster', () => {
  const at = 1_795_000_000_000;
  const who = { instance: 'A'.repeat(22), name: 'mx1/7' };

  it('keeps nobody alive by what was said before, whoever says it again', () => {
    const roster = new NodeRoster(15_000);
    expect(roster.note(who, at, at)).toBe(true);
    expect(roster.alive(at + 14_999)).toEqual([who]);
    expect(roster.note(who, at, at + 14_000)).toBe(false);
    expect(roster.alive(at + 15_000)).toEqual([]);
    expect(roster.note(who, at, at + 59_000)).toBe(false);
    // Forgotten by now, and so old that nobody believes it.
    expect(roster.note({ ...who, instance: 'B'.repeat(22) }, at + 200_000, at + 200_000)).toBe(true);
    expect(roster.note(who, at, at + 200_000)).toBe(false);
  });

  it('takes a goodbye, and what was said after it', () => {
    const roster = new NodeRoster(15_000);
    roster.note(who, at, at);
    roster.note(who, at + 1, at + 1, true);
    expect(roster.alive(at + 2)).toEqual([]);
    expect(roster.note(who, at, at + 3)).toBe(false);
    expect(roster.note(who, at + 4, at + 4)).toBe(true);
    expect(roster.alive(at + 5)).toEqual([who]);
  });

  it('hears no clock that is a minute off, and has an end', () => {
    const roster = new NodeRoster(15_000);
    expect(roster.note(who, at + 60_001, at)).toBe(false);
    expect(roster.note(who, at - 60_001, at)).toBe(false);
    for (let index = 0; index < 1_200; index += 1) {
      roster.note({ instance: `${index}`.padStart(22, 'A'), name: 'n/1' }, at, at);
    }
    expect(roster.alive(at)).toHaveLength(1_000);
  });
});
