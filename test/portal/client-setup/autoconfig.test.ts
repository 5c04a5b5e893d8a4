import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { securityHeaders } from '../../../src/portal/headers.ts';
import { childrenOf, documentsConfig, type Element, openDocuments, parseXml, textOf } from './documents.ts';

const path = '/mail/config-v1.1.xml';
const wellKnown = '/.well-known/autoconfig/mail/config-v1.1.xml';
const ours = 'mail.example.com:8443';

describe('autoconfig', () => {
  let app: FastifyInstance;
  beforeAll(async () => {
    app = await openDocuments();
  });
  afterAll(async () => {
    await app.close();
  });
  const get = (url: string, host: string = ours, headers: Readonly<Record<string, string>> = {}) =>
    app.inject({ method: 'GET', url, headers: { host, ...headers } });

  it.each([path, wellKnown])('is what every domain of the configuration gets at %s', async (url) => {
    const answer = await get(`${url}?emailaddress=anna@example.com`);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      ...securityHeaders,
      'content-type': 'text/xml; charset=utf-8',
      'cache-control': 'public, max-age=3600',
      'x-content-type-options': 'nosniff',
    });
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(answer.body.codePointAt(0)).toBe('<'.codePointAt(0));
    expect(emailProviderOf(answer.body, 'example.com')).toEqual([
      { type: 'imap', port: '993', socketType: 'SSL' },
      { type: 'imap', port: '143', socketType: 'STARTTLS' },
      { type: 'pop3', port: '995', socketType: 'SSL' },
      { type: 'smtp', port: '465', socketType: 'SSL' },
      { type: 'smtp', port: '587', socketType: 'STARTTLS' },
    ]);
  });

  it.each([
    'emailaddress=anna+tag@example.com',
    'emailaddress=anna%2Btag%40example.com',
    'emailaddress=ANNA%40EXAMPLE.COM',
    'emailaddress=%22a%40b%22%40example.com',
    'emailaddress=%40example.com',
    'emailaddress=example.com',
  ])('understands ?%s', async (query) => {
    const answer = await get(`${path}?${query}`);
    expect(answer.statusCode).toBe(200);
    expect(parseXml(answer.body).children[0]?.attributes).toEqual({ id: 'example.com' });
  });

  it.each(['anna@lācis.lv', 'anna@LĀCIS.LV', 'anna@xn--lcis-qsa.lv', 'anna@lācis。lv'])(
    'knows the domain of %s',
    async (address) => {
      const answer = await get(`${path}?emailaddress=${encodeURIComponent(address)}`);
      emailProviderOf(answer.body, 'xn--lcis-qsa.lv');
    },
  );

  it.each([
    ['autoconfig.example.com', 'example.com'],
    ['AUTOCONFIG.Example.COM:443', 'example.com'],
    ['example.com', 'example.com'],
    ['example.com:8443', 'example.com'],
    ['autoconfig.xn--lcis-qsa.lv', 'xn--lcis-qsa.lv'],
  ])('takes the domain from the host %s where no address is given', async (host, domain) => {
    const answer = await get(path, host);
    expect(answer.statusCode).toBe(200);
    emailProviderOf(answer.body, domain);
  });

  it('answers a program that knows the MX only, and asks under a name before the host', async () => {
    const answer = await get(`${path}?emailaddress=anna@example.com`, 'autoconfig.example.com');
    expect(answer.statusCode).toBe(200);
    const config = documentsConfig({ hostname: 'mx.hoster.example' });
    const hoster = await openDocuments(config);
    const asked = await hoster.inject({
      url: `${path}?emailaddress=anna@example.com`,
      headers: { host: 'autoconfig.hoster.example' },
    });
    expect(asked.statusCode).toBe(200);
    await hoster.close();
  });

  it.each([
    `${path}?emailaddress=anna@elsewhere.example`,
    `${path}?emailaddress=`,
    `${path}?emailaddress=a@example.com&emailaddress=b@example.com`,
    `${path}?emailaddress=anna@__proto__`,
    `${path}?emailaddress=anna@example.com.`,
    `${path}?emailaddress=${'a'.repeat(600)}@example.com`,
    path,
    '/.well-known/autoconfig/mail/config-v1.2.xml',
  ])('has nothing at %s', async (url) => {
    const answer = await get(url);
    expect(answer.statusCode).toBe(404);
    expect(answer.body).toBe('');
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it.each(['elsewhere.example', 'autoconfig.elsewhere.example', '', 'example.com.', '[::1]', 'a b'])(
    'S-62: refuses the host %p, and echoes none',
    async (host) => {
      const answer = await get(`${path}?emailaddress=anna@example.com`, host);
      expect(answer.statusCode).toBe(421);
      expect(answer.body).toBe('');
      expect(JSON.stringify(answer.headers)).not.toContain('elsewhere');
    },
  );

  it('S-62: says the same under every host and with every forwarded header', async () => {
    const plain = await get(`${path}?emailaddress=anna@example.com`);
    const spoofed = await get(`${path}?emailaddress=anna@example.com`, 'autoconfig.example.com', {
      'x-forwarded-host': 'evil.example',
      forwarded: 'host=evil.example;proto=http',
    });
    expect(spoofed.body).toBe(plain.body);
    expect(plain.body).toContain('https://mail.example.com:8443/help');
  });

  it('is the same for people who exist and who do not, whatever they send along', async () => {
    const [one, other] = await Promise.all([
      get(`${path}?emailaddress=anna@example.com`, ours, {
        authorization: 'Basic YTpi',
        cookie: '__Host-sp=x',
      }),
      get(`${path}?emailaddress=nobody-${'x'.repeat(40)}@example.com`),
    ]);
    expect(one.rawPayload.equals(other.rawPayload)).toBe(true);
    expect({ ...one.headers, date: '' }).toEqual({ ...other.headers, date: '' });
  });

  it('answers HEAD with the headers alone', async () => {
    const url = `${path}?emailaddress=anna@example.com`;
    const [head, full] = await Promise.all([
      app.inject({ method: 'HEAD', url, headers: { host: ours } }),
      get(url),
    ]);
    expect(head.statusCode).toBe(200);
    expect(head.body).toBe('');
    expect(head.headers['content-type']).toBe('text/xml; charset=utf-8');
    expect(head.headers['content-length']).toBe(full.headers['content-length']);
  });

  it.each(['POST', 'PUT', 'DELETE'] as const)(
    'never asks a program for a password, also not after %s',
    async (method) => {
      const { statusCode } = await app.inject({ method, url: wellKnown, headers: { host: ours } });
      expect(statusCode).toBe(404);
    },
  );

  it('has none where IMAP or SMTP is not offered', async () => {
    const config = documentsConfig({ listen: [{ door: 'smtp', port: 465, tls: 'implicit' }] });
    const sending = await openDocuments(config);
    const answer = await sending.inject({
      url: `${path}?emailaddress=anna@example.com`,
      headers: { host: ours },
    });
    expect(answer.statusCode).toBe(404);
    await sending.close();
  });

  it('leaves out old encryption, puts direct ports first, and says what the operator says', async () => {
    const listen = [
      { door: 'imap', port: 2993, tls: 'implicit', legacy_tls: true },
      { door: 'imap', port: 1993, tls: 'implicit', proxy_protocol_from: ['10.0.0.5'] },
      { door: 'imap', port: 993, tls: 'implicit' },
      { door: 'smtp', port: 1465, tls: 'implicit', proxy_protocol_from: ['10.0.0.5'] },
    ];
    const read = async (overrides: Readonly<Record<string, unknown>>) => {
      const one = await openDocuments(documentsConfig({ listen, ...overrides }));
      const { body } = await one.inject({
        url: `${path}?emailaddress=anna@example.com`,
        headers: { host: ours },
      });
      await one.close();
      return body;
    };
    expect(emailProviderOf(await read({}), 'example.com').map(({ port }) => port)).toEqual(['993', '1465']);
    const told = await read({
      client_setup: {
        host: 'imap.example.com',
        services: [
          { door: 'smtp', port: 465, tls: 'implicit' },
          { door: 'imap', port: 993, tls: 'implicit' },
        ],
      },
    });
    expect(told).toContain('<hostname>imap.example.com</hostname>');
    expect(told).not.toContain('1465');
  });

  it('counts requests by network, and says until when', async () => {
    let at = 90_000;
    const limited = await openDocuments(documentsConfig(), { now: () => at, perMinute: 2 });
    const ask = async () =>
      await limited.inject({ url: `${path}?emailaddress=a@example.com`, headers: { host: ours } });
    expect((await ask()).statusCode).toBe(200);
    expect((await ask()).statusCode).toBe(200);
    const refused = await ask();
    expect(refused.statusCode).toBe(429);
    expect(refused.headers['retry-after']).toBe('30');
    at = 120_000;
    expect((await ask()).statusCode).toBe(200);
    await limited.close();
  });
});

