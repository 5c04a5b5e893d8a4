import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, expect, it } from '@jest/globals';
import { freePort } from '../../src/demo/free-port.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { openRedis } from '../credentials/redis-bed.ts';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { plain } from '../support/sasl.ts';
import { until } from '../support/until.ts';

// S-15: the same run twice, with two main passwords. What SQL holds, what Redis is told, what backends get, what is logged and
// what clients hear differs in time and ids alone, so it holds nothing of either.

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A backend that counts who comes. */
async function backend(): Promise<{ readonly port: number; readonly heard: string[] }> {
  const heard: string[] = [];
  const server: Server = createServer((socket) => {
    heard.push('a connection');
    socket.on('data', (bytes) => heard.push(bytes.toString('latin1'))).on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, heard };
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** Each command that carries a password, at each door, twice; answers what the client hears. */
async function useEverywhere(bed: TestGateway, user: string, password: string): Promise<string[]> {
  const heard: string[] = [];
  const literal = `a LOGIN {${user.length}+}\r\n${user} {${password.length}+}\r\n${password}`;
  const dialogues: [number, string[]][] = [
    [bed.imapPort, [`a LOGIN ${user} "${password}"`]],
    [bed.imapPort, [literal]],
    [bed.imapPort, [`a AUTHENTICATE PLAIN ${plain(user, password)}`]],
    [bed.imapPort, ['a AUTHENTICATE LOGIN', base64(user), base64(password)]],
    [bed.pop3Port, [`USER ${user}`, `PASS ${password}`]],
    [bed.pop3Port, [`AUTH PLAIN ${plain(user, password)}`]],
    [bed.smtpPort, ['EHLO client', `AUTH PLAIN ${plain(user, password)}`]],
    [bed.smtpPort, ['EHLO client', 'AUTH LOGIN', base64(user), base64(password)]],
  ];
  for (const [port, lines] of [...dialogues, ...dialogues]) {
    const client = await LineClient.connect(port, bed.ca);
    await client.line();
    for (const line of lines) {
      client.send(line);
      heard.push(...(await client.linesUntil((answer) => /^(?:a |\+|-|\d{3} )/.test(answer))));
    }
    client.close();
  }
  return heard;
}

/** The log, without what differs between any two runs. */
async function logOf(bed: TestGateway): Promise<string[]> {
  const lines = (await readFile(bed.logFile, 'utf8')).split('\n').filter((line) => line !== '');
  return lines
    .map((line) =>
      line
        .replaceAll(bed.folder, 'FOLDER')
        .replace(/"time":"[^"]+"/, '"time":"T"')
        .replace(/"(?:peerPort|localPort|port|seconds|pid)":[\d.]+/g, '"n":0')
        .replace(/"(?:session|sessionId|node|hostname)":"[^"]*"/g, '"id":"I"')
        .replace(/localhost:\d+/g, 'localhost:0'),
    )
    .filter((line) => line.includes('login refused') || line.includes('"level":50'));
}

type Row = Record<string, unknown>;

/** Every row there is, as text. */
async function rowsOf(bed: TestGateway): Promise<Map<string, { readonly table: string; readonly row: Row }>> {
  const { database } = bed.gateway.parts;
  const rows = new Map<string, { readonly table: string; readonly row: Row }>();
  // Made anew by each gateway.
  const skipped = ['cache_salt', 'audit_chain', 'audit_entry'];
  for (const { name: table } of await database.introspection.getTables()) {
    if (skipped.includes(table)) continue;
    const found = await database
      .selectFrom(table as 'account')
      .selectAll()
      .execute();
    for (const row of found as unknown as Row[]) rows.set(`${table} ${JSON.stringify(row)}`, { table, row });
  }
  return rows;
}

/** What the logins wrote, without times and ids. */
async function writtenSince(bed: TestGateway, before: ReadonlyMap<string, unknown>): Promise<string[]> {
  const now = [...(await rowsOf(bed))].filter(([text]) => !before.has(text));
  return now
    .map(([, { table, row }]) => {
      const texts = Object.entries(row).filter(([, value]) => typeof value === 'string');
      return [table, ...texts.map(([column, value]) => `${column}=${value}`)].join(' ');
    })
    .toSorted();
}

async function trace(password: string) {
  const redis = await openRedis();
  closers.push(() => redis.close());
  const office = { imap: await backend(), smtp: await backend(), pop3: await backend() };
  const bed = await startTestGateway({
    listen: await Promise.all(
      ['imap', 'pop3', 'smtp'].map(async (door) => ({
        door,
        host: '127.0.0.1',
        port: await freePort(),
        tls: 'implicit',
      })),
    ),
    redis: { url: redis.server.url },
    backends: {
      demo: {
        imap: { host: '127.0.0.1', port: office.imap.port, tls: 'none' },
        smtp: { host: '127.0.0.1', port: office.smtp.port, tls: 'none' },
        pop3: { host: '127.0.0.1', port: office.pop3.port, tls: 'none' },
        login: { method: 'master', user: 'gateway', password: 'master' },
      },
    },
  });
  closers.push(() => bed.stop());
  const { database, guard } = bed.gateway.parts;
  await createAccount(database, guard, alice, Date.now());
  const before = await rowsOf(bed);
  const { imap, pop3, smtp } = bed.gateway.ports;
  const doors = { ...bed, imapPort: imap[0] ?? 0, pop3Port: pop3[0] ?? 0, smtpPort: smtp[0] ?? 0 };
  let heard: string[] = [];
  const commands = await redis.watch(async () => {
    heard = [
      ...(await useEverywhere(doors, alice, password)),
      ...(await useEverywhere(doors, 'nobody@example.com', password)),
    ];
  });
  await until(async () => (await database.selectFrom('login_event').selectAll().execute()).length >= 6);
  const words = new Set(commands.map((command) => command.split(' ')[0]?.toLowerCase()));
  // The submission backend is asked for its extensions at the start, and here says nothing.
  const asked = office.smtp.heard.filter((what) => what !== 'a connection');
  const backends = [...office.imap.heard, ...office.pop3.heard, ...asked];
  heard = heard.map((line) => line.replace(/localhost:\d+/, 'the portal'));
  return {
    heard,
    words,
    backends,
    log: await logOf(bed),
    written: await writtenSince(bed, before),
    commands,
  };
}

it('S-15: two runs that differ in the main password alone leave the same traces everywhere', async () => {
  const passwords = ['correct horse battery', 'Tr0ub4dor&3 and some more'];
  const [first, second] = [await trace(passwords[0] ?? ''), await trace(passwords[1] ?? '')];
  expect(first.heard).toEqual(second.heard);
  expect(first.heard.length).toBeGreaterThan(32);
  expect(first.log).toEqual(second.log);
  expect(first.log.length).toBeGreaterThanOrEqual(32);
  expect(first.written).toEqual(second.written);
  expect(first.written.map((row) => row.split(' ')[0])).toEqual(first.written.map(() => 'login_event'));
  expect(first.backends).toEqual([]);
  expect(second.backends).toEqual([]);
  // What nodes tell each other of wrong logins is sealed; the feed and the list of sessions go on as ever.
  expect(first.words).toEqual(second.words);
  for (const text of [first, second].map((each) => JSON.stringify([each.log, each.written, each.commands]))) {
    for (const password of passwords) expect(text).not.toContain(password);
  }
}, 120_000);
