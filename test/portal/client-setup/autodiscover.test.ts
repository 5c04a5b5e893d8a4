import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FastifyInstance } from 'fastify';
import { securityHeaders } from '../../../src/portal/headers.ts';
import { childrenOf, documentsConfig, type Element, openDocuments, parseXml, textOf } from './documents.ts';

const path = '/autodiscover/autodiscover.xml';
const outer = 'http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006';
const inner = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a';
const asked = 'http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006';

const request = (address: string, schema = inner) =>
  `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="${asked}">
  <Request>
    <EMailAddress>${address}</EMailAddress>
    <AcceptableResponseSchema>${schema}</AcceptableResponseSchema>
  </Request>
</Autodiscover>`;

describe('Autodiscover', () => {
  let app: FastifyInstance;
  beforeAll(async () => {
    app = await openDocuments(undefined, { now: () => Date.UTC(2026, 10, 24, 21, 25, 4) });
  });
  afterAll(async () => {
    await app.close();
  });
  const post = (payload: string | Buffer, headers: Readonly<Record<string, string>> = {}, url = path) =>
    app.inject({
      method: 'POST',
      url,
      payload,
      headers: { host: 'autodiscover.example.com', 'content-type': 'text/xml; charset=utf-8', ...headers },
    });

  it('tells Outlook IMAP, POP3 and SMTP with implicit TLS, in this order', async () => {
    const answer = await post(request('Anna@example.com'));
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      ...securityHeaders,
      'content-type': 'text/xml; charset=utf-8',
      'cache-control': 'no-store',
    });
    expect(protocolsOf(answer.body, 'Anna@example.com')).toEqual([
      { type: 'IMAP', port: '993', ssl: 'on', encryption: null },
      { type: 'POP3', port: '995', ssl: 'on', encryption: null },
      { type: 'SMTP', port: '465', ssl: 'on', encryption: null },
    ]);
  });

  it('calls STARTTLS what Outlook calls it, where there is nothing else', async () => {
    const clear = await openDocuments(
      documentsConfig({
        listen: [
          { door: 'imap', port: 143, tls: 'starttls' },
          { door: 'smtp', port: 587, tls: 'starttls' },
        ],
      }),
    );
    const answer = await clear.inject({
      method: 'POST',
      url: path,
      payload: request('anna@example.com'),
      headers: { host: 'autodiscover.example.com', 'content-type': 'text/xml' },
    });
    expect(protocolsOf(answer.body, 'anna@example.com')).toEqual([
      { type: 'IMAP', port: '143', ssl: 'on', encryption: 'TLS' },
      { type: 'SMTP', port: '587', ssl: 'on', encryption: 'TLS' },
    ]);
    await clear.close();
  });

  it.each<[string, string | Buffer]>([
    ['a byte order mark', `\ufeff${request('anna@example.com')}`],
    ['another namespace', request('anna@example.com').replace(asked, `${asked.replace('http:', 'https:')}`)],
    ['no namespace', request('anna@example.com').replace(` xmlns="${asked}"`, '')],
    [
      'a prefix',
      `<a:Autodiscover xmlns:a="${asked}"><a:Request><a:EMailAddress>anna@example.com</a:EMailAddress></a:Request></a:Autodiscover>`,
    ],
    [
      'another case',
      '<AUTODISCOVER><request><EmailAddress>anna@example.com</EmailAddress></request></AUTODISCOVER>',
    ],
    [
      'comments and unknown elements',
      '<Autodiscover><!-- a --><X/><Request><Y><EMailAddress>no@example.com</EMailAddress></Y><EMailAddress>anna<!-- b -->@example.com</EMailAddress><Z/></Request></Autodiscover>',
    ],
    ['white space', request('\n  anna@example.com\t\n')],
    ['CDATA', request('<![CDATA[anna@example.com]]>')],
    [
      'a legacy name alone',
      '<Autodiscover><Request><LegacyDN>anna@example.com</LegacyDN></Request></Autodiscover>',
    ],
    [
      'a second request, which does not count',
      '<Autodiscover><Request><EMailAddress>anna@example.com</EMailAddress></Request><Request><EMailAddress>b@example.com</EMailAddress></Request></Autodiscover>',
    ],
  ])('understands %s', async (_, body) => {
    protocolsOf((await post(body)).body, 'anna@example.com');
  });

  it.each([
    '/Autodiscover/Autodiscover.xml',
    '/AutoDiscover/AutoDiscover.xml',
    '/AUTODISCOVER/AUTODISCOVER.XML',
  ])('answers at %s', async (url) => {
    const answer = await post(request('anna@example.com'), {}, url);
    protocolsOf(answer.body, 'anna@example.com');
  });

  it.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['no XML', 'EMailAddress=anna@example.com'],
    ['half a document', request('anna@example.com').slice(0, 200)],
    ['no address', '<Autodiscover><Request/></Autodiscover>'],
    ['an empty address', request('')],
    ['an address without a domain', request('anna')],
    ['two addresses', request('anna@example.com b@example.com')],
    ['a line break in the address', request('anna@example.com&#13;&#10;X: y')],
    ['an address that is too long', request(`${'a'.repeat(250)}@example.com`)],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from(request('anna')), Buffer.from([0xc3, 0x28])])],
    ['a document type', request('anna@example.com').replace('?>', '?><!DOCTYPE Autodiscover>')],
    [
      'entities of its own',
      `<!DOCTYPE a [<!ENTITY a "anna@example.com">]><Autodiscover><Request><EMailAddress>&a;</EMailAddress></Request></Autodiscover>`,
    ],
    [
      'an entity bomb',
      `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><Autodiscover><Request><EMailAddress>&c;@example.com</EMailAddress></Request></Autodiscover>`,
    ],
    [
      'a file of the server',
      '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><Autodiscover><Request><EMailAddress>&a;@example.com</EMailAddress></Request></Autodiscover>',
    ],
    ['an unknown entity', request('&anna;@example.com')],
    ['too many levels', `${'<a>'.repeat(1_000)}${'</a>'.repeat(1_000)}`],
  ])('refuses %s as error 600', async (_, body) => {
    const answer = await post(body);
    expect(answer.statusCode).toBe(200);
    expect(errorOf(answer.body)).toMatchObject({ code: '600', time: '21:25:04.0000000' });
    expect(answer.body).not.toContain('root:');
  });

  it('refuses a body over 8 KiB unread', async () => {
    const padding = (bytes: number) =>
      request('anna@example.com').replace('</Request>', `${' '.repeat(bytes)}</Request>`);
    protocolsOf((await post(padding(7_500))).body, 'anna@example.com');
    const answer = await post(padding(8_192));
    expect(answer.statusCode).toBe(413);
    expect(answer.body).toBe('');
  });

  it.each(['GET', 'HEAD'] as const)('answers %s as an invalid request, and with 200', async (method) => {
    const answer = await app.inject({ method, url: path, headers: { host: 'autodiscover.example.com' } });
    expect(answer.statusCode).toBe(200);
    if (method === 'GET') expect(errorOf(answer.body).code).toBe('600');
  });

  it('does not know ActiveSync', async () => {
    const schema = 'http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006';
    const answer = await post(request('anna@example.com', schema));
    expect(answer.statusCode).toBe(200);
    expect(errorOf(answer.body).code).toBe('601');
  });

  it('does not know the domains of others', async () => {
    const answer = await post(request('anna@elsewhere.example'));
    expect(answer.statusCode).toBe(200);
    expect(errorOf(answer.body).code).toBe('500');
  });

  it('numbers each error by chance', async () => {
    const ids = await Promise.all([1, 2, 3].map(async () => errorOf((await post('')).body).id));
    expect(new Set(ids).size).toBe(3);
  });

  it('is the same for people who exist and who do not', async () => {
    const [one, other] = await Promise.all([
      post(request('alice@example.com'), { authorization: 'Basic YWxpY2U6c2VjcmV0' }),
      post(request('nobody@example.com')),
    ]);
    expect(one.body.replaceAll('alice', 'nobody')).toBe(other.body);
  });

  it('escapes what it repeats', async () => {
    const answer = await post(request("o'neill&amp;sons@example.com"));
    protocolsOf(answer.body, "o'neill&sons@example.com");
  });

  it.each([
    ['application/x-www-form-urlencoded', 200],
    ['application/soap+xml', 415],
    ['application/json', 415],
    ['text/plain', 415],
  ])('never asks for a password, also not after %s', async (type, status) => {
    const answer = await post('a=b', { 'content-type': type });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
  });

  it('has no SOAP', async () => {
    expect((await post('<a/>', {}, '/autodiscover/autodiscover.svc')).statusCode).toBe(404);
  });

  it('S-62: refuses foreign hosts', async () => {
    const answer = await post(request('anna@example.com'), { host: 'autodiscover.elsewhere.example' });
    expect(answer.statusCode).toBe(421);
  });

  describe('version 2', () => {
    const get = async (url: string) =>
      await app.inject({ url, headers: { host: 'autodiscover.example.com' } });

    it.each([
      '/autodiscover/autodiscover.json?Email=anna@example.com&Protocol=Autodiscoverv1&RedirectCount=1',
      '/Autodiscover/Autodiscover.json?protocol=AUTODISCOVERV1',
      '/autodiscover/autodiscover.json/v1.0/Anna@example.com?Protocol=autodiscoverv1',
    ])('S-62: says at %s where version 1 is, by the public URL', async (url) => {
      const answer = await get(url);
      expect(answer.statusCode).toBe(200);
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(answer.json()).toEqual({
        Protocol: 'AutodiscoverV1',
        Url: 'https://mail.example.com:8443/autodiscover/autodiscover.xml',
      });
    });

    it.each([
      ['ActiveSync', 'ActiveSync'],
      ['EWS', 'EWS'],
      ['%3Cscript%3E', 'script'],
      [`${'x'.repeat(100)}`, 'x'.repeat(32)],
      ['a&Protocol=b', ''],
    ])('knows no protocol %s', async (given, said) => {
      const answer = await get(`/autodiscover/autodiscover.json?Protocol=${given}`);
      expect(answer.statusCode).toBe(400);
      expect(answer.json()).toEqual({
        ErrorCode: 'InvalidProtocol',
        ErrorMessage: `The given protocol value '${said}' is invalid. Supported values are 'AutodiscoverV1'`,
      });
    });
  });
});

