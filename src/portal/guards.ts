import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/schema.ts';
import { networkOf } from '../credentials/network.ts';
import type { Peer } from '../identity/sign-in/imap.ts';
import { isApiRequest } from './api/api-request.ts';
import { securityHeaders } from './headers.ts';
import { isPublicRoute } from './public-route.ts';
import {
  isFormContent,
  isFromElsewhere,
  isJsonContent,
  isOwnOrigin,
  isPublicHost,
} from './request-checks.ts';
import type { RequestLimit } from './request-limit.ts';

/** Why a request is refused before a route sees it. */
export type Refusal =
  | { readonly kind: 'wrong-host' | 'unavailable' | 'foreign-origin' | 'wrong-type' }
  | { readonly kind: 'throttled'; readonly until: number };

/** What every request passes before a route sees it, unknown addresses included. */
export function guardRequests(
  app: FastifyInstance,
  parts: {
    readonly config: Config;
    readonly limit: RequestLimit;
    readonly isReady: () => boolean;
    /** Answers it, as the page or the API that was asked for does. */
    readonly refuse: (request: FastifyRequest, reply: FastifyReply, refusal: Refusal) => FastifyReply;
  },
): void {
  const { config, limit, isReady, refuse } = parts;
  const { publicUrl } = config.portal;
  app.addHook('onRequest', async (request, reply) => {
    if (isPublicRoute(request)) return;
    reply.headers({ ...securityHeaders });
    const isApi = isApiRequest(request);
    if (!isPublicHost(request.headers, publicUrl)) return refuse(request, reply, { kind: 'wrong-host' });
    // Assets cost nothing and are kept by browsers; a page of its own needs several.
    const { network } = peerOf(request, config);
    const isAsset = request.routeOptions.url?.startsWith('/assets/') === true;
    const until = network === null || isAsset ? null : limit.blockedUntil(network);
    if (until !== null) return refuse(request, reply, { kind: 'throttled', until });
    if (!isReady()) return refuse(request, reply, { kind: 'unavailable' });
    // Looking at an account is an entry in the audit trail: no other site's page makes an administrator's browser look.
    if (isApi && isFromElsewhere(request.headers)) return refuse(request, reply, { kind: 'foreign-origin' });
    if (request.method === 'GET' || request.method === 'HEAD') return;
    if (!isOwnOrigin(request.headers, publicUrl)) return refuse(request, reply, { kind: 'foreign-origin' });
    // S-63: JSON for the API and forms for the pages, neither for the other.
    const isRightType = isApi ? isJsonContent(request.headers) : isFormContent(request.headers);
    if (!isRightType) return refuse(request, reply, { kind: 'wrong-type' });
  });
}

export function peerOf(request: FastifyRequest, config: Pick<Config, 'portal'>): Peer {
  const address = request.socket.remoteAddress ?? '';
  // Behind a web proxy every request has the proxy's address, which limits nobody but everybody.
  return { address, network: config.portal.tls === 'none' ? null : networkOf(address) };
}
