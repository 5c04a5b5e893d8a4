import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ImapFlow } from 'imapflow';
import { noFence } from '../../src/credentials/fence.ts';
import { SendCounters } from '../../src/credentials/send-counters.ts';
import { type MailSite, startMailSite } from '../../src/demo/mail-site.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createSubmissionPolicies } from '../../src/proxy/smtp/submission-policies.ts';
import { SubmissionSlots } from '../../src/proxy/smtp/submission-slots.ts';
import { openSmtpBed, type SmtpBed, testCertificates } from '../proxy/smtp-bed.ts';
import { runMailProgram } from '../support/mail-program.ts';
import { until } from '../support/until.ts';

const alice = 'alice@example.com';
const bob = 'bob@example.com';
const mainPasswords = { [alice]: 'Main password of alice', [bob]: 'Main password of bob' };

let scratch: ScratchFolder;
let site: MailSite;
let bed: SmtpBed;
let caFile: string;
let password: string;

beforeAll(async () => {
  scratch = await makeScratchFolder();
  site = await startMailSite(scratch.path, mainPasswords);
  bed = await openSmtpBed({
    backendPort: site.submission,
    masterPassword: (await readFile(site.master.passwordFile, 'utf8')).trimEnd(),
    policies: ({ config, clock }) => {
      const domain = config.domains['example.com'];
      if (domain === undefined) throw new Error('no domain');
      return createSubmissionPolicies({
        domains: { 'example.com': { ...domain, senderPolicy: 'both' } },
        aliases: () => new Map(),
        counters: new SendCounters({
          redis: null,
          now: clock.now,
          monotonic: clock.now,
          logger: createLogger('silent'),
        }),
        slots: new SubmissionSlots({ limit: 3 }),
      });
    },
  });
  caFile = join(scratch.path, 'gateway-ca.pem');
  await writeFile(caFile, (await testCertificates()).ca);
  const fence = { ...noFence, recipientDomains: ['example.com'], messagesPerDay: 5 };
  password = (await bed.credentials.issue(bed.alice, { fence })).password;
});
afterAll(async () => {
  await bed.close();
  await site.stop();
  await scratch.remove();
});

