import { createHash, randomBytes } from 'node:crypto';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { run } from './program.ts';
import { letOthersPass } from './scratch-folder.ts';
import { startServerProcess } from './server-process.ts';

/** A Dovecot of one's own, ports on 127.0.0.1. */
export interface Dovecot {
  readonly imapsPort: number;
  /** Clear text with STARTTLS offered; logins without TLS are taken from loopback. */
  readonly imapPort: number;
  readonly pop3sPort: number;
  /** As {@link Dovecot.imapPort}, with STLS. */
  readonly pop3Port: number;
  /** Unix socket that verifies SASL for Postfix. */
  readonly saslSocket: string;
  /** Unix socket that takes mail. */
  readonly lmtpSocket: string;
  readonly logFile: string;
  stop(): Promise<void>;
}

export interface DovecotOptions {
  /** An existing folder; everything goes to `dovecot` in it, and mail of an earlier start is found again. */
  readonly folder: string;
  /** Main passwords by address. */
  readonly users: Readonly<Record<string, string>>;
  /** May log in as anybody, by SASL PLAIN with the user as authzid. */
  readonly master: { readonly user: string; readonly password: string };
  readonly certificate: { readonly cert: string; readonly key: string };
  /** For a server that comes back where it was; free ones are chosen otherwise. */
  readonly ports?: Partial<Ports>;
}

interface Ports {
  readonly imaps: number;
  readonly imap: number;
  readonly pop3s: number;
  readonly pop3: number;
}

/** The Unix users the server runs as. */
interface Owners {
  readonly internal: string;
  readonly internalGroup: string;
  readonly login: string;
  readonly mail: { readonly uid: number; readonly gid: number };
}

/** Starts Dovecot as root or as anybody; touches nothing outside the folder. */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const folder = join(options.folder, 'dovecot');
  const mailFolder = join(folder, 'mail');
  await mkdir(mailFolder, { recursive: true });
  // A process id left by one that was killed keeps the next from starting.
  await rm(join(folder, 'run'), { recursive: true, force: true });
  const owners = await findOwners();
  if (process.getuid?.() === 0) {
    await letOthersPass(options.folder);
    await chown(mailFolder, owners.mail.uid, owners.mail.gid);
  }
  const ports: Ports = {
    imaps: options.ports?.imaps ?? (await freePort()),
    imap: options.ports?.imap ?? (await freePort()),
    pop3s: options.ports?.pop3s ?? (await freePort()),
    pop3: options.ports?.pop3 ?? (await freePort()),
  };
  const sockets = { sasl: join(folder, 'sasl'), lmtp: join(folder, 'lmtp') };
  const logFile = join(folder, 'dovecot.log');
  await writeFile(join(folder, 'users'), passwordFile(options.users), { mode: 0o644 });
  await writeFile(join(folder, 'masters'), passwordFile({ [options.master.user]: options.master.password }));
  const settingsFile = join(folder, 'dovecot.conf');
  await writeFile(settingsFile, settings({ folder, mailFolder, owners, ports, sockets, logFile, options }));
  const server = await startServerProcess({
    program: 'dovecot',
    args: ['-F', '-c', settingsFile],
    logFile: join(folder, 'output.log'),
    greetings: [
      { port: ports.imap, greeting: '* OK' },
      { port: ports.imaps, greeting: '' },
      { port: ports.pop3, greeting: '+OK' },
      { port: ports.pop3s, greeting: '' },
    ],
  });
  return {
    imapsPort: ports.imaps,
    imapPort: ports.imap,
    pop3sPort: ports.pop3s,
    pop3Port: ports.pop3,
    saslSocket: sockets.sasl,
    lmtpSocket: sockets.lmtp,
    logFile,
    stop: () => server.stop(),
  };
}

async function findOwners(): Promise<Owners> {
  const self = userInfo();
  if (self.uid !== 0) {
    const internalGroup = (await run('id', ['-g', '-n'])).trim();
    const mail = { uid: self.uid, gid: self.gid };
    return { internal: self.username, internalGroup, login: self.username, mail };
  }
  // Dovecot refuses to open mail as root. `mail` is on every Debian.
  const uid = Number(await run('id', ['-u', 'mail']));
  const gid = Number(await run('id', ['-g', 'mail']));
  return { internal: 'dovecot', internalGroup: 'dovecot', login: 'dovenull', mail: { uid, gid } };
}

function passwordFile(passwords: Readonly<Record<string, string>>): string {
  return Object.entries(passwords)
    .map(([user, password]) => `${user}:${hashed(password)}::::::\n`)
    .join('');
}

function hashed(password: string): string {
  const salt = randomBytes(8);
  const digest = createHash('sha512').update(password).update(salt).digest();
  return `{SSHA512}${Buffer.concat([digest, salt]).toString('base64')}`;
}

function settings(parts: {
  readonly folder: string;
  readonly mailFolder: string;
  readonly owners: Owners;
  readonly ports: Ports;
  readonly sockets: { readonly sasl: string; readonly lmtp: string };
  readonly logFile: string;
  readonly options: DovecotOptions;
}): string {
  const { folder, mailFolder, owners, ports, sockets, options } = parts;
  return `
protocols = imap pop3 lmtp
listen = 127.0.0.1
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${parts.logFile}
auth_verbose = yes
# Else client addresses in a forwarded ID or XCLIENT are ignored.
login_trusted_networks = 127.0.0.0/8
default_internal_user = ${owners.internal}
default_internal_group = ${owners.internalGroup}
default_login_user = ${owners.login}
first_valid_uid = ${owners.mail.uid}
first_valid_gid = ${owners.mail.gid}
default_process_limit = 2000
default_client_limit = 8000
mail_max_userip_connections = 4000

ssl = yes
ssl_cert = <${options.certificate.cert}
ssl_key = <${options.certificate.key}
ssl_min_protocol = TLSv1.2

auth_mechanisms = plain login
auth_failure_delay = 0
passdb {
  driver = passwd-file
  master = yes
  args = ${folder}/masters
  # The user acted for has to be known to the next one.
  result_success = continue
}
passdb {
  driver = passwd-file
  args = username_format=%u ${folder}/users
}
userdb {
  driver = passwd-file
  args = username_format=%u ${folder}/users
  default_fields = uid=${owners.mail.uid} gid=${owners.mail.gid} home=${mailFolder}/%u
}

mail_location = maildir:~/Maildir
protocol imap {
  # COMPRESS=DEFLATE, which clients that have it use.
  mail_plugins = $mail_plugins imap_zlib
}
mail_fsync = never
namespace inbox {
  inbox = yes
  mailbox Drafts {
    auto = subscribe
    special_use = \\Drafts
  }
  mailbox Sent {
    auto = subscribe
    special_use = \\Sent
  }
}

service imap-login {
  chroot =
  service_count = 0
  inet_listener imap {
    port = ${ports.imap}
  }
  inet_listener imaps {
    port = ${ports.imaps}
    ssl = yes
  }
}
service imap {
  process_limit = 2000
}
service pop3-login {
  chroot =
  service_count = 0
  inet_listener pop3 {
    port = ${ports.pop3}
  }
  inet_listener pop3s {
    port = ${ports.pop3s}
    ssl = yes
  }
}
service pop3 {
  process_limit = 2000
}
service lmtp {
  unix_listener ${sockets.lmtp} {
    mode = 0666
  }
}
service auth {
  unix_listener ${sockets.sasl} {
    mode = 0666
  }
}
service anvil {
  chroot =
  # Else every wrong password slows the next login from 127.0.0.1, whoever it is.
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
`;
}
