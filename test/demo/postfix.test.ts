import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ImapFlow } from 'imapflow';
import { createTransport, type Transporter } from 'nodemailer';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { type Postfix, startPostfix } from '../../src/demo/postfix.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { until } from '../support/until.ts';

const alice = 'alice@example.com';
const master = { user: 'gateway', password: 'master password' };

describe('scratch Postfix', () => {
  let scratch: ScratchFolder;
  let certificates: ThrowAwayCertificates;
  let dovecot: Dovecot;
  let postfix: Postfix;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    certificates = await makeThrowAwayCertificates(scratch.path);
    const certificate = { cert: certificates.certFile, key: certificates.keyFile };
    const users = { [alice]: 'main password' };
    dovecot = await startDovecot({ folder: scratch.path, users, master, certificate });
    postfix = await startPostfix({ folder: scratch.path, users: Object.keys(users), dovecot, certificate });
  });
  afterAll(async () => {
    await postfix.stop();
    await dovecot.stop();
    await scratch.remove();
  });

  /** Logs in as the gateway does: AUTH PLAIN, the master user acting for alice. */
  const submission = (secure: boolean, password = master.password): Transporter =>
    createTransport({
      host: 'localhost',
      port: secure ? postfix.smtpsPort : postfix.submissionPort,
      secure,
      ignoreTLS: !secure,
      tls: { ca: certificates.ca },
      auth: { type: 'custom', method: 'PLAIN', user: master.user, pass: password },
      customAuth: {
        PLAIN: async ({ auth, sendCommand, resolve, reject }) => {
          const response = Buffer.from(`${alice}\0${auth.credentials.user}\0${auth.credentials.pass}`);
          const reply = await sendCommand(`AUTH PLAIN ${response.toString('base64')}`);
          if (reply.status === 235) resolve();
          else reject(new Error(reply.response));
        },
      },
    });

  it.each([
    ['implicit TLS', true],
    ['clear text', false],
  ])('takes a message over %s and delivers it to Dovecot', async (name, secure) => {
    await submission(secure).sendMail({ from: alice, to: alice, subject: `over ${name}`, text: 'hello' });
    const imap = new ImapFlow({
      host: 'localhost',
      port: dovecot.imapsPort,
      secure: true,
      tls: { ca: certificates.ca },
      auth: { user: alice, pass: 'main password' },
      logger: false,
    });
    await imap.connect();
    await imap.mailboxOpen('INBOX');
    await until(async () => {
      await imap.noop();
      return ((await imap.search({ subject: `over ${name}` })) || []).length === 1;
    });
    await imap.logout();
  });

  it('refuses a wrong password, a stranger as recipient, and mail without a login', async () => {
    await expect(submission(true, 'wrong').verify()).rejects.toThrow('535 5.7.8');
    await expect(
      submission(true).sendMail({ from: alice, to: 'stranger@example.com', text: 'x' }),
    ).rejects.toMatchObject({ responseCode: 550 });
    await expect(
      submission(true).sendMail({ from: alice, to: 'someone@example.net', text: 'x' }),
    ).rejects.toMatchObject({ responseCode: 554 });
    const anonymous = createTransport({ host: '127.0.0.1', port: postfix.submissionPort, ignoreTLS: true });
    await expect(anonymous.sendMail({ from: alice, to: alice, text: 'x' })).rejects.toMatchObject({
      responseCode: 554,
    });
  });
});