/** What smtplib of Python is told: `sent`, or the code and text of the first refusal. */
async function send(order: { subject: string; header: string; from?: string; to?: string }): Promise<string> {
  const script = `
import os, smtplib, ssl
context = ssl.create_default_context(cafile=os.environ['CA'])
text = (os.environ['HEADER'] + '\\r\\nSubject: ' + os.environ['SUBJECT'] + '\\r\\n\\r\\ntext\\r\\n').encode()
with smtplib.SMTP_SSL('localhost', int(os.environ['PORT']), context=context) as smtp:
    smtp.login('${alice}', os.environ['MAIL_PASSWORD'])
    try:
        smtp.sendmail(os.environ['FROM'], [os.environ['TO']], text)
        print('sent')
    except smtplib.SMTPRecipientsRefused as refused:
        print(*[str(code) + ' ' + reason.decode() for code, reason in refused.recipients.values()])
    except smtplib.SMTPResponseException as refused:
        print(refused.smtp_code, refused.smtp_error.decode())
`;
  const { code, stdout, stderr } = await runMailProgram('python3', ['-c', script], {
    environment: {
      CA: caFile,
      PORT: String(bed.listener.port),
      MAIL_PASSWORD: password,
      SUBJECT: order.subject,
      HEADER: order.header,
      FROM: order.from ?? alice,
      TO: order.to ?? bob,
    },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trim();
}

/** Subjects in bob's INBOX on the backend, once the last one is there. */
async function delivered(last: string): Promise<readonly (string | undefined)[]> {
  const imap = new ImapFlow({
    host: 'localhost',
    port: site.imaps,
    secure: true,
    tls: { ca: site.certificates.ca },
    auth: { user: bob, pass: mainPasswords[bob] ?? '' },
    logger: false,
  });
  await imap.connect();
  try {
    await imap.mailboxOpen('INBOX');
    await until(async () => {
      await imap.noop();
      const found = await imap.search({ header: { subject: last } });
      return (found || []).length > 0;
    });
    const messages = await imap.fetchAll('1:*', { envelope: true });
    return messages.map(({ envelope }) => envelope?.subject);
  } finally {
    await imap.logout();
  }
}

const notYours = '553 5.7.1 Sender address not allowed for this user';

describe('S-53, S-58: sender policy and fence in front of Postfix', () => {
  it('smtplib sends as itself, is told why not as others, and Postfix delivers only what passed', async () => {
    const own = `From: Alice <${alice}>`;
    expect(await send({ subject: 'own', header: own })).toBe('sent');
    expect(await send({ subject: 'tagged', header: `From: alice+x@example.com\r\nSender: ${alice}` })).toBe(
      'sent',
    );
    expect(await send({ subject: 'envelope', header: own, from: bob })).toBe(notYours);
    expect(await send({ subject: 'header', header: `From: ${bob}` })).toBe(notYours);
    expect(await send({ subject: 'two', header: `From: ${alice}, ${bob}` })).toBe(notYours);
    expect(await send({ subject: 'name', header: `From: "${bob}" <${alice}>` })).toBe(notYours);
    expect(await send({ subject: 'twice', header: `${own}\r\nFrom: ${bob}` })).toMatch(/^550 5\.7\.1 /);
    expect(await send({ subject: 'bare', header: `${own}\nFrom: ${bob}` })).toMatch(/^550 5\.7\.1 /);
    expect(await send({ subject: 'null', header: `From: ${bob}`, from: '<>' })).toBe(notYours);
    expect(await send({ subject: 'abroad', header: own, to: 'x@example.net' })).toBe(
      '550 5.7.1 This app password may not send to example.net',
    );
    // Postfix knows nobody of that name, so that it does not count.
    expect(await send({ subject: 'nobody', header: own, to: 'stranger@example.com' })).toMatch(
      /^550 5\.1\.1 /,
    );
    for (const subject of ['third', 'fourth', 'fifth']) {
      expect(await send({ subject, header: own })).toBe('sent');
    }
    expect(await send({ subject: 'sixth', header: own })).toBe(
      '451 4.7.1 This app password may send 5 messages per day, try again later',
    );
    const subjects = await delivered('fifth');
    expect(subjects.toSorted()).toEqual(['fifth', 'fourth', 'own', 'tagged', 'third']);
  });

  it('swaks is told at MAIL and at the end of the message', async () => {
    const swaks = async (from: string, header: string) =>
      await runMailProgram('swaks', [
        ...['--server', 'localhost', '--port', String(bed.listener.port), '--tls-on-connect'],
        ...['--tls-verify', '--tls-ca-path', caFile, '--auth', 'PLAIN'],
        ...['--auth-user', alice, '--auth-password', bed.password],
        ...['--from', from, '--to', bob, '--data', `From: ${header}\\nSubject: swaks\\n\\ntext`],
      ]);
    expect((await swaks(bob, alice)).stdout).toContain(notYours);
    expect((await swaks(alice, bob)).stdout).toContain(notYours);
    expect(await swaks(alice, alice)).toMatchObject({ code: 0 });
  });

  it('S-58: a fence of bytes holds while the message streams, whatever SIZE was declared', async () => {
    const fenced = await bed.credentials.issue(bed.alice, { fence: { ...noFence, maxBytes: 10_000 } });
    const script = `
import os, smtplib, ssl
context = ssl.create_default_context(cafile=os.environ['CA'])
text = b'From: ${alice}\\r\\nSubject: too big\\r\\n\\r\\n' + b'x' * 70 + b'\\r\\n' + (b'y' * 70 + b'\\r\\n') * 3000
with smtplib.SMTP_SSL('localhost', int(os.environ['PORT']), context=context) as smtp:
    smtp.login('${alice}', os.environ['MAIL_PASSWORD'])
    smtp.mail('${alice}')
    smtp.rcpt('${bob}')
    print(*smtp.data(text))
`;
    const { stdout, stderr } = await runMailProgram('python3', ['-c', script], {
      environment: { CA: caFile, PORT: String(bed.listener.port), MAIL_PASSWORD: fenced.password },
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^552 b'5\.3\.4 /);
  });
});
