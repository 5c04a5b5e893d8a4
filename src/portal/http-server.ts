import { randomBytes } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { TlsOptions } from 'node:tls';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import { securityHeaders } from './headers.ts';
import { publicDocumentPath } from './public-documents.ts';
import { parseForm } from './request-checks.ts';

/** S-63 */
const bodyBytes = 16_384;
/** S-72 */
const headerBytes = 16_384;
const headerMs = 10_000;
const requestMs = 30_000;
const keepAliveMs = 10_000;
const handshakeMs = 15_000;
/** Node looks for late requests only every 30 s otherwise. */
const checkMs = 2_000;
/** For a client to read why its request was no request. */
const farewellMs = 2_000;

/**
 * A Fastify without routes: HTTP/1.1 with the limits, the TLS settings and the one body parser of the portal.
 * Answers what never reaches a route with the same headers (S-64).
 */
export function createHttpServer(tls: TlsOptions | null): FastifyInstance {
  const node = { maxHeaderSize: headerBytes, headersTimeout: headerMs, connectionsCheckingInterval: checkMs };
  const app = fastify({
    ...(tls === null ? { http: node } : { https: { ...node, handshakeTimeout: handshakeMs, ...tls } }),
    bodyLimit: bodyBytes,
    requestTimeout: requestMs,
    connectionTimeout: requestMs,
    keepAliveTimeout: keepAliveMs,
    // Its lines would carry whole addresses; what is worth a line is logged where it happens.
    logger: false,
    exposeHeadRoutes: false,
    rewriteUrl: (request) => publicDocumentPath(request.url ?? '/'),
    genReqId: () => randomBytes(6).toString('hex'),
    // S-62: nobody's forwarded headers are believed.
    trustProxy: false,
    frameworkErrors: (error, _request, reply) => {
      reply.raw.writeHead(error.statusCode ?? 400, { ...securityHeaders }).end();
    },
    clientErrorHandler: (error, socket) => {
      if (!socket.writable) {
        socket.destroy();
        return;
      }
      const status =
        error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
      const headers = Object.entries(securityHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
      const line = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n`;
      socket.end(`${line}${headers.join('')}content-length: 0\r\nconnection: close\r\n\r\n`);
      setTimeout(() => socket.destroy(), farewellMs).unref();
    },
  });
  // Fastify's own parsers also take text/plain and sloppy spellings of JSON (S-63).
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_request: FastifyRequest, body: string | Buffer) => parseForm(body.toString()),
  );
  return app as FastifyInstance;
}
