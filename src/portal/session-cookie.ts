import type { FastifyReply, FastifyRequest } from 'fastify';
import type {
  AnonymousSession,
  FirstFactorSession,
  FullSession,
  PortalSession,
  PortalSessions,
  StartedSession,
  SteppedUpSession,
} from '../identity/portal-session.ts';

// `__Host-` binds a cookie to this host, TLS and the root path: a sibling host can neither read nor plant it.
const fullName = '__Host-sp';
const firstFactorName = '__Host-sp-pre';
const attributes = { path: '/', secure: true, httpOnly: true } as const;

/** The session the request shows; `anonymous` with `ended` where it shows one that is over. */
export async function sessionOf(request: FastifyRequest, sessions: PortalSessions): Promise<PortalSession> {
  const { [fullName]: full, [firstFactorName]: firstFactor } = request.cookies;
  const found =
    (full === undefined ? null : await sessions.find('full', full)) ??
    (firstFactor === undefined ? null : await sessions.find('first-factor', firstFactor));
  return (
    found ?? ({ level: 'anonymous', ended: (full ?? firstFactor) !== undefined } satisfies AnonymousSession)
  );
}

/** Gives the browser a new session and takes every other one from it. */
export function showSession(
  reply: FastifyReply,
  { token, session }: StartedSession<FirstFactorSession | FullSession | SteppedUpSession>,
): void {
  clearSession(reply);
  // Lax on the main one: a return from an identity provider would not carry Strict.
  if (session.level === 'first-factor') {
    reply.setCookie(firstFactorName, token, { ...attributes, sameSite: 'strict' });
  } else {
    reply.setCookie(fullName, token, { ...attributes, sameSite: 'lax' });
  }
}

export function clearSession(reply: FastifyReply): void {
  reply.clearCookie(fullName, { ...attributes, sameSite: 'lax' });
  reply.clearCookie(firstFactorName, { ...attributes, sameSite: 'strict' });
}
