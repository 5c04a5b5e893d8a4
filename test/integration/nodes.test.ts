import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis as RedisClient } from 'ioredis';
import { parse } from 'yaml';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { LineClient } from '../support/line-client.ts';
import { type GatewayNode, type Issued, NodeSite } from '../support/node-site.ts';
import { type Postgres, startPostgres } from '../support/postgres.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { startTcpRelay, type TcpRelay } from '../support/tcp-relay.ts';
import { until } from '../support/until.ts';

/** Who has the sessions, one for each test. */
const people = Array.from({ length: 12 }, (_, index) => `person${index}@example.com`);
let anna = '';
const bert = 'bert@example.com';
const accepted = expect.stringMatching(/^a OK/);
const wrong = 'a NO [AUTHENTICATIONFAILED] Authentication failed.';
/** So that only the word of Redis can have brought the news. */
const noPoll = { revocationPollMs: 600_000 };

let scratch: ScratchFolder;
let postgres: Postgres;
let redis: Redis;
let relay: TcpRelay;
let site: NodeSite;
const opened: LineClient[] = [];

beforeAll(async () => {
  scratch = await makeScratchFolder();
  postgres = await startPostgres();
  redis = await startRedis({ folder: scratch.path });
  // The network between the gateways and Redis.
  relay = await startTcpRelay(redis.port);
  site = await NodeSite.start([...people, bert], {
    database: { url: await postgres.createDatabase() },
    redis: { url: `redis://127.0.0.1:${relay.port}` },
  });
}, 120_000);
beforeEach(() => {
  anna = people.pop() ?? '';
});
afterEach(async () => {
  for (const client of opened.splice(0)) client.close();
  await site.stopNodes();
  relay.heal();
  await control((client) => client.flushall());
}, 120_000);
afterAll(async () => {
  await site.stop();
  await relay.close();
  await redis.stop();
  await postgres.stop();
  await scratch.remove();
});

