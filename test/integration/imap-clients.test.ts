import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alice, type IssuedAppPassword, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { runMailProgram } from '../support/mail-program.ts';
import { deliveredMessage, gatewayImap, openBackendMailbox } from '../support/mailbox.ts';

let bed: TestGateway;
let appPassword: IssuedAppPassword;

beforeAll(async () => {
  bed = await startTestGateway();
  appPassword = await bed.issue(alice);
  const imap = await openBackendMailbox(bed, alice);
  await imap.append('INBOX', 'Subject: from the backend\r\n\r\nbody of the message\r\n');
  await imap.logout();
});
afterAll(() => bed.stop());

describe('IMAP clients through the gateway', () => {
  it.each(['PLAIN', 'LOGIN'])('curl reads a mail, with AUTH=%s', async (mechanism) => {
    const result = await runMailProgram('curl', ['--disable', '--config', '-'], {
      input: [
        'silent',
        'show-error',
        `cacert = "${bed.caFile}"`,
        `user = "${alice}:${appPassword.secret}"`,
        `login-options = "AUTH=${mechanism}"`,
        `url = "imaps://localhost:${bed.imapPort}/INBOX;MAILINDEX=1"`,
      ].join('\n'),
    });
    expect(result.stderr).toBe('');
    expect(result.stdout).toBe('Subject: from the backend\r\n\r\nbody of the message\r\n');
  });

  it.each(['PLAIN', 'LOGIN'])('mbsync pulls and pushes, with AuthMechs %s', async (mechanism) => {
    const folder = join(bed.folder, `mbsync-${mechanism}`);
    const inbox = join(folder, 'INBOX');
    for (const name of ['new', 'cur', 'tmp']) await mkdir(join(inbox, name), { recursive: true });
    const subject = `pushed by mbsync with ${mechanism}`;
    await writeFile(join(inbox, 'new', '1.local'), `Subject: ${subject}\n\nbody\n`);
    await writeFile(join(folder, 'password'), appPassword.secret);
    await writeFile(
      join(folder, 'mbsyncrc'),
      `IMAPAccount gateway
Host localhost
Port ${bed.imapPort}
User ${alice}
PassCmd "cat ${join(folder, 'password')}"
SSLType IMAPS
CertificateFile ${bed.caFile}
AuthMechs ${mechanism}

IMAPStore far
Account gateway

MaildirStore near
Path ${folder}/
Inbox ${inbox}

Channel inbox
Far :far:
Near :near:
Patterns INBOX
Sync All
SyncState *
`,
    );
    const result = await runMailProgram('mbsync', ['-c', join(folder, 'mbsyncrc'), '-a'], {
      environment: { HOME: folder },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const names = [...(await readdir(join(inbox, 'new'))), ...(await readdir(join(inbox, 'cur')))];
    const pulled = await Promise.all(names.map((name) => readMessage(inbox, name)));
    expect(pulled.some((text) => text.includes('body of the message'))).toBe(true);
    expect((await deliveredMessage(bed, alice, subject)).toString()).toContain('body');
  });

  it('imaplib of Python logs in both ways, appends and fetches', async () => {
    const script = `
import imaplib, os, ssl
context = ssl.create_default_context(cafile=os.environ['CA'])
user, password = os.environ['MAIL_USER'], os.environ['MAIL_PASSWORD']
def sign_in(imap): imap.login(user, password)
def authenticate(imap): imap.authenticate('PLAIN', lambda _: f'\\0{user}\\0{password}'.encode())
for log_in in (sign_in, authenticate):
    with imaplib.IMAP4_SSL('localhost', int(os.environ['PORT']), ssl_context=context) as imap:
        log_in(imap)
        text = f'Subject: {log_in.__name__}\\r\\n\\r\\nappended\\r\\n'.encode()
        assert imap.append('INBOX', None, None, text)[0] == 'OK'
        assert imap.select('INBOX')[0] == 'OK'
        number = imap.search(None, 'SUBJECT', log_in.__name__)[1][0]
        assert imap.fetch(number, '(RFC822)')[1][0][1] == text
`;
    const result = await runMailProgram('python3', ['-c', script], {
      environment: {
        CA: bed.caFile,
        PORT: String(bed.imapPort),
        MAIL_USER: alice,
        MAIL_PASSWORD: appPassword.secret,
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });

  it('imapflow, with the name and the password as people type them, hears in IDLE of a mail that arrives', async () => {
    const imap = gatewayImap(bed, 'ALICE', appPassword.secret.replace(/(.{4})/g, '$1 '));
    await imap.connect();
    await imap.mailboxOpen('INBOX');
    const exists = new Promise<void>((resolve) => imap.once('exists', () => resolve()));
    const idling = imap.idle();
    const other = await openBackendMailbox(bed, alice);
    await other.append('INBOX', 'Subject: news\r\n\r\nnews\r\n');
    await other.logout();
    await exists;
    await imap.logout();
    await idling;
  });
});

/** A message is in `cur` once somebody has seen it. */
async function readMessage(maildir: string, name: string): Promise<string> {
  return await readFile(join(maildir, 'new', name), 'utf8').catch(() =>
    readFile(join(maildir, 'cur', name), 'utf8'),
  );
}
