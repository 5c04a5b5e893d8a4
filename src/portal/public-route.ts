import type { FastifyRequest } from 'fastify';

const key = 'isPublicDocument';

/** Settings of a route that the guards of the pages do not hold for: it has guards of its own. */
export const publicRoute = { config: { [key]: true } } as const;

/** Says no of every route that does not say so itself, and of unknown addresses. */
export function isPublicRoute(request: FastifyRequest): boolean {
  return (request.routeOptions.config as { readonly [key]?: unknown } | undefined)?.[key] === true;
}