async function control<T>(work: (client: RedisClient) => Promise<T>): Promise<T> {
  const client = new RedisClient(redis.port, { protocol: 2, lazyConnect: true });
  await client.connect();
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

async function idle(node: GatewayNode, issued: Issued): Promise<LineClient> {
  const client = await node.idle(issued);
  opened.push(client);
  return client;
}

/** Settles when the gateway has closed; IDLE got no answer. */
async function hasEnded(client: LineClient): Promise<void> {
  expect(await client.linesUntil(() => false)).not.toContainEqual(expect.stringMatching(/^c /));
}

async function goesOn(client: LineClient): Promise<void> {
  client.send('DONE');
  expect((await client.linesUntil((line) => line.startsWith('c '))).at(-1)).toMatch(/^c OK /);
}

/** Two gateways, and an idle session on each with either of two app passwords: the one to be revoked and the other. */
async function bed(timing?: Parameters<NodeSite['node']>[0]) {
  const nodes = [await site.node(timing), await site.node(timing)] as const;
  const [one] = nodes;
  const [ended, kept] = [await one.issue(anna), await one.issue(anna)];
  const ends: LineClient[] = [];
  const stays: LineClient[] = [];
  for (const node of nodes) {
    ends.push(await idle(node, ended));
    stays.push(await idle(node, kept));
  }
  const revoke = async () => {
    expect(await one.command('app-password', 'revoke', ended.id)).toMatchObject({ code: 0 });
  };
  /** Everything that a revocation promises. */
  const verify = async () => {
    for (const client of ends) await hasEnded(client);
    for (const node of nodes) expect(await node.logIn(ended)).toBe(wrong);
    for (const client of stays) await goesOn(client);
    for (const node of nodes) expect(await node.logIn(kept)).toEqual(accepted);
  };
  return { nodes, ended, kept, ends, stays, revoke, verify };
}

describe('S-55: a revocation, with two gateways on PostgreSQL and Redis', () => {
  it('ends its idle sessions on both, and no other, by the word of Redis alone', async () => {
    const { revoke, verify } = await bed(noPoll);
    await revoke();
    await verify();
  }, 120_000);

  it('is found by the poll where Redis stops before it, and a Redis that comes back with old data revives nothing', async () => {
    const { nodes, ended, revoke, verify } = await bed();
    const records = await control(async (client) => {
      await client.save();
      return await client.keys('sp:v1:c:*');
    });
    expect(records.length).toBeGreaterThanOrEqual(2);
    await redis.kill();
    await revoke();
    await verify();
    redis = await startRedis({ folder: scratch.path, port: redis.port });
    expect(await control((client) => client.keys('sp:v1:c:*'))).toEqual(expect.arrayContaining(records));
    for (const node of nodes) expect(await node.logIn(ended)).toBe(wrong);
    // Nor for a process that remembers nothing.
    const [, two] = nodes;
    await two.kill();
    await two.start();
    expect(await two.logIn(ended)).toBe(wrong);
    const rejected = 'sallyport_cache_rejected_total{reason="void"}';
    expect(await two.metric(rejected)).toBeGreaterThan(0);
  }, 120_000);

  it('is found by the poll where Redis hangs, and logins are decided meanwhile', async () => {
    const { revoke, verify } = await bed();
    const pid = await control(async (client) =>
      Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1]),
    );
    process.kill(pid, 'SIGSTOP');
    try {
      await revoke();
      await verify();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }, 120_000);

  it('is found by the poll where Redis is cut off, and by its word again when the network is back', async () => {
    const { nodes, revoke, verify } = await bed();
    relay.cutOff();
    await revoke();
    await verify();
    relay.heal();
    const [one, two] = nodes;
    const session = await idle(two, await one.issue(bert));
    await until(async () => (await one.command('session', 'list')).err === '');
    const { out } = await one.command('session', 'list', '--json');
    expect(JSON.parse(out)).toContainEqual(expect.objectContaining({ account: bert }));
    await goesOn(session);
  }, 120_000);

  it('is found by the poll where its own process is killed between the store and the word', async () => {
    const { nodes, ended, verify } = await bed();
    const settings = parse(await readFile(nodes[0].configFile, 'utf8')) as {
      database: { url: string };
      keys_file: string;
    };
    const script = fileURLToPath(new URL('../credentials/dying-process.ts', import.meta.url));
    const words = [
      '--disable-warning=ExperimentalWarning',
      script,
      settings.database.url,
      settings.keys_file,
      ended.id,
    ];
    const dying: ChildProcess = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'inherit'] });
    expect(await once(dying, 'close')).toEqual([null, 'SIGKILL']);
    await verify();
  }, 120_000);

  it('S-31: a Redis that is flushed under load tells nobody that his password is wrong', async () => {
    const { nodes, kept, revoke, verify } = await bed();
    const outcomes = new Set<string>();
    const people = Array.from({ length: 20 }, async (_, who) => {
      for (let round = 0; round < 6; round += 1) {
        if (who === 0) await control((client) => client.flushall());
        outcomes.add((await nodes[(who + round) % 2 === 0 ? 0 : 1].logIn(kept)).slice(0, 4));
      }
    });
    await Promise.all(people);
    expect(outcomes).toEqual(new Set(['a OK']));
    await revoke();
    await verify();
  }, 120_000);

  it('S-30: what others write into Redis ends nothing and lets nobody in', async () => {
    const { nodes, ended, stays, revoke, verify } = await bed();
    const heard: (readonly [string, string])[] = [];
    await control(async (client) => {
      const listener = client.duplicate();
      listener.on('pmessage', (_: string, channel: string, message: string) =>
        heard.push([channel, message]),
      );
      await listener.psubscribe('sp:*');
      const records = await client.keys('sp:v1:c:*');
      const dumps = await Promise.all(records.map((key) => client.dumpBuffer(key)));
      await revoke();
      expect(await nodes[1].command('session', 'end', '--account', bert)).toMatchObject({ code: 0 });
      await until(() => heard.some(([channel]) => channel === 'sp:v1:revocation'));
      listener.disconnect();
      for (const [channel, message] of heard) {
        const forged = Buffer.from(message, 'base64url');
        forged.writeUInt8(forged.readUInt8(forged.length >> 1) ^ 1, forged.length >> 1);
        for (const text of [message, forged.toString('base64url'), message.slice(1)]) {
          await client.publish(channel, text);
        }
      }
      for (const [index, key] of records.entries()) {
        await client.del(key);
        await client.restore(key, 3_600_000, dumps[index] ?? '');
      }
    });
    expect(await nodes[0].logIn(ended)).toBe(wrong);
    const { out } = await nodes[0].command('session', 'list', '--json');
    expect(JSON.parse(out)).toHaveLength(stays.length);
    await verify();
  }, 120_000);
});