/** Holds the answer against Microsoft's schema; answers its protocols. */
function protocolsOf(body: string, address: string) {
  const root = parseXml(body);
  expect(root).toMatchObject({ name: 'Autodiscover', namespace: outer });
  expect(root.children.map(({ name, namespace }) => [name, namespace])).toEqual([['Response', inner]]);
  const [response] = root.children as [Element];
  expect(response.children.map(({ name }) => name)).toEqual(['User', 'Account']);
  const [user, account] = response.children as [Element, Element];
  expect(textOf(user, 'DisplayName')).toBe(address);
  expect(textOf(account, 'AccountType')).toBe('email');
  expect(textOf(account, 'Action')).toBe('settings');
  return childrenOf(account, 'Protocol').map((protocol) => {
    const type = textOf(protocol, 'Type');
    const encryption = childrenOf(protocol, 'Encryption')[0]?.text ?? null;
    expect(protocol.children.map(({ name }) => name)).toEqual([
      ...['Type', 'Server', 'Port', 'DomainRequired', 'LoginName', 'SPA', 'SSL'],
      ...(encryption === null ? [] : ['Encryption']),
      'AuthRequired',
      ...(type === 'SMTP' ? ['UsePOPAuth', 'SMTPLast'] : []),
    ]);
    expect(textOf(protocol, 'Server')).toBe('mail.example.com');
    expect(textOf(protocol, 'LoginName')).toBe(address);
    expect(textOf(protocol, 'SPA')).toBe('off');
    expect(textOf(protocol, 'DomainRequired')).toBe('off');
    expect(textOf(protocol, 'AuthRequired')).toBe('on');
    return { type, port: textOf(protocol, 'Port'), ssl: textOf(protocol, 'SSL'), encryption };
  });
}

function errorOf(body: string) {
  const root = parseXml(body);
  expect(root).toMatchObject({ name: 'Autodiscover', namespace: outer });
  const [response] = root.children as [Element];
  const [error] = response.children as [Element];
  expect(error.name).toBe('Error');
  const { Time, Id } = error.attributes;
  expect(Id).toMatch(/^\d{10}$/);
  return { code: textOf(error, 'ErrorCode'), time: Time, id: Id };
}
