import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { alice, type IssuedAppPassword, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { type Redis, startRedis } from '../support/redis.ts';

let scratch: ScratchFolder;
let redis: Redis;

beforeAll(async () => {
  scratch = await makeScratchFolder();
  redis = await startRedis({ folder: scratch.path });
});
afterAll(async () => {
  await redis.stop();
  await scratch.remove();
});

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Revokes as the operator does: another program on the same database. */
async function revokeByCommand(bed: TestGateway, id: Buffer): Promise<void> {
  const lines: string[] = [];
  const code = await run(['--config', bed.configFile, 'app-password', 'revoke', id.toString('hex')], {
    out: (line) => lines.push(line),
    err: (line) => lines.push(line),
    environment: {},
    signal: AbortSignal.timeout(60_000),
    now: Date.now,
  });
  if (code !== 0) throw new Error(lines.join('\n'));
}

async function connect(bed: TestGateway): Promise<LineClient> {
  const client = await LineClient.connect(bed.imapPort, bed.ca);
  closers.push(() => client.close());
  await client.line();
  return client;
}

async function idle(bed: TestGateway, { secret }: IssuedAppPassword): Promise<LineClient> {
  const client = await connect(bed);
  await client.imap('a', `LOGIN ${alice} ${secret}`);
  await client.imap('b', 'SELECT INBOX');
  client.send('c IDLE');
  await client.linesUntil((line) => line.startsWith('+ '));
  return client;
}

describe('revoking an app password', () => {
  it.each([
    ['without Redis', () => ({}), 5_000],
    ['with Redis', () => ({ redis: { url: redis.url } }), 1_000],
  ])('ends its session in IDLE, and no other, %s', async (_name, overrides, withinMs) => {
    const bed = await startTestGateway(overrides());
    closers.push(() => bed.stop());
    const [ended, kept] = [await bed.issue(alice), await bed.issue(alice)];
    const idling = await idle(bed, ended);
    const other = await idle(bed, kept);
    await revokeByCommand(bed, ended.id);
    const revoked = Date.now();
    expect(await idling.linesUntil(() => false)).not.toContainEqual(expect.stringMatching(/^c /));
    expect(Date.now() - revoked).toBeLessThan(withinMs);

    other.send('DONE');
    expect((await other.linesUntil((line) => line.startsWith('c '))).at(-1)).toMatch(/^c OK /);
    const again = await connect(bed);
    expect(await again.imap('a', `LOGIN ${alice} ${ended.secret}`)).toEqual([
      'a NO [AUTHENTICATIONFAILED] Authentication failed.',
    ]);
  });
});
