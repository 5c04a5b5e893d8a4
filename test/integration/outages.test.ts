import { afterEach, describe, expect, it } from '@jest/globals';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { alice, bob, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { gatewayImap } from '../support/mailbox.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { plain } from '../support/sasl.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(...parameters: Parameters<typeof startTestGateway>): Promise<TestGateway> {
  const bed = await startTestGateway(...parameters);
  closers.push(() => bed.stop());
  return bed;
}

async function lineClient(port: number, ca: Buffer): Promise<LineClient> {
  const client = await LineClient.connect(port, ca);
  closers.push(() => client.close());
  await client.line();
  return client;
}

describe('a backend that is down', () => {
  it('is told apart from a wrong password, and the same connections log in once it is back', async () => {
    const bed = await start();
    const { secret } = await bed.issue(alice);
    const imap = await lineClient(bed.imapPort, bed.ca);
    const smtp = await lineClient(bed.smtpPort, bed.ca);
    await smtp.smtp('EHLO client.example.com');

    await bed.site.stop();
    expect(await imap.imap('a1', `LOGIN ${alice} ${secret}`)).toEqual([
      'a1 NO [UNAVAILABLE] Temporary authentication failure.',
    ]);
    expect(await smtp.smtp(`AUTH PLAIN ${plain(alice, secret)}`)).toEqual([
      '454 4.7.0 Temporary authentication failure',
    ]);

    await bed.site.resume();
    expect((await imap.imap('a2', `LOGIN ${alice} ${secret}`)).at(-1)).toMatch(/^a2 OK /);
    expect((await imap.imap('a3', 'SELECT INBOX')).at(-1)).toMatch(/^a3 OK /);
    expect(await smtp.smtp(`AUTH PLAIN ${plain(alice, secret)}`)).toEqual([expect.stringMatching(/^235 /)]);
    expect(await smtp.smtp(`MAIL FROM:<${alice}>`)).toEqual([expect.stringMatching(/^250 /)]);
  }, 60_000);
});

describe('Redis killed while the gateway runs', () => {
  it('keeps nobody out, whether seen before or not, and is used again when it is back', async () => {
    const scratch: ScratchFolder = await makeScratchFolder();
    closers.push(() => scratch.remove());
    let redis: Redis = await startRedis({ folder: scratch.path });
    closers.push(() => redis.stop());
    const bed = await start({ redis: { url: redis.url } });
    const seen = await bed.issue(alice);
    const unseen = await bed.issue(bob);
    const logIn = async (user: string, secret: string): Promise<void> => {
      const imap = gatewayImap(bed, user, secret);
      await imap.connect();
      await imap.logout();
    };
    await logIn(alice, seen.secret);

    await redis.kill();
    await logIn(alice, seen.secret);
    await logIn(bob, unseen.secret);
    await logIn(bob, unseen.secret);

    redis = await startRedis({ folder: scratch.path, port: redis.port });
    await logIn(alice, seen.secret);
    await logIn(alice, (await bed.issue(alice)).secret);
  }, 60_000);
});
