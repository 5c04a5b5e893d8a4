import type { FastifyReply, FastifyRequest } from 'fastify';

// Ties the return from an identity provider to the browser that left for it: else a return made elsewhere would sign
// somebody in as its maker (S-85).
const name = '__Host-sp-oidc';
// Lax: the return comes from another site.
const attributes = { path: '/', secure: true, httpOnly: true, sameSite: 'lax' } as const;
const lifeSeconds = 600;

export function transactionOf(request: FastifyRequest): string | undefined {
  return request.cookies[name];
}

export function showTransaction(reply: FastifyReply, token: string): void {
  reply.setCookie(name, token, { ...attributes, maxAge: lifeSeconds });
}

export function clearTransaction(reply: FastifyReply): void {
  reply.clearCookie(name, attributes);
}
