import type { FastifyRequest } from 'fastify';

/** Where the API is; a change that breaks somebody's program gets another one. */
export const apiBase = '/api/v1';

const key = 'isApi';

/** Settings of a route that takes and answers JSON. */
export const apiRouteSettings = { config: { [key]: true } } as const;

/**
 * Whether a request is one to the API: by the route that was found, never by the spelling of the path, which a router takes in
 * more than one (`/%61pi`). Where no route was found it only decides how that is said.
 */
export function isApiRequest(request: FastifyRequest): boolean {
  const { url, config } = request.routeOptions;
  if (url === undefined) return request.url.startsWith('/api/');
  return (config as { readonly [key]?: unknown } | undefined)?.[key] === true;
}
