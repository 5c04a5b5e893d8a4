import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  alice,
  bob,
  type IssuedAppPassword,
  startTestGateway,
  type TestGateway,
} from '../support/gateway.ts';
import { runMailProgram } from '../support/mail-program.ts';
import { deliveredMessage, gatewayImap } from '../support/mailbox.ts';

const messageBytes = 50_000_000;

let bed: TestGateway;
let appPassword: IssuedAppPassword;

beforeAll(async () => {
  bed = await startTestGateway();
  appPassword = await bed.issue(alice);
});
afterAll(() => bed.stop());

describe('a message of 50 MB', () => {
  it('goes up and down over IMAP byte for byte', async () => {
    const message = largeMessage('up and down');
    const imap = gatewayImap(bed, alice, appPassword.secret);
    await imap.connect();
    await imap.append('INBOX', message);
    await imap.mailboxOpen('INBOX');
    const fetched = await imap.fetchOne('*', { source: true });
    expect(fetched !== false && fetched.source?.equals(message)).toBe(true);
    await imap.logout();
  }, 120_000);

  it('goes out over SMTP and arrives byte for byte', async () => {
    const message = largeMessage('submitted');
    const file = join(bed.folder, 'large.eml');
    await writeFile(file, message);
    const result = await runMailProgram('curl', ['--disable', '--config', '-'], {
      input: [
        'silent',
        'show-error',
        `cacert = "${bed.caFile}"`,
        `user = "${alice}:${appPassword.secret}"`,
        `url = "smtps://localhost:${bed.smtpPort}"`,
        `mail-from = "${alice}"`,
        `mail-rcpt = "${bob}"`,
        `upload-file = "${file}"`,
      ].join('\n'),
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const source = await deliveredMessage(bed, bob, 'submitted');
    // The backend puts its own headers on top.
    expect(source.subarray(-message.length).equals(message)).toBe(true);
  }, 120_000);
});

/** Lines of every length SMTP allows, some beginning with dots, so that a lost or doubled byte anywhere shows. */
function largeMessage(subject: string): Buffer {
  // With all headers a server would else add below its own.
  const date = new Date(0).toUTCString().replace('GMT', '+0000');
  const head = Buffer.from(
    `From: ${alice}\r\nTo: ${bob}\r\nSubject: ${subject}\r\nDate: ${date}\r\nMessage-ID: <1@example.com>\r\n\r\n`,
  );
  const body = randomBytes(messageBytes - head.length);
  for (let index = 0; index < body.length; index += 1) body[index] = 0x20 + ((body[index] ?? 0) % 95);
  let at = 0;
  while (at < body.length - 990) {
    at += 1 + (((body[at] ?? 0) * 11) % 990);
    body.write('\r\n..', at, 'latin1');
    at += 2;
  }
  body.write('\r\n', body.length - 2, 'latin1');
  return Buffer.concat([head, body]);
}