/** Holds the document against Mozilla's grammar; answers its servers. */
function emailProviderOf(body: string, domain: string) {
  const root = parseXml(body);
  expect(root).toMatchObject({ name: 'clientConfig', namespace: '', attributes: { version: '1.1' } });
  expect(root.children.map(({ name }) => name)).toEqual(['emailProvider']);
  const [provider] = root.children as [Element];
  expect(provider.attributes).toEqual({ id: domain });
  expect(provider.children.map(({ name }) => name).join(' ')).toMatch(
    /^domain displayName displayShortName(?: incomingServer)+(?: outgoingServer)+ documentation$/,
  );
  expect(textOf(provider, 'domain')).toBe(domain);
  expect(textOf(provider, 'displayName').length).toBeLessThanOrEqual(60);
  expect(textOf(provider, 'displayShortName').length).toBeLessThanOrEqual(20);
  const [documentation] = childrenOf(provider, 'documentation') as [Element];
  expect(documentation.attributes).toEqual({ url: 'https://mail.example.com:8443/help' });
  expect(documentation.children.map(({ name, attributes }) => [name, attributes])).toEqual([
    ['descr', { lang: 'en' }],
    ['descr', { lang: 'lv' }],
  ]);
  const servers = provider.children.filter(({ name }) => name.endsWith('Server'));
  return servers.map((server) => {
    const type = server.attributes.type ?? '';
    expect(server.attributes).toEqual({ type });
    expect(server.name).toBe(type === 'smtp' ? 'outgoingServer' : 'incomingServer');
    expect(server.children.map(({ name }) => name)).toEqual([
      ...['hostname', 'port', 'socketType', 'authentication', 'username'],
      ...(type === 'pop3' ? ['pop3'] : []),
    ]);
    expect(textOf(server, 'hostname')).toMatch(/^[a-z0-9.-]+$/);
    expect(textOf(server, 'authentication')).toBe('password-cleartext');
    expect(textOf(server, 'username')).toBe('%EMAILADDRESS%');
    return { type, port: textOf(server, 'port'), socketType: textOf(server, 'socketType') };
  });
}
