import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openFilesLimit } from '../accounting.ts';
import { Server } from '../processes.ts';
import type { Peer } from './peer.ts';

/** No peer but the floor: ends TLS and forwards TCP, knows no mail protocol and verifies nothing. */
export const haproxy: Peer = {
  name: 'haproxy',
  async start({ folder, certificates, backend }, { imaps, smtps }) {
    const pem = join(folder, 'haproxy.pem');
    const halves = await Promise.all(
      [certificates.certFile, certificates.keyFile].map((file) => readFile(file)),
    );
    await writeFile(pem, Buffer.concat(halves), { mode: 0o600 });
    const file = join(folder, 'haproxy.cfg');
    await writeFile(
      file,
      `
global
  nbthread 1
  maxconn ${Math.floor(openFilesLimit() / 2) - 200}
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend imaps
  bind 127.0.0.1:${imaps} ssl crt ${pem} backlog 4096
  default_backend imap
backend imap
  server stub 127.0.0.1:${backend.imap}
frontend smtps
  bind 127.0.0.1:${smtps} ssl crt ${pem} backlog 4096
  default_backend smtp
backend smtp
  server stub 127.0.0.1:${backend.smtp}
`,
    );
    const server = new Server('haproxy', 'target', ['haproxy', '-db', '-f', file], {
      logFile: join(folder, 'haproxy.log'),
    });
    return { servers: [server] };
  },
};
