import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { disguises } from '../support/disguises.ts';
import { alice, type IssuedAppPassword, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { plain } from '../support/sasl.ts';
import { until } from '../support/until.ts';

let bed: TestGateway;
let child: ChildProcess | null = null;
const issued: IssuedAppPassword[] = [];
const clients: LineClient[] = [];
const base64 = (text: string) => Buffer.from(text).toString('base64');
const perAccount = 25;
const people = ['ann@example.com', 'ben@example.com', 'cho@example.com', 'dee@example.com'];

beforeAll(async () => {
  bed = await startTestGateway({ app_passwords: { created_per_hour: perAccount } }, people);
  for (const account of people) {
    for (let count = 0; count < perAccount; count += 1) {
      issued.push(await bed.issue(account, { scopes: ['imap', 'pop3', 'smtp'] }));
    }
  }
  // From here on a process of its own serves, whose heap holds nothing that this test put there.
  await bed.gateway.stop();
  const program = join(import.meta.dirname, '../../src/cli/index.ts');
  child = spawn(
    process.execPath,
    ['--heapsnapshot-signal=SIGUSR2', program, 'serve', '--config', bed.configFile],
    { cwd: bed.folder, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let log = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  await until(() => log.includes('"msg":"ready"'), 30_000);
}, 120_000);
afterAll(async () => {
  for (const client of clients) client.close();
  if (child !== null) {
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
  }
  await bed.stop();
});

/** As it is shown. */
const grouped = (secret: string) => secret.replace(/(.{4})(?=.)/g, '$1 ');

/** Logs in by the ways there are, in turns, and stays. */
async function stay(index: number, account: string, secret: string): Promise<void> {
  const typed = grouped(secret);
  const [port, ways] = [
    [
      bed.imapPort,
      [
        [`a LOGIN ${account} "${typed}"`],
        [`a AUTHENTICATE PLAIN ${plain(account, typed)}`],
        ['a AUTHENTICATE LOGIN', base64(account), base64(secret)],
      ],
    ],
    [bed.pop3Port, [[`USER ${account}`, `PASS ${typed}`], [`AUTH PLAIN ${plain(account, secret)}`]]],
    [
      bed.smtpPort,
      [
        ['EHLO client', `AUTH PLAIN ${plain(account, secret)}`],
        ['EHLO client', 'AUTH LOGIN', base64(account), base64(secret)],
      ],
    ],
  ][index % 3] as [number, string[][]];
  const client = await LineClient.connect(port, bed.ca);
  clients.push(client);
  await client.line();
  let last = '';
  for (const line of ways[index % ways.length] ?? []) {
    client.send(line);
    last = (await client.linesUntil((answer) => /^(?:a |\+|-|\d{3} )/.test(answer))).at(-1) ?? '';
  }
  expect(last).toMatch(/^(?:a OK|\+OK|235)/);
}

/** The file of a heap snapshot of the gateway. */
async function snapshot(): Promise<string> {
  child?.kill('SIGUSR2');
  let file = '';
  let size = -1;
  await until(async () => {
    const name = (await readdir(bed.folder)).find((each) => each.endsWith('.heapsnapshot'));
    if (name === undefined) return false;
    file = join(bed.folder, name);
    const before = size;
    ({ size } = await stat(file));
    return size > 1_000_000 && size === before && (await tailOf(file, size)).includes('}');
  }, 60_000);
  return file;
}

async function tailOf(file: string, size: number): Promise<string> {
  const handle = await open(file);
  try {
    return (await handle.read(Buffer.alloc(4), 0, 4, size - 4)).buffer.toString();
  } finally {
    await handle.close();
  }
}

/** Those of the texts that stand in the file, each as often as it does: a hundred megabytes are for grep. */
async function foundIn(file: string, texts: readonly Buffer[]): Promise<readonly string[]> {
  const grep = spawn('grep', ['--text', '--only-matching', '--fixed-strings', '--file=-', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  grep.stdin.end(Buffer.concat(texts.map((text) => Buffer.concat([text, Buffer.from('\n')]))));
  let found = '';
  grep.stdout.setEncoding('latin1').on('data', (text: string) => {
    found += text;
  });
  await once(grep, 'close');
  return found.split('\n').filter((text) => text !== '');
}

describe('S-43: the heap of a process with 100 live sessions', () => {
  it('holds none of their secrets in any form', async () => {
    for (const [index, { secret }] of issued.entries()) {
      await stay(index, people[Math.floor(index / perAccount)] ?? alice, secret);
    }
    const heap = await snapshot();
    const master = (await readFile(bed.site.master.passwordFile, 'utf8')).trim();
    const secrets = issued.flatMap(({ secret }) => [secret, grouped(secret)]);
    const forms = [...secrets, master].flatMap((secret) => [...disguises(Buffer.from(secret))]);
    expect(await foundIn(heap, forms)).toEqual([]);
    // It is a snapshot of that process, and the search finds what is there: it knows who is logged in.
    const names = await foundIn(
      heap,
      people.map((account) => Buffer.from(account)),
    );
    expect(new Set(names)).toEqual(new Set(people));
  }, 180_000);
});
