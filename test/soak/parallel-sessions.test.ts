import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { errorText } from '../../src/observability/error-text.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';

// 500 people whose programs do for a minute what mbsync does: connect, sync, come back. Nobody may notice the others.

const sessions = 500;
const durationMs = 60_000;
/** Between two syncs of one session. */
const everyMs = 5_000;
/** After so many a program starts anew. */
const syncsPerConnection = 4;

let bed: TestGateway;
const secrets = new Map<string, string>();

beforeAll(async () => {
  const names = Array.from({ length: sessions }, (_, index) => `person${index}@example.com`);
  // Their first logins come together: with the default each would cost a core 25 ms.
  const cheap = { app_passwords: { argon2: { memory_kib: 7_168, passes: 1 } } };
  bed = await startTestGateway(cheap, names);
  for (const name of names) secrets.set(name, (await bed.issue(name)).secret);
}, 60_000);
afterAll(() => bed.stop());

/** One sync as mbsync does it; throws at the first answer that is not the expected one. */
async function sync(client: LineClient, tag: string): Promise<void> {
  await expectOk(client, `${tag}s`, 'SELECT INBOX');
  await expectOk(client, `${tag}f`, 'UID FETCH 1:* (UID FLAGS RFC822.SIZE)');
  client.send(`${tag}a APPEND INBOX (\\Seen) {23+}`);
  client.send('Subject: soak\r\n\r\nbody\r\n');
  await tagged(client, `${tag}a`);
  await expectOk(client, `${tag}b`, 'UID FETCH * (BODY.PEEK[])');
  await expectOk(client, `${tag}d`, 'STORE 1 +FLAGS.SILENT (\\Deleted)');
  await expectOk(client, `${tag}x`, 'EXPUNGE');
}

async function expectOk(client: LineClient, tag: string, command: string): Promise<void> {
  client.send(`${tag} ${command}`);
  await tagged(client, tag);
}

async function tagged(client: LineClient, tag: string): Promise<void> {
  const lines = await client.linesUntil((line) => line.startsWith(`${tag} `));
  const last = lines.at(-1);
  if (!last?.startsWith(`${tag} OK`)) throw new Error(`${tag}: ${last ?? 'closed'}`);
}

async function person(number: number, until: number, counts: { syncs: number }): Promise<void> {
  const name = `person${number}@example.com`;
  // Spread like people's programs are, or all of them would come in the first millisecond.
  await pause((everyMs / sessions) * number);
  while (Date.now() < until) {
    const client = await LineClient.connect(bed.imapPort, bed.ca, `127.0.${1 + (number % 50)}.1`);
    try {
      await client.line();
      await expectOk(client, 'l', `LOGIN ${name} ${secrets.get(name)}`);
      for (let round = 0; round < syncsPerConnection && Date.now() < until; round++) {
        await sync(client, String(round));
        counts.syncs++;
        await pause(everyMs);
      }
      await expectOk(client, 'o', 'LOGOUT');
    } finally {
      client.close();
    }
  }
}

it('500 sessions sync for a minute, and not one of them sees an error', async () => {
  const until = Date.now() + durationMs;
  const counts = { syncs: 0 };
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, bed.gateway.parts.registry.size);
  }, 500);
  const errors: string[] = [];
  await Promise.all(
    Array.from({ length: sessions }, (_, number) =>
      person(number, until, counts).catch((error: unknown) => {
        errors.push(errorText(error));
      }),
    ),
  );
  clearInterval(watch);
  expect(errors).toEqual([]);
  // How often is the machine's affair; that each came to it is not.
  expect(counts.syncs).toBeGreaterThan(sessions);
  expect(most).toBeGreaterThan(sessions * 0.9);
}, 180_000);
