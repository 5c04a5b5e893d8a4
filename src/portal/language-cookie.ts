import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Language, Languages } from './language.ts';

const name = '__Host-sp-language';
const yearSeconds = 365 * 86_400;

/** The language a request is answered in: the person's choice, else the browser's, else the default. */
export function languageReader(languages: Languages): (request: FastifyRequest) => Language {
  return ({ headers, cookies }) =>
    // Hooks before the cookie parser, and requests it never saw, have none.
    languages.choose((cookies as typeof cookies | undefined)?.[name], headers['accept-language']);
}

export function showLanguage(reply: FastifyReply, tag: string): void {
  reply.setCookie(name, tag, {
    path: '/',
    secure: true,
    httpOnly: true,
    sameSite: 'lax',
    maxAge: yearSeconds,
  });
}
