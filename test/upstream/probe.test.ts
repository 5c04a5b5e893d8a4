import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { type Postfix, startPostfix } from '../../src/demo/postfix.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { Leg } from '../../src/upstream/leg.ts';
import { type ProbeFinding, probe } from '../../src/upstream/probe.ts';
import { type UpstreamOptions, upstreamOf } from './bed.ts';
import { ScriptedBackend } from './scripted-backend.ts';

async function ask(leg: Leg, options: UpstreamOptions, timeMs = 10_000): Promise<readonly ProbeFinding[]> {
  return await probe(upstreamOf(options), leg, {
    hostname: 'gw.example.com',
    domains: ['example.com'],
    signal: AbortSignal.timeout(timeMs),
  });
}

describe('S-49: what real servers answer to check --connect', () => {
  let scratch: ScratchFolder;
  let ca: Buffer;
  let dovecot: Dovecot;
  let postfix: Postfix;
  let certificate: { readonly cert: string; readonly key: string };
  const settings = () => ({
    folder: scratch.path,
    users: ['alice@example.com'],
    dovecot,
    certificate,
  });

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    const certificates = await makeThrowAwayCertificates(scratch.path);
    ca = certificates.ca;
    certificate = { cert: certificates.certFile, key: certificates.keyFile };
    dovecot = await startDovecot({
      folder: scratch.path,
      users: { 'alice@example.com': 'main' },
      master: { user: 'gateway', password: 'master' },
      certificate,
    });
    postfix = await startPostfix(settings());
  }, 60_000);
  afterAll(async () => {
    await postfix?.stop();
    await dovecot?.stop();
    await scratch.remove();
  });

  const secured = () => ({ serverName: 'mail.example.com', ca });

  it.each(['implicit', 'starttls'] as const)('Dovecot, TLS %s: nothing but its greeting', async (tls) => {
    const port = tls === 'implicit' ? dovecot.imapsPort : dovecot.imapPort;
    expect(await ask('imap', { port, tls, ...secured() })).toEqual([
      { level: 'answer', text: expect.stringMatching(/^\* OK \[CAPABILITY IMAP4rev1 /) },
    ]);
  });

  it.each(['implicit', 'starttls', 'none'] as const)(
    'Postfix that wants a login of everybody, TLS %s: relays nothing',
    async (tls) => {
      const port = tls === 'implicit' ? postfix.smtpsPort : postfix.submissionPort;
      expect(await ask('smtp', { port, tls, ...secured() })).toEqual([
        { level: 'answer', text: '220 backend.example.com ESMTP Postfix' },
        {
          level: 'answer',
          text: expect.stringMatching(/^refuses RCPT to a foreign domain without AUTH: 554 /),
        },
      ]);
    },
  );

  it('Postfix that trusts the network of the gateway: a warning, because it is an open relay from here', async () => {
    await postfix.stop();
    postfix = await startPostfix({
      ...settings(),
      settings: `
mynetworks = 127.0.0.0/8
smtpd_client_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_sender_restrictions =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
default_transport = lmtp:unix:/nowhere
`,
    });
    const findings = await ask('smtp', { port: postfix.submissionPort });
    expect(findings.at(-1)).toEqual({
      level: 'warning',
      text: expect.stringMatching(/^relays to any domain without AUTH from this machine's address/),
    });
  }, 60_000);
});

