import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ImapFlow } from 'imapflow';
import type { OwnMail } from '../../src/credentials/notice-delivery.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { type Postfix, startPostfix } from '../../src/demo/postfix.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { AccountMailer } from '../../src/upstream/account-mailer.ts';
import { until } from '../support/until.ts';
import { credentialBytes, masterPassword, routeContext, type UpstreamOptions, upstreamOf } from './bed.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { ScriptedBackend } from './scripted-backend.ts';

const alice = 'alice@example.com';
const mail: OwnMail = {
  account: alice,
  to: alice,
  id: '0011',
  subject: 'Jauna lietotnes parole: Ķēķis',
  text: 'Pirmā rinda.\n.\n.Punkts rindas sākumā un ļoti gara rinda, kas pārsniedz rindas garumu, lai redzētu, kā tā tiek lauzta.\n',
  language: 'lv',
  sender: 'Konta drošība',
};

function mailerOn(options: UpstreamOptions, from: string | null = null): AccountMailer {
  return new AccountMailer({
    upstreams: new Map([['office', upstreamOf(options)]]),
    backendOf: (account) => (account.endsWith('@example.com') ? 'office' : null),
    hostname: 'gw.example.com',
    from,
  });
}

const soon = () => AbortSignal.timeout(20_000);

describe('a mail of the gateway’s own through a real Postfix', () => {
  let scratch: ScratchFolder;
  let ca: Buffer;
  let dovecot: Dovecot;
  let postfix: Postfix;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    const certificates = await makeThrowAwayCertificates(scratch.path);
    ca = certificates.ca;
    const certificate = { cert: certificates.certFile, key: certificates.keyFile };
    dovecot = await startDovecot({
      folder: scratch.path,
      users: { [alice]: 'main' },
      master: { user: 'gateway', password: masterPassword },
      certificate,
    });
    postfix = await startPostfix({ folder: scratch.path, users: [alice], dovecot, certificate });
  }, 60_000);
  afterAll(async () => {
    await postfix?.stop();
    await dovecot?.stop();
    await scratch.remove();
  });

  async function read(count: number) {
    const imap = new ImapFlow({
      ...{ host: 'localhost', port: dovecot.imapsPort, secure: true, tls: { ca }, logger: false },
      auth: { user: alice, pass: 'main' },
    });
    await imap.connect();
    await imap.mailboxOpen('INBOX');
    await until(async () => {
      await imap.noop();
      return imap.mailbox !== false && imap.mailbox.exists >= count;
    });
    const { content = [] } = await imap.download(String(count), '1');
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(chunk as Buffer);
    const message = await imap.fetchOne(String(count), { envelope: true, source: true });
    await imap.logout();
    if (message === false) throw new Error('no message');
    return {
      text: Buffer.concat(chunks).toString('utf8'),
      envelope: message.envelope,
      source: String(message.source),
    };
  }

  it.each(['implicit', 'starttls', 'none'] as const)(
    'TLS %s: logged in on the account’s behalf, every letter and dot as it was written',
    async (tls) => {
      const port = tls === 'implicit' ? postfix.smtpsPort : postfix.submissionPort;
      const options = { port, tls, serverName: 'mail.example.com', ca };
      expect(await mailerOn(options).send(mail, soon())).toEqual({ kind: 'sent' });
      const count = { implicit: 1, starttls: 2, none: 3 }[tls];
      const { text, envelope, source } = await read(count);
      expect(text.replaceAll('\r\n', '\n')).toBe(mail.text);
      expect(envelope?.subject).toBe(mail.subject);
      expect(envelope?.from).toEqual([{ name: 'Konta drošība', address: alice }]);
      expect(source).toMatch(/^Return-Path: <alice@example\.com>/m);
      expect(source).toMatch(/^Content-Language: lv\r$/m);
      expect(source).not.toMatch(/nodemailer|X-Mailer/i);
    },
  );

  it('what the backend refuses is told, with its words', async () => {
    const away = { ...mail, to: 'nobody@example.net' };
    expect(await mailerOn({ port: postfix.submissionPort }).send(away, soon())).toEqual({
      kind: 'failed',
      detail: expect.stringMatching(/^the backend said 554 .*Relay access denied/),
    });
    expect(await mailerOn({ port: postfix.submissionPort }, 'boss@example.com').send(mail, soon())).toEqual({
      kind: 'failed',
      detail: expect.stringMatching(/^the backend said 553 .*not owned by user alice@example\.com/),
    });
  });

  it('an account of no domain of ours has no backend', async () => {
    const away = { ...mail, account: 'a@example.net' };
    expect(await mailerOn({ port: postfix.submissionPort }).send(away, soon())).toMatchObject({
      kind: 'failed',
    });
  });
});

describe('a backend that is not what it should be', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await makeCertificates();
  });
  const backends: ScriptedBackend[] = [];
  afterEach(async () => {
    for (const backend of backends.splice(0)) await backend.close();
  });

  it.each(['expired', 'wrongName', 'selfSigned'] as const)(
    'S-44: %s: no byte of the credential is sent',
    async (kind) => {
      const backend = await ScriptedBackend.open({ tls: certificates[kind] });
      backends.push(backend);
      backend.greeting = '220 ready\r\n';
      const { port } = backend;
      const options = {
        port,
        tls: 'implicit',
        serverName: 'mail.backend.example',
        ca: certificates.ca,
      } as const;
      expect(await mailerOn(options).send(mail, soon())).toMatchObject({ kind: 'failed' });
      expect(backend.received).not.toContain(credentialBytes);
    },
  );

  it('one that takes everything and never answers the end is given up with the signal', async () => {
    const backend = await ScriptedBackend.open();
    backends.push(backend);
    backend.greeting = '220 ready\r\n';
    const giveUp = new AbortController();
    backend.answer = (line) => {
      if (line.startsWith('EHLO')) return '250-ready\r\n250 AUTH PLAIN\r\n';
      if (line.startsWith('AUTH')) return '235 ok\r\n';
      if (line === 'DATA') return '354 go\r\n';
      if (line === '.') setImmediate(() => giveUp.abort());
      return /^(MAIL|RCPT)/.test(line) ? '250 ok\r\n' : null;
    };
    expect(await mailerOn({ port: backend.port }).send(mail, giveUp.signal)).toMatchObject({
      kind: 'failed',
    });
    expect(backend.received).toContain('\r\n..Punkts');
  });

  it('one that is down is left alone by the circuit breaker, and told as failed', async () => {
    const { context } = routeContext();
    expect(await mailerOn({ port: 1, context }).send(mail, soon())).toEqual({
      kind: 'failed',
      detail: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
