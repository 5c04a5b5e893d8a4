import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ImapFlow, type ImapFlowOptions } from 'imapflow';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';

describe('scratch Dovecot', () => {
  let scratch: ScratchFolder;
  let certificates: ThrowAwayCertificates;
  let dovecot: Dovecot;

  const start = (ports?: { imaps: number; imap: number }): Promise<Dovecot> =>
    startDovecot({
      folder: scratch.path,
      users: { 'alice@example.com': 'pass:word {PLAIN}' },
      master: { user: 'gateway', password: 'master password' },
      certificate: { cert: certificates.certFile, key: certificates.keyFile },
      ...(ports === undefined ? {} : { ports }),
    });

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    certificates = await makeThrowAwayCertificates(scratch.path);
    dovecot = await start();
  });
  afterAll(async () => {
    await dovecot.stop();
    await scratch.remove();
  });

  const client = (auth: ImapFlowOptions['auth'], clear = false): ImapFlow =>
    new ImapFlow({
      host: 'localhost',
      port: clear ? dovecot.imapPort : dovecot.imapsPort,
      secure: !clear,
      ...(clear ? { doSTARTTLS: false } : {}),
      tls: { ca: certificates.ca },
      auth,
      logger: false,
    });

  it('takes the main password', async () => {
    const imap = client({ user: 'alice@example.com', pass: 'pass:word {PLAIN}' });
    await imap.connect();
    expect((await imap.list()).map((folder) => folder.path)).toEqual(
      expect.arrayContaining(['INBOX', 'Sent', 'Drafts']),
    );
    await imap.logout();
  });

  it('takes the master user acting for a user, in clear from loopback too', async () => {
    for (const clear of [false, true]) {
      const imap = client({ user: 'gateway', pass: 'master password', authzid: 'alice@example.com' }, clear);
      await imap.connect();
      await imap.append('INBOX', 'Subject: kept\r\n\r\nbody\r\n');
      await imap.logout();
    }
  });

  it.each([
    ['a wrong main password', { user: 'alice@example.com', pass: 'wrong' }],
    ['a wrong master password', { user: 'gateway', pass: 'wrong', authzid: 'alice@example.com' }],
    [
      'the master for an unknown user',
      { user: 'gateway', pass: 'master password', authzid: 'nobody@example.com' },
    ],
    ['the master for itself', { user: 'gateway', pass: 'master password' }],
  ])('refuses %s', async (_name, auth) => {
    await expect(client(auth).connect()).rejects.toMatchObject({ authenticationFailed: true });
  });

  it('comes back on its ports with its mail', async () => {
    await dovecot.stop();
    await expect(
      client({ user: 'alice@example.com', pass: 'pass:word {PLAIN}' }).connect(),
    ).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    dovecot = await start({ imaps: dovecot.imapsPort, imap: dovecot.imapPort });
    const imap = client({ user: 'alice@example.com', pass: 'pass:word {PLAIN}' });
    await imap.connect();
    expect(await imap.status('INBOX', { messages: true })).toMatchObject({ messages: 2 });
    await imap.logout();
  });
});
