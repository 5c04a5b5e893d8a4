import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../config/schema.ts';
import { askedHost, configuredDomain } from './client-setup/asked-domain.ts';
import { autoconfigDocument } from './client-setup/autoconfig.ts';
import {
  type AutodiscoverError,
  autodiscoverError,
  autodiscoverJson,
  autodiscoverSettings,
} from './client-setup/autodiscover.ts';
import { readAutodiscoverRequest } from './client-setup/autodiscover-request.ts';
import { mailSettings } from './client-setup/mail-settings.ts';
import { peerOf } from './guards.ts';
import { securityHeaders } from './headers.ts';
import type { Languages } from './language.ts';
import { publicRoute } from './public-route.ts';
import type { RequestLimit } from './request-limit.ts';

/** Ten times what Outlook sends. */
const bodyBytes = 8_192;
const xml = 'text/xml; charset=utf-8';

/** Outlook spells its paths in three ways; answers how the routes spell them. Every other path stays as it is. */
export function publicDocumentPath(url: string): string {
  const [, path, rest] = /^(\/autodiscover\/[^?#]*)(.*)$/i.exec(url) ?? [];
  return path === undefined ? url : `${path.toLowerCase()}${rest}`;
}

/**
 * What mail programs look up by themselves: Mozilla's autoconfig and Microsoft's Autodiscover. Everybody may ask, under the
 * name of every domain; no session, cookie or origin is looked at, and never `Authorization`, which Thunderbird sends along.
 * What is answered depends on the domain alone: an address that exists and one that does not get the same.
 *
 * Under none of the guards of the pages (public-route.ts).
 */
export async function mountPublicDocuments(
  app: FastifyInstance,
  parts: {
    readonly config: Pick<Config, 'hostname' | 'listen' | 'clientSetup' | 'portal' | 'domains'>;
    readonly languages: Languages;
    readonly limit: RequestLimit;
    readonly now: () => number;
  },
): Promise<void> {
  const { config, languages, limit, now } = parts;
  const { publicUrl } = config.portal;
  const settings = mailSettings(config);
  const ownHosts = [publicUrl.hostname, settings.host];
  const help = languages.all.map(({ tag, texts }) => ({ language: tag, text: texts.help.autoconfig }));
  const helpUrl = `${publicUrl.origin}/help`;

  const autoconfig = async (request: FastifyRequest, reply: FastifyReply) => {
    const { emailaddress } = request.query as { emailaddress?: unknown };
    const { domains } = config;
    const domain =
      emailaddress === undefined
        ? (askedHost(request.headers.host, domains, ownHosts)?.domain ?? null)
        : configuredDomain(typeof emailaddress === 'string' ? emailaddress : '', domains);
    const document = domain === null ? null : autoconfigDocument({ domain, settings, helpUrl, help });
    if (document === null) return reply.status(404).send();
    return reply.header('cache-control', 'public, max-age=3600').type(xml).send(document);
  };
  const discover = async (request: FastifyRequest, reply: FastifyReply) => {
    const refuse = (code: AutodiscoverError) => reply.type(xml).send(autodiscoverError(code, now()));
    if (!Buffer.isBuffer(request.body)) return refuse(600);
    const asked = readAutodiscoverRequest(request.body);
    switch (asked.kind) {
      case 'invalid':
        return refuse(600);
      case 'other-schema':
        return refuse(601);
      case 'address':
        if (configuredDomain(asked.address, config.domains) === null) return refuse(500);
        return reply.type(xml).send(autodiscoverSettings(asked.address, settings));
      default:
        return asked satisfies never;
    }
  };
  const discoverJson = async (request: FastifyRequest, reply: FastifyReply) => {
    const query = Object.entries(request.query as object);
    const protocol: unknown = query.find(([name]) => name.toLowerCase() === 'protocol')?.[1];
    const { status, body } = autodiscoverJson(typeof protocol === 'string' ? protocol : '', publicUrl.origin);
    return reply.status(status).type('application/json; charset=utf-8').send(JSON.stringify(body));
  };

  await app.register((documents, _options, done) => {
    documents.addContentTypeParser(
      ['text/xml', 'application/xml'],
      { parseAs: 'buffer', bodyLimit: bodyBytes },
      async (_request: FastifyRequest, body: string | Buffer) => body,
    );
    documents.addHook('onRequest', async (request, reply) => {
      reply.headers({ ...securityHeaders });
      if (askedHost(request.headers.host, config.domains, ownHosts) === null) return reply.status(421).send();
      const { network } = peerOf(request, config);
      const until = network === null ? null : limit.blockedUntil(network);
      if (until === null) return;
      return reply
        .status(429)
        .header('retry-after', String(Math.max(1, Math.ceil((until - now()) / 1_000))))
        .send();
    });
    documents.setErrorHandler((error: { readonly statusCode?: number }, _request, reply) =>
      // 401 and 403 make a program ask for a password; nothing here does.
      reply.status(error.statusCode ?? 500).send(),
    );
    for (const url of ['/mail/config-v1.1.xml', '/.well-known/autoconfig/mail/config-v1.1.xml']) {
      documents.route({ ...publicRoute, method: ['GET', 'HEAD'], url, handler: autoconfig });
    }
    documents.route({
      ...publicRoute,
      // GET too: Microsoft's tester asks so, and any status but 200 ends its search.
      method: ['GET', 'HEAD', 'POST'],
      url: '/autodiscover/autodiscover.xml',
      handler: discover,
    });
    for (const url of ['/autodiscover/autodiscover.json', '/autodiscover/autodiscover.json/*']) {
      documents.get(url, publicRoute, discoverJson);
    }
    for (const url of ['/autodiscover/*', '/.well-known/autoconfig/*']) {
      documents.all(url, publicRoute, async (_request, reply) => reply.status(404).send());
    }
    done();
  });
}
