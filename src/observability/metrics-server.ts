import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

export interface MetricsServer {
  readonly port: number;
  close(): void;
}

/**
 * `/metrics`, `/livez` (the process answers) and `/readyz` (it takes logins). Up or down is all that health tells.
 * Clear HTTP, on loopback unless the operator says otherwise (S-93).
 */
export async function serveMetrics(
  metrics: Metrics,
  address: { readonly host: string; readonly port: number },
  isReady: () => boolean,
): Promise<MetricsServer> {
  const server = createServer({ maxHeaderSize: 8_192, requestTimeout: 10_000 }, (request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'GET only\n');
    switch (request.url) {
      case '/metrics':
        metrics.registry.metrics().then(
          (text) => answer(200, text, metrics.registry.contentType),
          () => answer(500, 'metrics failed\n'),
        );
        return undefined;
      case '/livez':
        return answer(200, 'up\n');
      case '/readyz':
        return isReady() ? answer(200, 'up\n') : answer(503, 'down\n');
      default:
        return answer(404, 'not found\n');
    }
  });
  server.listen(address.port, address.host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
