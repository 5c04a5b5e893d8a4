import type { FastifyInstance } from 'fastify';
import { SaxesParser } from 'saxes';
import { configSchema } from '../../../src/config/schema.ts';
import { createHttpServer } from '../../../src/portal/http-server.ts';
import { loadLanguages } from '../../../src/portal/language.ts';
import { mountPublicDocuments } from '../../../src/portal/public-documents.ts';
import { RequestLimit } from '../../../src/portal/request-limit.ts';

export type DocumentsConfig = Parameters<typeof mountPublicDocuments>[1]['config'];

/** Every kind of mail port, two domains, one of them in Latvian letters. */
export function documentsConfig(overrides: Readonly<Record<string, unknown>> = {}): DocumentsConfig {
  const settings = { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' };
  return configSchema.parse({
    hostname: 'mail.example.com',
    tls: { certificates: [{ cert: 'unused', key: 'unused' }] },
    listen: [
      { door: 'imap', port: 143, tls: 'starttls' },
      { door: 'imap', port: 993, tls: 'implicit' },
      { door: 'pop3', port: 995, tls: 'implicit' },
      { door: 'smtp', port: 587, tls: 'starttls' },
      { door: 'smtp', port: 465, tls: 'implicit' },
    ],
    portal: { host: '127.0.0.1', port: 0, public_url: 'https://mail.example.com:8443' },
    backends: {
      office: {
        imap: { host: '127.0.0.1', port: 1, tls: 'none' },
        smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
        pop3: { host: '127.0.0.1', port: 1, tls: 'none' },
        login: { method: 'master', user: 'gateway', password: 'unused' },
      },
    },
    domains: { 'example.com': settings, 'xn--lcis-qsa.lv': settings },
    ...overrides,
  });
}

/** An HTTP server with the public documents and nothing else, not listening. */
export async function openDocuments(
  config: DocumentsConfig = documentsConfig(),
  options: { readonly now?: () => number; readonly perMinute?: number } = {},
): Promise<FastifyInstance> {
  const { now = Date.now, perMinute = 1_000 } = options;
  const app = createHttpServer(null);
  const languages = await loadLanguages({ defaultTag: 'en', timeZone: 'UTC' });
  const limit = new RequestLimit({ now, perMinute });
  await mountPublicDocuments(app, { config, languages, limit, now });
  return app;
}

/** An element as a parser of XML reads it, namespaces resolved. */
export interface Element {
  readonly name: string;
  readonly namespace: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  text: string;
}

/** Throws for what is not well-formed. */
export function parseXml(text: string): Element {
  const open: Element[] = [];
  let root: Element | null = null;
  const parser = new SaxesParser({ xmlns: true });
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('opentag', ({ local, uri, attributes }) => {
    const element: Element = {
      name: local,
      namespace: uri,
      attributes: Object.fromEntries(Object.entries(attributes).map(([name, { value }]) => [name, value])),
      children: [],
      text: '',
    };
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  parser.on('text', (part) => {
    const last = open.at(-1);
    if (last !== undefined) last.text += part;
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.write(text).close();
  if (root === null) throw new Error('an empty document');
  return root;
}

export function childrenOf(element: Element, name: string): readonly Element[] {
  return element.children.filter((child) => child.name === name);
}

/** The text of the only child of that name; throws where there is none or a second one. */
export function textOf(element: Element, name: string): string {
  const found = childrenOf(element, name);
  if (found.length !== 1) throw new Error(`${found.length} elements ${name} in ${element.name}`);
  return found[0]?.text ?? '';
}
