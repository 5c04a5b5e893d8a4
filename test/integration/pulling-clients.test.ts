import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alice, type IssuedAppPassword, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { runMailProgram } from '../support/mail-program.ts';
import { gatewayImap, openBackendMailbox } from '../support/mailbox.ts';
import { until } from '../support/until.ts';

const message = 'Subject: to be pulled\r\n\r\nbody of the message\r\n';
let bed: TestGateway;
let appPassword: IssuedAppPassword;

beforeAll(async () => {
  bed = await startTestGateway();
  appPassword = await bed.issue(alice, { scopes: ['imap', 'pop3'] });
  const imap = await openBackendMailbox(bed, alice);
  await imap.append('INBOX', message);
  await imap.logout();
});
afterAll(() => bed.stop());

/** A folder of the client's own, which also is its home. */
async function homeOf(name: string): Promise<string> {
  const home = join(bed.folder, name);
  await mkdir(home, { mode: 0o700 });
  return home;
}

async function allTexts(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => await readFile(join(entry.parentPath, entry.name), 'utf8'));
  return (await Promise.all(texts)).join('\n');
}

interface Port {
  readonly name: string;
  readonly port: () => number;
  readonly implicit: boolean;
}
const imapPorts: readonly Port[] = [
  { name: 'TLS', port: () => bed.imapPort, implicit: true },
  { name: 'STARTTLS', port: () => bed.imapStartTlsPort, implicit: false },
];
const pop3Ports: readonly Port[] = [
  { name: 'TLS', port: () => bed.pop3Port, implicit: true },
  { name: 'STLS', port: () => bed.pop3StartTlsPort, implicit: false },
];
const bothProtocols = [
  ...imapPorts.map((port) => ({ protocol: 'imap', ...port })),
  ...pop3Ports.map((port) => ({ protocol: 'pop3', ...port })),
];