describe('check --connect at a backend that answers so', () => {
  let backend: ScriptedBackend;
  afterEach(() => backend.close());

  async function asked(leg: Leg, greeting: string, answers: Readonly<Record<string, string>>) {
    backend = await ScriptedBackend.open();
    backend.greeting = greeting;
    backend.answer = (line) => answers[line.split(' ')[leg === 'imap' ? 1 : 0] ?? ''] ?? null;
    return await ask(leg, { port: backend.port });
  }
  const smtp = { EHLO: '250-mx\r\n250 AUTH LOGIN PLAIN\r\n', RSET: '250 2.0.0 Ok\r\n' };

  it('S-49: refuses MAIL without AUTH', async () => {
    const answers = { EHLO: '250-mx\r\n250 AUTH PLAIN\r\n', MAIL: '530 5.7.0 no\r\n' };
    expect(await asked('smtp', '220-mx\r\n220-more\r\n220 ESMTP\r\n', answers)).toEqual([
      { level: 'answer', text: '220-mx' },
      { level: 'answer', text: 'refuses MAIL without AUTH: 530 5.7.0 no' },
    ]);
    expect(backend.received).not.toMatch(/RCPT|DATA|AUTH/);
  });

  it('S-49: takes everything, or does not tell', async () => {
    const open = { ...smtp, MAIL: '250 2.1.0 Ok\r\n', RCPT: '250 2.1.5 Ok\r\n' };
    expect((await asked('smtp', '220 mx\r\n', open)).at(-1)).toMatchObject({ level: 'warning' });
    expect(backend.received).toContain('RCPT TO:<postmaster@example.org>');
    expect(backend.received).not.toMatch(/DATA|AUTH/);
    await backend.close();
    const greylisting = { ...open, RCPT: '450 4.2.0 later\r\n' };
    expect((await asked('smtp', '220 mx\r\n', greylisting)).at(-1)).toEqual({
      level: 'warning',
      text: 'does not tell whether it relays without AUTH: 450 4.2.0 later',
    });
  });

  it('has no PLAIN', async () => {
    const noPlain = { level: 'warning', text: expect.stringContaining('mechanism PLAIN') };
    expect(
      await asked('imap', '* OK ready\r\n', { CAPABILITY: '* CAPABILITY IMAP4rev1 AUTH=NTLM\r\nC OK\r\n' }),
    ).toContainEqual(noPlain);
    await backend.close();
    expect(
      await asked('pop3', '+OK ready\r\n', { CAPA: '+OK\r\nUSER\r\nSASL NTLM\r\n.\r\n' }),
    ).toContainEqual(noPlain);
    await backend.close();
    expect(await asked('pop3', '+OK ready\r\n', { CAPA: '-ERR what\r\n' })).toContainEqual(noPlain);
    await backend.close();
    expect(await asked('smtp', '220 mx\r\n', { EHLO: '250 SIZE\r\n', MAIL: '530 no\r\n' })).toContainEqual(
      noPlain,
    );
  });

  it('is a POP3 server as it should be', async () => {
    expect(await asked('pop3', '+OK ready\r\n', { CAPA: '+OK\r\nSASL PLAIN\r\n.\r\n' })).toEqual([
      { level: 'answer', text: '+OK ready' },
    ]);
  });

  it.each([
    ['imap', '* PREAUTH welcome\r\n'],
    ['imap', '* BYE busy\r\n'],
    ['imap', '220 mx\r\n'],
    ['smtp', '554 no\r\n'],
    ['pop3', '-ERR no\r\n'],
  ] as const)('%s greets with %j', async (leg, greeting) => {
    await expect(asked(leg, greeting, {})).rejects.toMatchObject({
      kind: 'greeting',
      message: expect.stringContaining(`which is no ${leg} greeting`),
    });
  });

  it('S-52: never stops, or never speaks', async () => {
    await expect(asked('smtp', '220-x\r\n'.repeat(20_000), { EHLO: '' })).rejects.toMatchObject({
      kind: 'protocol',
    });
    await backend.close();
    backend = await ScriptedBackend.open();
    backend.greeting = null;
    await expect(ask('imap', { port: backend.port }, 50)).rejects.toMatchObject({ kind: 'timeout' });
    backend.greeting = '* OK bye\r\n';
    backend.answer = (_, socket) => {
      socket.end();
      return null;
    };
    await expect(ask('imap', { port: backend.port })).rejects.toMatchObject({ kind: 'closed' });
  });
});
