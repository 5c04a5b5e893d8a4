import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis as RedisClient } from 'ioredis';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { disguises } from '../support/disguises.ts';
import { alice, bob, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { deliveredMessage } from '../support/mailbox.ts';
import { PortalClient } from '../support/portal-client.ts';
import { type Redis, startRedis } from '../support/redis.ts';
import { plain } from '../support/sasl.ts';

let scratch: ScratchFolder;
let redis: Redis;
let bed: TestGateway;

beforeAll(async () => {
  scratch = await makeScratchFolder();
  redis = await startRedis({ folder: scratch.path });
  bed = await startTestGateway({ redis: { url: redis.url } });
});
afterAll(async () => {
  await bed.stop();
  await redis.stop();
  await scratch.remove();
});

/** Logs in by every command there is on both protocols, right or wrong, in the forms people type. */
async function useEverywhere(user: string, password: string): Promise<void> {
  const spaced = password.replace(/^(\w{4})(\w{4})(\w{4})(\w{4})$/, '$1 $2 $3 $4');
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  for (const dialogue of [
    [`a LOGIN ${user} "${spaced}"`],
    [`a LOGIN {${user.length}+}\r\n${user} {${spaced.length}+}\r\n${spaced}`],
    [`a AUTHENTICATE PLAIN ${plain(user, password)}`],
    [`a AUTHENTICATE PLAIN`, plain(user, spaced)],
    [`a AUTHENTICATE LOGIN`, base64(user), base64(password)],
    [`a LOGIN ${user} "${spaced}`],
    [`a AUTHENTICATE PLAIN !${plain(user, password)}`],
    [`${password} LOGIN ${user}`],
    [password],
  ]) {
    await converse(bed.imapPort, dialogue, (line) => /^(\S+ (OK|NO|BAD|BYE)|\+) /.test(line));
  }
  for (const dialogue of [
    ['EHLO client', `AUTH PLAIN ${plain(user, password)}`],
    ['EHLO client', 'AUTH LOGIN', base64(user), base64(password)],
    ['EHLO client', `AUTH PLAIN !${plain(user, password)}`],
    ['EHLO client', `AUTH ${password}`],
    [`EHLO ${password.slice(0, 8)}`, password],
  ]) {
    await converse(bed.smtpPort, dialogue, (line) => /^\d{3} /.test(line));
  }
}

async function converse(
  port: number,
  lines: readonly string[],
  isAnswer: (line: string) => boolean,
): Promise<void> {
  const client = await LineClient.connect(port, bed.ca);
  await client.line();
  for (const line of lines) {
    client.send(line);
    await client.linesUntil(isAnswer);
  }
  client.close();
}

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('after a whole run at the most talkative log level', () => {
  it('no log, database, cache dump or other file holds a secret in any form', async () => {
    const mainPassword = bed.mainPasswords[alice] ?? '';
    const portal = new PortalClient(bed);
    await portal.signIn(alice, 'a wrong main password');
    await portal.signIn(alice, mainPassword);
    const { seed, appPassword } = await portal.enroll();
    const wrong = generateAppPassword().text();

    await useEverywhere(alice, appPassword);
    await useEverywhere(alice, mainPassword);
    await useEverywhere(bob, wrong);
    const smtp = await LineClient.connect(bed.smtpPort, bed.ca);
    await smtp.line();
    await smtp.smtp('EHLO client');
    await smtp.smtp(`AUTH PLAIN ${plain(alice, appPassword)}`);
    await smtp.smtp(`MAIL FROM:<${alice}>`);
    await smtp.smtp(`RCPT TO:<${bob}>`);
    await smtp.smtp('DATA');
    expect(await smtp.smtp('Subject: sent\r\n\r\nbody\r\n.')).toEqual([expect.stringMatching(/^250 /)]);
    smtp.close();
    await deliveredMessage(bed, bob, 'sent');

    const client = new RedisClient(redis.url, { lazyConnect: true });
    await client.connect();
    expect(await client.dbsize()).toBeGreaterThan(0);
    await client.save();
    client.disconnect();

    const [master] = (await readFile(bed.site.master.passwordFile, 'utf8')).split('\n');
    const secrets = new Map([
      ['app password', Buffer.from(appPassword)],
      ['wrong app password', Buffer.from(wrong)],
      ['main password', Buffer.from(mainPassword)],
      ['wrong main password', Buffer.from('a wrong main password')],
      ['TOTP seed', Buffer.from(seed)],
      ['TOTP seed, decoded', fromBase32(seed)],
      ['master password', Buffer.from(master ?? '')],
    ]);
    const files = [...(await filesUnder(bed.folder)), ...(await filesUnder(scratch.path))];
    const found: string[] = [];
    const read = new Set<string>();
    for (const file of files.filter((file) => file !== bed.site.master.passwordFile)) {
      const content = await readFile(file);
      const name = relative(bed.folder, file);
      if (content.includes(alice)) read.add(name);
      for (const [secret, bytes] of secrets) {
        if (disguises(bytes).some((disguise) => content.includes(disguise)))
          found.push(`${secret} in ${name}`);
      }
    }
    expect(found).toEqual([]);
    // What was searched is what was written: each of these names alice.
    expect([...read]).toEqual(
      expect.arrayContaining(['gateway.log', 'dovecot/dovecot.log', 'postfix/postfix.log']),
    );
    expect([...read].some((name) => name.startsWith('state/sallyport.db'))).toBe(true);
    expect(files).toContain(redis.dumpFile);
  }, 60_000);

  it('the search would have found one', () => {
    const secret = Buffer.from('abcdefghijklmnoq');
    for (const user of ['alice', 'alice@example.com', 'x@example.com']) {
      const line = Buffer.from(plain(user, secret.toString()));
      expect(disguises(secret).some((disguise) => line.includes(disguise))).toBe(true);
    }
    for (const text of ['ABCDEFGHIJKLMNOQ', '6162636465666768696a6b6c6d6e6f71']) {
      expect(disguises(secret).some((disguise) => text.includes(disguise.toString()))).toBe(true);
    }
  });
});

function fromBase32(text: string): Buffer {
  const bits = [...text]
    .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
    .join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}