describe('clients that pull mail through the gateway', () => {
  it.each(imapPorts)('neomutt opens the mailbox and saves a message, $name', async (way) => {
    const home = await homeOf(`neomutt-${way.name}`);
    const saved = join(home, 'saved');
    const rc = join(home, 'neomuttrc');
    const scheme = way.implicit ? 'imaps' : 'imap';
    await writeFile(
      rc,
      `set folder = "${home}"
set imap_user = "${alice}"
set imap_pass = "${appPassword.secret}"
set ssl_force_tls = yes
set ssl_starttls = yes
set certificate_file = "${bed.caFile}"
set ssl_ca_certificates_file = "${bed.caFile}"
set ssl_use_system_certs = no
set mbox_type = mbox
set confirmappend = no
set confirmcreate = no
set resolve = no
set quit = yes
push "<first-entry><copy-message><kill-line>${saved}<enter><quit>"
`,
    );
    // It draws on a terminal, which script gives it.
    const command = `neomutt -n -F ${rc} -f ${scheme}://localhost:${way.port()}/INBOX`;
    await runMailProgram('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      environment: { HOME: home, TERM: 'xterm' },
    });
    expect(await readFile(saved, 'utf8')).toContain('body of the message');
  });

  it.each(bothProtocols)('fetchmail fetches with $protocol over $name', async (way) => {
    const home = await homeOf(`fetchmail-${way.protocol}-${way.name}`);
    const fetched = join(home, 'fetched');
    const rc = join(home, 'fetchmailrc');
    await writeFile(
      rc,
      `poll localhost protocol ${way.protocol} port ${way.port()}
  user "${alice}" password "${appPassword.secret}"
  ${way.implicit ? 'ssl' : 'sslproto "TLS1.2+"'} sslcertck sslcertfile "${bed.caFile}" sslcommonname "localhost"
  fetchall keep
  mda "cat >> ${fetched}"
`,
      { mode: 0o600 },
    );
    const result = await runMailProgram(
      'fetchmail',
      ['--fetchmailrc', rc, '--nodetach', '--pidfile', join(home, 'pid'), '--idfile', join(home, 'ids')],
      { environment: { HOME: home } },
    );
    expect(`${result.stderr}${result.stdout}`).not.toMatch(/authorization|fail|error/i);
    expect(result.code).toBe(0);
    expect(await readFile(fetched, 'utf8')).toContain('body of the message');
  });

  it.each(bothProtocols.filter(({ implicit }) => implicit))('getmail gets with $protocol', async (way) => {
    const home = await homeOf(`getmail-${way.protocol}`);
    for (const name of ['new', 'cur', 'tmp']) {
      await mkdir(join(home, 'inbox', name), { recursive: true });
      // It does not write mail as root, but as somebody whom it is told.
      await chmod(join(home, 'inbox', name), 0o777);
    }
    await chmod(home, 0o755);
    const rc = join(home, 'getmailrc');
    await writeFile(
      rc,
      `[retriever]
type = Simple${way.protocol.toUpperCase()}SSLRetriever
server = localhost
port = ${way.port()}
username = ${alice}
password = ${appPassword.secret}
ca_certs = ${bed.caFile}
[destination]
type = Maildir
path = ${join(home, 'inbox')}/
${process.getuid?.() === 0 ? 'user = nobody' : ''}
[options]
delete = false
read_all = false
`,
      { mode: 0o600 },
    );
    const result = await runMailProgram('getmail', ['--getmaildir', home, '--rcfile', rc], {
      environment: { HOME: home },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(await allTexts(join(home, 'inbox'))).toContain('body of the message');
  });

  it('offlineimap synchronizes both ways', async () => {
    const home = await homeOf('offlineimap');
    const rc = join(home, 'offlineimaprc');
    await writeFile(
      rc,
      `[general]
accounts = office
metadata = ${join(home, 'metadata')}
ui = quiet
[Account office]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = ${join(home, 'mail')}
[Repository far]
type = IMAP
remotehost = localhost
remoteport = ${bed.imapPort}
remoteuser = ${alice}
remotepass = ${appPassword.secret}
ssl = yes
sslcacertfile = ${bed.caFile}
auth_mechanisms = PLAIN
folderfilter = lambda name: name == 'INBOX'
`,
      { mode: 0o600 },
    );
    const run = () =>
      runMailProgram('offlineimap', ['-c', rc, '-o', '-u', 'basic'], { environment: { HOME: home } });
    expect(await run()).toMatchObject({ code: 0 });
    expect(await allTexts(join(home, 'mail'))).toContain('body of the message');
    await writeFile(
      join(home, 'mail', 'INBOX', 'new', '1.1.near:2,'),
      'Subject: pushed by offlineimap\n\nbody\n',
    );
    expect(await run()).toMatchObject({ code: 0 });
    const imap = gatewayImap(bed, alice, appPassword.secret);
    await imap.connect();
    await imap.mailboxOpen('INBOX');
    expect(await imap.search({ subject: 'pushed by offlineimap' })).toHaveLength(1);
    await imap.logout();
  });

  it.each([
    ...imapPorts.map((way) => ({
      ...way,
      protocol: 'imap',
      url: () => `imap${way.implicit ? 's' : ''}://localhost:${way.port()}/INBOX;MAILINDEX=1`,
    })),
    ...pop3Ports.map((way) => ({
      ...way,
      protocol: 'pop3',
      url: () => `pop3${way.implicit ? 's' : ''}://localhost:${way.port()}/1`,
    })),
  ])('curl reads with $protocol over $name', async ({ url }) => {
    const result = await runMailProgram('curl', ['--disable', '--config', '-'], {
      input: `silent\nshow-error\nssl-reqd\ncacert = "${bed.caFile}"\nuser = "${alice}:${appPassword.secret}"\nurl = "${url()}"\n`,
    });
    expect(result.stderr).toBe('');
    expect(result.stdout).toContain('body of the message');
  });

  it('poplib of Python logs in with USER and PASS, with the spaces of the password, and deletes at QUIT', async () => {
    const script = `
import os, poplib, ssl
context = ssl.create_default_context(cafile=os.environ['CA'])
pop = poplib.POP3_SSL('localhost', int(os.environ['PORT']), context=context)
assert 'USER' in pop.capa() and 'STLS' not in pop.capa()
pop.user(os.environ['MAIL_USER'])
pop.pass_(os.environ['MAIL_PASSWORD'])
count = pop.stat()[0]
pop.dele(count)
pop.quit()
clear = poplib.POP3('localhost', int(os.environ['CLEAR_PORT']))
assert 'STLS' in clear.capa() and 'USER' not in clear.capa()
clear.stls(context)
clear.user(os.environ['MAIL_USER'])
clear.pass_(os.environ['MAIL_PASSWORD'])
assert clear.stat()[0] == count - 1
clear.quit()
`;
    const imap = await openBackendMailbox(bed, alice);
    await imap.append('INBOX', 'Subject: to be deleted\r\n\r\nbody\r\n');
    await imap.logout();
    const result = await runMailProgram('python3', ['-c', script], {
      environment: {
        CA: bed.caFile,
        PORT: String(bed.pop3Port),
        CLEAR_PORT: String(bed.pop3StartTlsPort),
        MAIL_USER: alice,
        MAIL_PASSWORD: appPassword.secret.replace(/(.{4})(?=.)/g, '$1 '),
      },
    });
    expect(result).toMatchObject({ code: 0, stderr: '' });
  });
});

it('wire 148: a POP3 client that deletes and vanishes has deleted nothing', async () => {
  const imap = await openBackendMailbox(bed, alice);
  await imap.append('INBOX', 'Subject: to be kept\r\n\r\nbody\r\n');
  const client = await LineClient.connect(bed.pop3Port, bed.ca);
  await client.line();
  client.send(`USER ${alice}`);
  client.send(`PASS ${appPassword.secret}`);
  client.send('DELE 1');
  await client.linesUntil((line) => /deleted/i.test(line));
  client.close();
  await until(() => bed.gateway.parts.registry.size === 0);
  await imap.noop();
  expect(await imap.search({ subject: 'to be kept' })).toHaveLength(1);
  await imap.logout();
});
