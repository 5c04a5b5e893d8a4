import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from '../config/schema.ts';
import { askedHost, configuredDomain } from './client-setup/asked-domain.ts';
import { mailSettings } from './client-setup/mail-settings.ts';
import { ConnectionGuard } from './connection-guard.ts';
import { publicDocumentPath } from './public-documents.ts';

const headerBytes = 8_192;
const requestMs = 10_000;

export interface RedirectServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/**
 * Plain HTTP for programs that know no better: every request is answered with the portal's own address, and nothing is served.
 * The answer is made of the configuration; of the request only the domain counts, and only one of ours (S-62).
 */
export async function serveRedirects(
  config: Pick<Config, 'hostname' | 'listen' | 'clientSetup' | 'portal' | 'domains' | 'limits'>,
  at: { readonly host: string; readonly port: number },
): Promise<RedirectServer> {
  const { publicUrl } = config.portal;
  const ownHosts = [publicUrl.hostname, mailSettings(config).host];
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('cache-control', 'no-store');
    // What a client sends is not read.
    response.setHeader('connection', 'close');
    const host = askedHost(request.headers.host, config.domains, ownHosts);
    if (host === null) return void response.writeHead(421).end();
    if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405).end();
    response
      .writeHead(302, { location: `${publicUrl.origin}${placeOf(request, host.domain, config)}` })
      .end();
  };
  const server = createServer(
    { maxHeaderSize: headerBytes, headersTimeout: requestMs, requestTimeout: requestMs, keepAlive: false },
    answer,
  );
  const connections = new ConnectionGuard(server, config.limits.connectionsPerNetwork);
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      connections.end();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Where the portal has what was asked for. The domain goes along, because the host that told it does not. */
function placeOf(
  request: IncomingMessage,
  hostDomain: string | null,
  { domains }: Pick<Config, 'domains'>,
): string {
  const url = URL.parse(publicDocumentPath(request.url ?? '/'), 'http://unused.invalid');
  switch (url?.pathname) {
    case '/autodiscover/autodiscover.xml':
      return url.pathname;
    case '/mail/config-v1.1.xml':
    case '/.well-known/autoconfig/mail/config-v1.1.xml': {
      const asked = url.searchParams.get('emailaddress');
      const domain = asked === null ? hostDomain : configuredDomain(asked, domains);
      return domain === null ? '/mail/config-v1.1.xml' : `/mail/config-v1.1.xml?emailaddress=%40${domain}`;
    }
    default:
      return '/';
  }
}
