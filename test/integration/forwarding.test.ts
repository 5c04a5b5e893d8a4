import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { plain } from '../support/sasl.ts';
import { until } from '../support/until.ts';

const clientAddress = '127.0.0.77';
let bed: TestGateway;
let secret: string;

beforeAll(async () => {
  bed = await startTestGateway();
  secret = (await bed.issue(alice)).secret;
});
afterAll(() => bed.stop());

async function untilLogged(file: string, pattern: RegExp): Promise<void> {
  await until(async () => pattern.test(await readFile(join(bed.folder, file), 'utf8')));
}

describe('the backend is told who is really calling', () => {
  it('Dovecot, by the IMAP ID command', async () => {
    const client = await LineClient.connect(bed.imapPort, bed.ca, clientAddress);
    await client.line();
    expect((await client.imap('a', `LOGIN ${alice} ${secret}`)).at(-1)).toMatch(/^a OK /);
    await untilLogged('dovecot/dovecot.log', /Login: user=<alice@example\.com>.* rip=127\.0\.0\.77,/);
    client.close();
  });

  it('Dovecot, whatever the client claims itself', async () => {
    const client = await LineClient.connect(bed.imapPort, bed.ca, '127.0.0.78');
    await client.line();
    await client.imap('a', 'ID ("name" "liar" "x-originating-ip" "192.0.2.1")');
    expect((await client.imap('b', `LOGIN ${alice} ${secret}`)).at(-1)).toMatch(/^b OK /);
    await untilLogged('dovecot/dovecot.log', /Login: user=<alice@example\.com>.* rip=127\.0\.0\.78,/);
    expect(await readFile(join(bed.folder, 'dovecot/dovecot.log'), 'utf8')).not.toContain('192.0.2.1');
    client.close();
  });

  it('Postfix, by XCLIENT', async () => {
    const client = await LineClient.connect(bed.smtpPort, bed.ca, clientAddress);
    await client.line();
    await client.smtp('EHLO client.example.com');
    expect(await client.smtp(`AUTH PLAIN ${plain(alice, secret)}`)).toEqual([expect.stringMatching(/^235 /)]);
    await client.smtp(`MAIL FROM:<${alice}>`);
    await client.smtp(`RCPT TO:<${alice}>`);
    await client.smtp('DATA');
    await client.smtp('Subject: x\r\n\r\nx\r\n.');
    await untilLogged(
      'postfix/postfix.log',
      /client=\S*\[127\.0\.0\.77\].* sasl_username=alice@example\.com/,
    );
    client.close();
  });
});
