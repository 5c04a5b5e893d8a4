import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { findAppPassword } from '../../src/store/app-passwords.ts';
import { type Engine, engines, sharedPostgres } from '../store/scratch-database.ts';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { tester } from '../support/journal.ts';
import { LineClient } from '../support/line-client.ts';
import { startPostgres } from '../support/postgres.ts';

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(url: string | null): Promise<TestGateway> {
  const bed = await startTestGateway({
    listen: [{ door: 'imap', host: '127.0.0.1', port: await freePort(), tls: 'implicit' }],
    limits: { handshakes_per_second: 1_000, handshake_burst: 10_000 },
    app_passwords: { argon2: { memory_kib: 7_168, passes: 1, lanes: 1 } },
    ...(url === null ? {} : { database: { url } }),
  });
  closers.push(() => bed.stop());
  return bed;
}

async function connect(bed: TestGateway): Promise<LineClient> {
  const client = await LineClient.connect(bed.imapPort, bed.ca);
  closers.push(() => client.close());
  await client.line();
  return client;
}

async function logIn(bed: TestGateway, secret: string): Promise<string> {
  const client = await connect(bed);
  const lines = await client.imap('a', `LOGIN ${alice} ${secret}`);
  client.close();
  return (lines.at(-1) ?? '').replace(/^a OK.*/, accepted);
}
const accepted = 'a OK';
const wrong = 'a NO [AUTHENTICATIONFAILED] Authentication failed.';
const unavailable = 'a NO [UNAVAILABLE] Temporary authentication failure.';

const dyingProcess = fileURLToPath(new URL('../credentials/dying-process.ts', import.meta.url));
const writingProcess = fileURLToPath(new URL('../credentials/writing-process.ts', import.meta.url));

/** The database and the key file, for a program beside the gateway. */
async function placeOf(bed: TestGateway): Promise<readonly [string, string]> {
  const settings = parse(await readFile(bed.configFile, 'utf8')) as {
    database: { url: string };
    keys_file: string;
  };
  return [settings.database.url.replace(/^sqlite:/, ''), settings.keys_file];
}

function spawnScript(script: string, words: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closers.push(() => child.kill('SIGKILL'));
  return child;
}

const storeOf = async (engine: Engine) =>
  engine === 'SQLite' ? null : await (await sharedPostgres()).createDatabase();

describe.each(engines)('a process killed with SIGKILL on %s', (engine) => {
  it('S-54: between the store and the publishing: the other gateway ends the session by its poll', async () => {
    const bed = await start(await storeOf(engine));
    const [ended, kept] = [await bed.issue(alice), await bed.issue(alice)];
    const [idling, other] = [await connect(bed), await connect(bed)];
    for (const [client, { secret }] of [
      [idling, ended],
      [other, kept],
    ] as const) {
      await client.imap('a', `LOGIN ${alice} ${secret}`);
      await client.imap('b', 'SELECT INBOX');
      client.send('c IDLE');
      await client.linesUntil((line) => line.startsWith('+ '));
    }
    const dying = spawnScript(dyingProcess, [...(await placeOf(bed)), ended.id.toString('hex')]);
    expect(await once(dying, 'close')).toEqual([null, 'SIGKILL']);
    // The connection ends without an answer to IDLE.
    expect(await idling.linesUntil(() => false)).not.toContainEqual(expect.stringMatching(/^c /));
    expect(await logIn(bed, ended.secret)).toBe(wrong);
    other.send('DONE');
    expect((await other.linesUntil((line) => line.startsWith('c '))).at(-1)).toMatch(/^c OK /);
  }, 60_000);

  it('in the middle of its writing: what it had answered is in the store', async () => {
    const bed = await start(await storeOf(engine));
    await bed.issue(alice);
    const writer = spawnScript(writingProcess, await placeOf(bed));
    let text = '';
    writer.stdout?.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (text.split('\n').length > 20) writer.kill('SIGKILL');
    });
    await once(writer, 'close');
    const ids = text.split('\n').slice(0, -1);
    expect(ids.length).toBeGreaterThanOrEqual(20);
    const { database, revocations } = bed.gateway.parts;
    for (const hex of ids) {
      expect(await findAppPassword(database, Buffer.from(hex, 'hex'))).toMatchObject({ state: 'revoked' });
    }
    await revocations.poll();
    for (const hex of ids) {
      const row = await findAppPassword(database, Buffer.from(hex, 'hex'));
      expect(row !== null && revocations.voids(row.id, row.account_id, 0)).toBe(true);
    }
  }, 60_000);
});

describe('PostgreSQL killed and started again while people log in', () => {
  it('S-14: right is let in or told of an outage, wrong is never let in, and afterwards all is as before', async () => {
    const postgres = await startPostgres();
    closers.push(() => postgres.stop());
    const bed = await start(await postgres.createDatabase());
    const secrets: string[] = [];
    for (let count = 0; count < 12; count += 1) secrets.push((await bed.issue(alice)).secret);
    // One for each who tries, so that no limit on wrong secrets is met.
    const wrongs = [1, 2, 3].map(() => generateAppPassword().text());
    const outcomes = { right: new Set<string>(), wrong: new Set<string>() };
    let isDown = false;
    let triesWhileDown = 0;
    let isOver = false;
    const trying = wrongs.map(async (wrongSecret, who) => {
      for (let round = 0; !isOver; round += 1) {
        const wasDown = isDown;
        // A new secret each time, while there are any: none of them is in the cache.
        const right = secrets[(who * 4 + round) % secrets.length] ?? '';
        outcomes.right.add(await logIn(bed, right));
        outcomes.wrong.add(await logIn(bed, wrongSecret));
        if (wasDown && isDown) triesWhileDown += 1;
      }
    });
    for (const way of ['crash', 'halt'] as const) {
      await postgres[way]();
      isDown = true;
      triesWhileDown = 0;
      while (triesWhileDown < 3) await new Promise((resolve) => setTimeout(resolve, 10));
      isDown = false;
      await postgres.start();
    }
    isOver = true;
    await Promise.all(trying);

    expect([...outcomes.right].filter((each) => each !== accepted && each !== unavailable)).toEqual([]);
    expect([...outcomes.wrong].filter((each) => each !== wrong && each !== unavailable)).toEqual([]);
    expect(outcomes.wrong).toContain(unavailable);
    // Whatever was in the middle of its work when it came back.
    for (const secret of secrets) expect(await logIn(bed, secret)).toBe(accepted);
    for (const secret of wrongs) expect(await logIn(bed, secret)).toBe(wrong);
    const { id, secret } = await bed.issue(alice);
    expect(await logIn(bed, secret)).toBe(accepted);
    const row = await findAppPassword(bed.gateway.parts.database, id);
    await bed.gateway.parts.appPasswords.revoke(row?.account_id ?? Buffer.alloc(0), id, 'test', tester);
    expect(await logIn(bed, secret)).toBe(wrong);
  }, 120_000);
});
