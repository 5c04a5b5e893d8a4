import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { alice, bob, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { plain } from '../support/sasl.ts';
import { until } from '../support/until.ts';

let bed: TestGateway;

beforeAll(async () => {
  bed = await startTestGateway();
  await bed.issue(alice);
});
afterAll(() => bed.stop());

/** All lines in answer to a login over IMAP, the tag cut off, from a network of its own: throttles must not mix. */
async function imapLogin(user: string, password: string, from: string): Promise<readonly string[]> {
  const client = await LineClient.connect(bed.imapPort, bed.ca, from);
  await client.line();
  const lines = await client.imap('a', `AUTHENTICATE PLAIN ${plain(user, password)}`);
  client.close();
  return lines.map((line) => line.replace(/^a /, ''));
}

async function smtpLogin(user: string, password: string, from: string): Promise<readonly string[]> {
  const client = await LineClient.connect(bed.smtpPort, bed.ca, from);
  await client.line();
  await client.smtp('EHLO client.example.com');
  const lines = await client.smtp(`AUTH PLAIN ${plain(user, password)}`);
  client.close();
  return lines;
}

async function pop3Login(user: string, password: string, from: string): Promise<readonly (string | null)[]> {
  const client = await LineClient.connect(bed.pop3Port, bed.ca, from);
  await client.line();
  client.send(`AUTH PLAIN ${plain(user, password)}`);
  const line = await client.line();
  client.close();
  return [line];
}

describe('refused logins say what is documented', () => {
  const wrong = generateAppPassword().text();

  it('wire 46: a wrong app password and an unknown account, with the same words', async () => {
    for (const user of [alice, 'nobody@example.com']) {
      expect(await imapLogin(user, wrong, '127.0.1.1')).toEqual([
        'NO [AUTHENTICATIONFAILED] Authentication failed.',
      ]);
      expect(await smtpLogin(user, wrong, '127.0.1.1')).toEqual([
        '535 5.7.8 Authentication credentials invalid',
      ]);
      expect(await pop3Login(user, wrong, '127.0.1.1')).toEqual(['-ERR [AUTH] Authentication failed.']);
    }
  });

  it('a main password, the right one, a wrong one and that of an unknown account', async () => {
    const text = `Application-specific password required: ${bed.portalUrl}`;
    const attempts = [
      [alice, bed.mainPasswords[alice] ?? ''],
      [bob, 'not the main password'],
      ['nobody@example.com', 'any password'],
    ] as const;
    for (const [user, password] of attempts) {
      expect(await imapLogin(user, password, '127.0.1.2')).toEqual([
        `* NO [ALERT] ${text}`,
        `NO [AUTHENTICATIONFAILED] ${text}`,
      ]);
      expect(await smtpLogin(user, password, '127.0.1.2')).toEqual([
        `535 5.7.8 Application-specific password required. Create one at ${bed.portalUrl}`,
      ]);
      expect(await pop3Login(user, password, '127.0.1.2')).toEqual([`-ERR [AUTH] ${text}`]);
    }
  });

  it('an app password for the other protocol, and one for another network', async () => {
    const forSmtp = await bed.issue(alice, { scopes: ['smtp'] });
    const forImap = await bed.issue(alice, { scopes: ['imap'] });
    const elsewhere = await bed.issue(alice, { networks: ['192.0.2.0/24'] });
    for (const { secret } of [forSmtp, elsewhere]) {
      expect(await imapLogin(alice, secret, '127.0.1.3')).toEqual(['NO [AUTHORIZATIONFAILED] Not allowed.']);
      expect(await pop3Login(alice, secret, '127.0.1.3')).toEqual(['-ERR [AUTH] Not allowed.']);
    }
    for (const { secret } of [forImap, elsewhere]) {
      expect(await smtpLogin(alice, secret, '127.0.1.3')).toEqual(['535 5.7.8 Not allowed']);
    }
  });

  it('an app password that has expired', async () => {
    const { secret } = await bed.issue(alice, { expiresInMs: 1 });
    const created = Date.now();
    await until(() => Date.now() > created + 1);
    const imap = await imapLogin(alice, secret, '127.0.1.4');
    expect(imap.at(-1)).toBe(
      `NO [EXPIRED] This app password has expired. Create a new one at ${bed.portalUrl}`,
    );
    expect(await smtpLogin(alice, secret, '127.0.1.4')).toEqual([
      `535 5.7.8 App password expired. Create a new one at ${bed.portalUrl}`,
    ]);
    const { secret: forPop3 } = await bed.issue(alice, { expiresInMs: 1, scopes: ['pop3'] });
    const made = Date.now();
    await until(() => Date.now() > made + 1);
    expect(await pop3Login(alice, forPop3, '127.0.1.4')).toEqual([
      `-ERR [AUTH] This app password has expired. Create a new one at ${bed.portalUrl}`,
    ]);
  });

  it('somebody who wants to act for another', async () => {
    const { secret } = await bed.issue(alice);
    const client = await LineClient.connect(bed.imapPort, bed.ca, '127.0.1.5');
    await client.line();
    const [reply] = await client.imap('a', `AUTHENTICATE PLAIN ${plain(alice, secret, bob)}`);
    expect(reply).toBe('a NO [AUTHORIZATIONFAILED] Not allowed.');
    client.close();
  });
});