describe('the sessions of all nodes', () => {
  const names = ({ pid }: GatewayNode) => expect.stringMatching(new RegExp(`/${pid}$`));

  it('are listed with their node and ended from any of them', async () => {
    const { nodes, ended, kept, ends, stays } = await bed();
    const [one, two] = nodes;
    for (const node of nodes) {
      const { out, err } = await node.command('session', 'list', '--json');
      expect(err).toBe('');
      const listed = JSON.parse(out) as { node: string; credential: string }[];
      expect(listed.map((each) => each.credential).toSorted()).toEqual(
        [ended.id, ended.id, kept.id, kept.id].toSorted(),
      );
      expect(new Set(listed.map((each) => each.node))).toEqual(new Set([names(one), names(two)]));
    }
    const { out } = await one.command('session', 'list', '--account', anna);
    expect(out.split('\n')[0]).toMatch(/ NODE$/);
    expect(out).toMatch(new RegExp(`/${two.pid}$`, 'm'));

    expect((await one.command('session', 'end', '--credential', ended.id)).out).toBe('Ended 2 sessions.');
    for (const client of ends) await hasEnded(client);
    const rest = JSON.parse((await one.command('session', 'list', '--json')).out) as {
      id: string;
      node: string;
    }[];
    const there = rest.find(({ node }) => node.endsWith(`/${two.pid}`));
    expect(await one.command('session', 'end', '--id', there?.id ?? '')).toMatchObject({
      out: 'Ended 1 session.',
    });
    await hasEnded(stays[1] as LineClient);
    await goesOn(stays[0] as LineClient);
    expect((await two.command('session', 'end', '--account', anna, '--json')).out).toMatch(/"ended": ?1\b/);
    // Ended, not revoked.
    expect(await two.logIn(ended)).toEqual(accepted);
  }, 120_000);

  it('of a node that was killed are gone at once, and it is named until it is missed for too long', async () => {
    const { nodes } = await bed({ nodes: { heartbeatMs: 200, ttlMs: 3_000, answerMs: 500 } });
    const [one, two] = nodes;
    const { pid } = two;
    await two.kill();
    const { out, err, code } = await one.command('session', 'list', '--json');
    expect(JSON.parse(out)).toHaveLength(2);
    expect(out).not.toContain(`/${pid}`);
    expect(err).toMatch(new RegExp(`^Node \\S+/${pid} did not answer: its sessions are not listed\\.$`));
    expect(code).toBe(0);
    expect(await one.command('session', 'end', '--account', bert)).toMatchObject({
      code: 1,
      out: 'Ended 0 sessions.',
      err: expect.stringMatching(new RegExp(`/${pid} did not answer: sessions there may go on\\.$`)),
    });
    await until(async () => (await one.command('session', 'list')).err === '');
    await two.start();
    await until(async () => (await two.command('session', 'list', '--json')).out.includes(`/${one.pid}"`));
  }, 120_000);

  it('are those of one node while Redis is away, and this is said', async () => {
    const { nodes } = await bed();
    await redis.kill();
    try {
      await until(async () =>
        (await nodes[0].command('session', 'list')).err.includes('Redis does not answer'),
      );
      expect(JSON.parse((await nodes[0].command('session', 'list', '--json')).out)).toHaveLength(2);
      expect(await nodes[0].command('session', 'end', '--account', anna)).toMatchObject({
        code: 1,
        out: 'Ended 2 sessions.',
        err: expect.stringMatching(
          /Redis does not answer, so no other node was asked: sessions there may go on\.$/,
        ),
      });
    } finally {
      redis = await startRedis({ folder: scratch.path, port: redis.port });
    }
  }, 120_000);
});
