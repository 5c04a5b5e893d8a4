import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/demo/program.ts';
import { letOthersPass } from '../../src/demo/scratch-folder.ts';
import { openFilesLimit } from '../accounting.ts';
import { hotCount, userName } from '../credentials.ts';
import { Server } from '../processes.ts';
import { type Peer, type PeerPorts, peerPassword } from './peer.ts';
import type { Bed } from './target.ts';

/**
 * Dovecot as a login proxy that logs in to the backend as master user: one login process, no delay after failures, no
 * penalty. It answers failed logins in batches twice a second, so it takes hundreds of connections to keep it busy with them.
 */
export const dovecot: Peer = {
  name: 'dovecot',
  atOnceRefused: 800,
  isSlowCopier: true,
  start: (bed, ports) => start(bed, ports, 'SSHA256'),
};

/** The same with the hash that it recommends: 64 MiB, 3 passes. */
export const dovecotArgon2id: Peer = {
  name: 'dovecot-argon2id',
  atOnce: 8,
  isSlowCopier: true,
  start: (bed, ports) => start(bed, ports, 'ARGON2ID'),
};

async function start(bed: Bed, ports: PeerPorts, scheme: string): Promise<{ servers: readonly Server[] }> {
  const folder = join(bed.folder, 'dovecot');
  await mkdir(folder, { recursive: true });
  await rm(join(folder, 'run'), { recursive: true, force: true });
  await letOthersPass(bed.folder);
  const hash = (await run('doveadm', ['pw', '-s', scheme, '-p', peerPassword])).trim();
  const services = { imap: bed.backend.imap, submission: bed.backend.smtp };
  for (const [service, port] of Object.entries(services)) {
    await writeFile(join(folder, `users.${service}`), users(bed, hash, port));
  }
  const file = join(folder, 'dovecot.conf');
  await writeFile(file, settings(bed, ports, folder));
  const server = new Server('dovecot', 'target', ['dovecot', '-F', '-c', file], {
    logFile: join(folder, 'output.log'),
  });
  return { servers: [server] };
}

function users({ backend, coldUsers }: Bed, hash: string, port: number): string {
  const { user, password } = backend.master;
  const proxy = `proxy=y host=127.0.0.1 port=${port} master=${user} pass=${password}`;
  const lines = Array.from(
    { length: hotCount + coldUsers },
    (_, index) => `${userName(index)}:${hash}::::::${proxy}\n`,
  );
  return lines.join('');
}

function settings({ certificates }: Bed, { imaps, smtps }: PeerPorts, folder: string): string {
  const clients = openFilesLimit() - 100;
  const login = (name: string, clear: string, secure: string, port: number) => `
service ${name} {
  service_count = 0
  process_min_avail = 1
  process_limit = 1
  client_limit = ${clients}
  inet_listener ${clear} {
    port = 0
  }
  inet_listener ${secure} {
    port = ${port}
    ssl = yes
  }
}`;
  return `
protocols = imap submission
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/dovecot.log
info_log_path = /dev/null
listen = 127.0.0.1
hostname = proxy.bench.example
ssl = yes
ssl_cert = <${certificates.certFile}
ssl_key = <${certificates.keyFile}
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain login
auth_failure_delay = 0
auth_cache_size = 16M
auth_cache_ttl = 1 hour
default_vsz_limit = 0
default_client_limit = ${clients}
default_process_limit = 20000
passdb {
  driver = passwd-file
  args = ${folder}/users.%s
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service anvil {
  client_limit = 60000
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  client_limit = 40000
}
service stats {
  client_limit = 40000
}
${login('imap-login', 'imap', 'imaps', imaps)}
${login('submission-login', 'submission', 'submissions', smtps)}
`;
}
