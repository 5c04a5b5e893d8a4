import { chmod, chown, mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { run } from './program.ts';
import { ScratchError } from './scratch-error.ts';
import { letOthersPass } from './scratch-folder.ts';
import { startServerProcess } from './server-process.ts';

/** A Postfix of one's own that takes submissions on 127.0.0.1. */
export interface Postfix {
  /** Implicit TLS. */
  readonly smtpsPort: number;
  /** Clear text with STARTTLS offered; AUTH is taken without TLS. */
  readonly submissionPort: number;
  readonly logFile: string;
  stop(): Promise<void>;
}

export interface PostfixOptions {
  /** An existing folder; everything goes to `postfix` in it. */
  readonly folder: string;
  /** Who gets mail. Anybody else is refused at RCPT, so that nothing ever leaves the machine. */
  readonly users: readonly string[];
  /** Verifies SASL and takes the mail. */
  readonly dovecot: { readonly saslSocket: string; readonly lmtpSocket: string };
  readonly certificate: { readonly cert: string; readonly key: string };
  /** For a server that comes back where it was; free ones are chosen otherwise. */
  readonly ports?: { readonly smtps: number; readonly submission: number };
  /** Lines behind those of main.cf, the later ones count. */
  readonly settings?: string;
}

/** Starts Postfix beside any that the machine already runs; its programs insist on being started by root. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  if (process.getuid?.() !== 0) throw new ScratchError('Postfix can only be started by root; use sudo');
  const folder = join(options.folder, 'postfix');
  const logFile = join(folder, 'postfix.log');
  await letOthersPass(options.folder);
  await makeFolders(folder);
  const programs = (await run('postconf', ['-d', '-h', 'daemon_directory'])).trim();
  const ports = options.ports ?? { smtps: await freePort(), submission: await freePort() };
  await writeSettings(
    join(folder, 'etc', 'main.cf'),
    `${mainSettings(folder, programs, logFile, options)}${options.settings ?? ''}`,
  );
  await writeSettings(join(folder, 'etc', 'master.cf'), services(ports));
  const server = await startServerProcess({
    program: join(programs, 'master'),
    args: ['-c', join(folder, 'etc')],
    logFile: join(folder, 'output.log'),
    greetings: [
      { port: ports.submission, greeting: '220 ' },
      { port: ports.smtps, greeting: '' },
    ],
  });
  return {
    smtpsPort: ports.smtps,
    submissionPort: ports.submission,
    logFile,
    stop: () => server.stop(),
  };
}

async function writeSettings(file: string, text: string): Promise<void> {
  await writeFile(file, text);
  // Postfix waits until a file it reads is more than a second old, lest somebody is still writing it.
  const past = new Date(Date.now() - 10_000);
  await utimes(file, past, past);
}

/** What `postfix start` makes, without its look into the system's own configuration. */
async function makeFolders(folder: string): Promise<void> {
  const owner = Number(await run('id', ['-u', 'postfix']));
  const group = Number(await run('id', ['-g', 'postfix']));
  const dropGroup = Number((await run('getent', ['group', 'postdrop'])).split(':')[2]);
  const make = async (name: string, mode: number, uid: number, gid: number): Promise<void> => {
    const path = join(folder, name);
    await mkdir(path, { recursive: true });
    await chown(path, uid, gid);
    await chmod(path, mode);
  };
  await make('', 0o755, 0, 0);
  await make('etc', 0o755, 0, 0);
  await make('data', 0o700, owner, group);
  await make('queue', 0o755, 0, 0);
  await make('queue/pid', 0o755, 0, 0);
  for (const name of [
    'active',
    'bounce',
    'corrupt',
    'defer',
    'deferred',
    'flush',
    'hold',
    'incoming',
    'private',
  ]) {
    await make(join('queue', name), 0o700, owner, 0);
  }
  await make('queue/saved', 0o700, owner, 0);
  await make('queue/trace', 0o700, owner, 0);
  await make('queue/public', 0o710, owner, dropGroup);
  await make('queue/maildrop', 0o730, owner, dropGroup);
}

function mainSettings(folder: string, programs: string, logFile: string, options: PostfixOptions): string {
  const domains = [...new Set(options.users.map((user) => user.slice(user.lastIndexOf('@') + 1)))];
  return `
compatibility_level = 3.6
daemon_directory = ${programs}
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${logFile}
maillog_file_prefixes = ${folder}
myhostname = backend.example.com
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
biff = no

mydestination =
local_recipient_maps =
alias_maps =
alias_database =
default_transport = error:5.1.2 no mail leaves this server
virtual_mailbox_domains = ${domains.join(' ')}
virtual_mailbox_maps = inline:{ ${options.users.map((user) => `{ ${user} = ok }`).join(', ')} }
virtual_transport = lmtp:unix:${options.dovecot.lmtpSocket}

message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
queue_minfree = 0

smtpd_tls_security_level = may
smtpd_tls_chain_files = ${options.certificate.key}, ${options.certificate.cert}
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = ${options.dovecot.saslSocket}
smtpd_sasl_security_options = noanonymous
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_sender_login_maps = inline:{ ${options.users.map((user) => `{ ${user} = ${user} }`).join(', ')} }
smtpd_sender_restrictions = reject_sender_login_mismatch
smtpd_relay_restrictions = reject_unauth_destination
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_client_connection_count_limit = 0
default_process_limit = 200
`;
}

function services(ports: { readonly smtps: number; readonly submission: number }): string {
  return `
127.0.0.1:${ports.submission} inet n - n - - smtpd
127.0.0.1:${ports.smtps} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`;
}
