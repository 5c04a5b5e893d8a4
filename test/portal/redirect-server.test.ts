import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { configSchema } from '../../src/config/schema.ts';
import { type RedirectServer, serveRedirects } from '../../src/portal/redirect-server.ts';
import { documentsConfig } from './client-setup/documents.ts';

const { limits } = configSchema.parse({
  hostname: 'mail.example.com',
  tls: { certificates: [{ cert: 'unused', key: 'unused' }] },
  listen: [{ door: 'imap', port: 993, tls: 'implicit' }],
  portal: { port: 0, public_url: 'https://mail.example.com:8443' },
  backends: {},
  domains: {},
});

describe('the port for those who ask in clear', () => {
  let server: RedirectServer;
  beforeAll(async () => {
    server = await serveRedirects({ ...documentsConfig(), limits }, { host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    await server.close();
  });

  const ask = (path: string, host: string, method = 'GET') =>
    new Promise<{ status: number; location: string | undefined; body: string }>((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port: server.port, path, method, headers: { host } },
        (answer) => {
          let body = '';
          answer.on('data', (part) => {
            body += part;
          });
          answer.on('end', () =>
            resolve({ status: answer.statusCode ?? 0, location: answer.headers.location, body }),
          );
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  const portal = 'https://mail.example.com:8443';

  it.each([
    ['autodiscover.example.com', '/Autodiscover/Autodiscover.xml', '/autodiscover/autodiscover.xml'],
    [
      'autoconfig.example.com',
      '/mail/config-v1.1.xml?emailaddress=anna%40example.com',
      '/mail/config-v1.1.xml?emailaddress=%40example.com',
    ],
    // The domain that the host told goes along.
    ['autoconfig.example.com', '/mail/config-v1.1.xml', '/mail/config-v1.1.xml?emailaddress=%40example.com'],
    [
      'example.com:80',
      '/.well-known/autoconfig/mail/config-v1.1.xml',
      '/mail/config-v1.1.xml?emailaddress=%40example.com',
    ],
    ['autoconfig.example.com', '/mail/config-v1.1.xml?emailaddress=a@evil.example', '/mail/config-v1.1.xml'],
    ['mail.example.com', '/', '/'],
    ['mail.example.com', '/app-passwords?x=y', '/'],
    ['mail.example.com', '//evil.example/', '/'],
  ])('S-62: leads http://%s%s to the portal', async (host, path, place) => {
    expect(await ask(path, host)).toEqual({ status: 302, location: `${portal}${place}`, body: '' });
  });

  it.each(['evil.example', 'autodiscover.evil.example', 'mail.example.com@evil.example'])(
    'S-62: answers nothing for the host %s',
    async (host) => {
      expect(await ask('/autodiscover/autodiscover.xml', host)).toEqual({
        status: 421,
        location: undefined,
        body: '',
      });
    },
  );

  it.each(['POST', 'PUT', 'OPTIONS'])('takes no %s', async (method) => {
    const answer = await ask('/autodiscover/autodiscover.xml', 'autodiscover.example.com', method);
    expect(answer).toEqual({ status: 405, location: undefined, body: '' });
  });
});
