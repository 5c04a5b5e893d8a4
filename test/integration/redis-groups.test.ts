import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { run } from '../../src/demo/program.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { LineClient } from '../support/line-client.ts';
import { type GatewayNode, NodeSite } from '../support/node-site.ts';
import { type Postgres, startPostgres } from '../support/postgres.ts';
import { groupPassword, startRedisCluster, startSentinelGroup } from '../support/redis-groups.ts';
import { until } from '../support/until.ts';

const anna = 'anna@example.com';
const accepted = expect.stringMatching(/^a OK/);
const wrong = 'a NO [AUTHENTICATIONFAILED] Authentication failed.';
/** So that only the word of Redis can have brought the news. */
const noPoll = { revocationPollMs: 600_000 };

let scratch: ScratchFolder;
let postgres: Postgres;
const closers: (() => Promise<unknown> | unknown)[] = [];
beforeAll(async () => {
  scratch = await makeScratchFolder();
  postgres = await startPostgres();
}, 60_000);
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
}, 60_000);
afterAll(async () => {
  await postgres.stop();
  await scratch.remove();
});

async function start(redis: Readonly<Record<string, string>>): Promise<NodeSite> {
  const site = await NodeSite.start([anna], { database: { url: await postgres.createDatabase() }, redis });
  closers.push(() => site.stop());
  return site;
}

/** Settles when the gateway has closed; IDLE got no answer. */
async function hasEnded(client: LineClient): Promise<void> {
  expect(await client.linesUntil(() => false)).not.toContainEqual(expect.stringMatching(/^c /));
}

async function goesOn(client: LineClient): Promise<void> {
  client.send('DONE');
  expect((await client.linesUntil((line) => line.startsWith('c '))).at(-1)).toMatch(/^c OK /);
}

const revoke = async (node: GatewayNode, { id }: { readonly id: string }) =>
  expect(await node.command('app-password', 'revoke', id)).toMatchObject({ code: 0 });

/** Settles when each gateway listens at one of the servers. */
async function heardBy(
  ports: readonly number[],
  gateways: number,
  ...login: readonly string[]
): Promise<void> {
  await until(async () => {
    let listeners = 0;
    for (const port of ports) {
      const words = ['-p', String(port), ...login, 'pubsub', 'numsub', 'sp:v1:revocation'];
      listeners += Number((await run('redis-cli', words)).trim().split('\n').at(-1));
    }
    return listeners === gateways;
  });
}

describe('two gateways behind Redis Sentinel', () => {
  it('S-55: let people in and end sessions by the poll during a failover, and by the word of the new master after it', async () => {
    const group = await startSentinelGroup(scratch.path);
    closers.push(() => group.stop());
    const passwordFile = join(scratch.path, 'redis-password');
    await writeFile(passwordFile, `${groupPassword}\n`);
    const site = await start({ url: group.url, password_file: passwordFile });
    const polls = await site.node();
    const listens = await site.node(noPoll);
    const nodes = [polls, listens];
    const [first, second, kept] = [await polls.issue(anna), await polls.issue(anna), await polls.issue(anna)];
    const idle = async (node: GatewayNode, issued: typeof first) => {
      const client = await node.idle(issued);
      closers.push(() => client.close());
      return client;
    };
    const firsts = [await idle(polls, first), await idle(listens, first)] as const;
    const seconds = [await idle(polls, second), await idle(listens, second)] as const;
    const keeps = [await idle(polls, kept), await idle(listens, kept)] as const;
    const login = ['-a', groupPassword, '--no-auth-warning'];
    await heardBy([(await group.master()).port], 2, ...login);

    const former = await group.master();
    await former.kill();
    // One that is cached, and one that nobody has seen yet.
    const fresh = await polls.issue(anna);
    for (const node of nodes) {
      expect(await node.logIn(kept)).toEqual(accepted);
      expect(await node.logIn(fresh)).toEqual(accepted);
    }
    await revoke(polls, first);
    await hasEnded(firsts[0]);
    expect(await polls.logIn(first)).toBe(wrong);

    await until(async () => (await group.master()) !== former);
    await heardBy([(await group.master()).port], 2, ...login);
    await revoke(polls, second);
    // With it comes what was missed.
    for (const client of [firsts[1], ...seconds]) await hasEnded(client);
    for (const node of nodes) {
      expect(await node.logIn(first)).toBe(wrong);
      expect(await node.logIn(second)).toBe(wrong);
      expect(await node.logIn(kept)).toEqual(accepted);
    }
    for (const client of keeps) await goesOn(client);
    await until(async () => (await polls.command('session', 'list')).err === '');
    expect((await polls.command('check', '--connect')).out).toMatch(
      /^answer +redis: writes nothing to disk$/m,
    );
  }, 120_000);
});

describe('two gateways on a Redis cluster', () => {
  it('share proofs, counts, sessions and the news of a revocation', async () => {
    const cluster = await startRedisCluster(scratch.path);
    closers.push(() => cluster.stop());
    const site = await start({ url: cluster.url });
    const nodes = [await site.node(noPoll), await site.node(noPoll)] as const;
    const [one, two] = nodes;
    const [ended, kept] = [await one.issue(anna), await one.issue(anna)];
    await heardBy(
      cluster.servers.map(({ port }) => port),
      2,
    );
    for (const issued of [ended, kept]) expect(await one.logIn(issued)).toEqual(accepted);
    for (const issued of [ended, kept]) expect(await two.logIn(issued)).toEqual(accepted);
    expect(await two.metric('sallyport_verifications_total{source="redis"}')).toBe(2);
    expect(await two.metric('sallyport_verifications_total{source="store"}')).toBe(0);

    const tries = Array.from({ length: 3 }, () => ({ ...ended, secret: generateAppPassword().text() }));
    for (const guess of tries) expect(await one.logIn(guess)).toBe(wrong);
    await until(async () => {
      const { out } = await two.command('throttle', 'show', '--account', anna, '--json');
      return /"distinct": ?3\b/.test(out);
    });

    const ends: LineClient[] = [];
    const stays: LineClient[] = [];
    for (const node of nodes) {
      ends.push(await node.idle(ended));
      stays.push(await node.idle(kept));
    }
    closers.push(() => {
      for (const client of [...ends, ...stays]) client.close();
    });
    await until(async () => JSON.parse((await two.command('session', 'list', '--json')).out).length === 4);
    await revoke(one, ended);
    for (const client of ends) await hasEnded(client);
    for (const node of nodes) {
      expect(await node.logIn(ended)).toBe(wrong);
      expect(await node.logIn(kept)).toEqual(accepted);
    }
    for (const client of stays) await goesOn(client);
    expect((await one.command('check', '--connect')).out).toMatch(/^answer +redis: writes nothing to disk$/m);
  }, 120_000);
});
