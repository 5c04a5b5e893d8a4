import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../src/demo/free-port.ts';
import { openFilesLimit } from '../accounting.ts';
import { Server } from '../processes.ts';
import type { Peer } from './peer.ts';

/**
 * nginx's mail proxy, one worker. It verifies no password: it asks a second nginx, on the other core, that says yes to all
 * but the wrong one. Its client sockets wait on Nagle's algorithm, so it takes more connections to keep it busy.
 */
export const nginx: Peer = {
  name: 'nginx',
  atOnce: 160,
  async start(bed, ports) {
    const auth = await freePort();
    const parts = { ...bed, ...ports, auth };
    return {
      servers: [await launch('nginx', 'target', bed.folder, proxy(parts))],
      beside: [await launch('nginx-auth', 'load', bed.folder, responder(parts))],
    };
  },
};

type Parts = Parameters<Peer['start']>[0] & Parameters<Peer['start']>[1] & { readonly auth: number };

async function launch(
  name: string,
  core: 'target' | 'load',
  folder: string,
  settings: string,
): Promise<Server> {
  const file = join(folder, `${name}.conf`);
  await writeFile(file, settings);
  return new Server(name, core, ['nginx', '-p', folder, '-c', file], {
    logFile: join(folder, `${name}.log`),
  });
}

function proxy({ folder, certificates, imaps, smtps, auth }: Parts): string {
  const files = openFilesLimit();
  return `
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile ${files};
pid ${folder}/nginx.pid;
error_log ${folder}/nginx-error.log error;
events { worker_connections ${files - 100}; }
mail {
  auth_http 127.0.0.1:${auth}/auth;
  proxy_pass_error_message on;
  proxy_timeout 1h;
  ssl_certificate ${certificates.certFile};
  ssl_certificate_key ${certificates.keyFile};
  ssl_protocols TLSv1.2 TLSv1.3;
  imap_capabilities "IMAP4rev1" "UIDPLUS" "IDLE" "SASL-IR";
  imap_auth plain login;
  smtp_capabilities "SIZE 104857600" "8BITMIME" "PIPELINING";
  smtp_auth plain login;
  server { listen 127.0.0.1:${imaps} ssl backlog=4096; protocol imap; }
  server { listen 127.0.0.1:${smtps} ssl backlog=4096; protocol smtp; proxy_smtp_auth on; xclient off; }
}
`;
}

function responder({ folder, backend, auth }: Parts): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  return `
daemon off;
worker_processes 1;
pid ${folder}/nginx-auth.pid;
error_log ${folder}/nginx-auth-error.log error;
events { worker_connections 4000; }
http {
  access_log off;
  ${temporary}
  map $http_auth_pass $answer { default OK; ~wrong "Invalid login"; }
  map $http_auth_protocol $port { imap ${backend.imap}; smtp ${backend.smtp}; }
  server {
    listen 127.0.0.1:${auth} backlog=4096;
    location = /auth {
      add_header Auth-Status $answer;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $port;
      return 200 "";
    }
  }
}
`;
}
