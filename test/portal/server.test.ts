import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import { securityHeaders } from '../../src/portal/headers.ts';
import type { Account } from '../../src/store/schema.ts';
import { type Bed, Browser, enroll, openBed, origin } from './bed.ts';

const form = 'application/x-www-form-urlencoded';

describe('portal server', () => {
  let bed: Bed;
  let alice: Account;

  beforeAll(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    await enroll(bed, alice);
  });
  afterAll(async () => {
    await bed.close();
  });

  const signedIn = async (): Promise<Browser> => {
    const browser = new Browser(bed);
    const first = await bed.sessions.startFirstFactor(alice);
    const full = await bed.sessions.stepUp(first.session);
    if (full === null) throw new Error('the session was gone');
    browser.show(full);
    bed.clock.advance(1_000);
    return browser;
  };

  describe('headers', () => {
    it.each<[string, number, (browser: Browser) => Promise<{ statusCode: number; headers: object }>]>([
      ['a page', 200, (browser) => browser.get('/app-passwords')],
      ['a redirect', 303, (browser) => browser.get('/')],
      ['an unknown page', 404, (browser) => browser.get('/nowhere')],
      ['a malformed path', 400, (browser) => browser.get('/%c0%c0')],
      ['a foreign host', 421, (browser) => browser.get('/', { host: 'elsewhere.example' })],
      [
        'a foreign origin',
        403,
        (browser) => browser.post('/sign-out', {}, { origin: 'https://elsewhere.example' }),
      ],
      [
        'another content type',
        415,
        (browser) => browser.post('/sign-out', {}, { 'content-type': 'text/plain' }),
      ],
      ['a large body', 413, (browser) => browser.post('/sign-out', { csrf: 'x'.repeat(20_000) })],
    ])('go with %s', async (_, status, ask) => {
      const response = await ask(await signedIn());
      expect(response.statusCode).toBe(status);
      expect(response.headers).toMatchObject(securityHeaders);
      expect(response.headers).not.toHaveProperty('server');
      expect(Object.keys(response.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    });

    it('go with a page that failed, which names a number and nothing else', async () => {
      const failing = await openBed();
      await failing.database.destroy();
      const browser = new Browser(failing);
      browser.cookies.set('__Host-sp', 'A'.repeat(43));
      const response = await browser.get('/app-passwords');
      expect(response.statusCode).toBe(500);
      expect(response.headers).toMatchObject(securityHeaders);
      const reference = /<code>([0-9a-f]{12})<\/code>/.exec(response.body)?.[1] ?? 'none';
      expect(failing.log.join('')).toContain(reference);
      expect(response.body).not.toContain('driver');
      await failing.app.close();
    });

    it('go with what is not HTTP, and with too many header bytes', async () => {
      const own = await openBed();
      await own.app.listen({ host: '127.0.0.1', port: 0 });
      const { port } = own.app.server.address() as AddressInfo;
      const answers = await Promise.all(
        ['NOT HTTP\r\n\r\n', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`].map(
          (request) =>
            new Promise<string>((resolve) => {
              let answer = '';
              const socket = connect(port, '127.0.0.1', () => socket.write(request));
              socket.on('data', (data) => {
                answer += data.toString();
              });
              socket.on('error', () => {});
              socket.on('close', () => resolve(answer));
            }),
        ),
      );
      expect(answers[0]).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
      expect(answers[1]).toMatch(/^HTTP\/1\.1 431 /);
      for (const [name, value] of Object.entries(securityHeaders)) {
        for (const answer of answers) expect(answer).toContain(`\r\n${name}: ${value}\r\n`);
      }
      await own.close();
    });

    it('let browsers keep what has its content in its name', async () => {
      const browser = new Browser(bed);
      const { body } = await browser.get('/sign-in');
      const paths = [...body.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map((match) => match[1] ?? '');
      expect(new Set(paths).size).toBe(2);
      for (const path of paths) {
        const asset = await browser.get(path);
        expect(asset.statusCode).toBe(200);
        expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable');
        expect(asset.headers['x-content-type-options']).toBe('nosniff');
      }
      for (const path of [
        '/assets/',
        '/assets/portal.css',
        '/assets/..%2fviews/layout.eta',
        '/assets/%2e%2e/server.ts',
      ]) {
        expect((await browser.get(path)).statusCode).toBe(404);
      }
    });
  });

  describe('host', () => {
    it.each([
      'mail.example.com',
      'mail.example.com:443',
      'mail.example.com:8444',
      'localhost:8443',
      '',
      'mail.example.com:8443.',
    ])('refuses %p', async (host) => {
      expect((await new Browser(bed).get('/sign-in', { host })).statusCode).toBe(421);
    });

    it('believes no forwarded header', async () => {
      const browser = new Browser(bed);
      const spoofed = {
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'http',
        'x-forwarded-for': '192.0.2.1',
        forwarded: 'host=evil.example',
      };
      const page = await browser.get('/sign-in', spoofed);
      expect(page.statusCode).toBe(200);
      expect(page.body).not.toContain('evil.example');
      expect((await browser.get('/', spoofed)).headers.location).toBe('/sign-in');
    });
  });

  describe('forms', () => {
    it.each<[string, Readonly<Record<string, string>>, number]>([
      ['our origin', { origin }, 303],
      ['an empty origin', { origin: '', 'sec-fetch-site': 'same-origin' }, 403],
      ['another port', { origin: 'https://mail.example.com:444' }, 403],
      ['no port', { origin: 'https://mail.example.com' }, 403],
      ['clear text', { origin: 'http://mail.example.com:8443' }, 403],
      ['a sibling', { origin: 'https://www.example.com:8443' }, 403],
      ['a hidden origin', { origin: 'null' }, 403],
      ['our origin in capitals', { origin: origin.toUpperCase() }, 403],
    ])('from %s', async (_, headers, status) => {
      const browser = await signedIn();
      expect((await browser.post('/sign-out', {}, headers)).statusCode).toBe(status);
    });

    it.each<[string | undefined, number]>([
      ['same-origin', 303],
      ['same-site', 403],
      ['cross-site', 403],
      ['none', 403],
      [undefined, 403],
    ])('without an origin and with Sec-Fetch-Site %p', async (site, status) => {
      const browser = await signedIn();
      const response = await bed.app.inject({
        method: 'POST',
        url: '/sign-out',
        headers: {
          host: 'mail.example.com:8443',
          'content-type': form,
          cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          ...(site === undefined ? {} : { 'sec-fetch-site': site }),
        },
        payload: `csrf=${browser.csrf}`,
      });
      expect(response.statusCode).toBe(status);
    });

    it.each(['', 'x', 'A'.repeat(43)])('refuses the token %p', async (csrf) => {
      const browser = await signedIn();
      const response = await browser.post('/sign-out', { csrf });
      expect(response.statusCode).toBe(403);
      expect(response.body).toContain('This form is out of date');
      expect((await browser.get('/app-passwords')).statusCode).toBe(200);
    });

    it('refuses the token of another session', async () => {
      const [mine, other] = [await signedIn(), await signedIn()];
      expect((await mine.post('/sign-out', { csrf: other.csrf ?? '' })).statusCode).toBe(403);
    });

    it.each([
      'text/plain',
      'application/json',
      'application/json;',
      'multipart/form-data; boundary=x',
      `${form}; charset=utf-8`,
      `${form};`,
      form.toUpperCase(),
      'application/x-www-form-urlencoded, text/plain',
    ])('refuses the content type %p', async (type) => {
      const browser = await signedIn();
      expect((await browser.post('/sign-out', {}, { 'content-type': type })).statusCode).toBe(415);
    });

    it('refuses a field given twice, an unknown one and one that would reach a prototype', async () => {
      const browser = await signedIn();
      const raw = async (payload: string) =>
        (
          await bed.app.inject({
            method: 'POST',
            url: '/sign-out',
            headers: {
              host: 'mail.example.com:8443',
              origin,
              'content-type': form,
              cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
            },
            payload,
          })
        ).statusCode;
      expect(await raw(`csrf=${browser.csrf}&csrf=${browser.csrf}`)).toBe(400);
      expect(await raw(`csrf=${browser.csrf}&more=1`)).toBe(400);
      expect(await raw(`csrf=${browser.csrf}&__proto__=1`)).toBe(400);
      expect(await raw(`csrf=${browser.csrf}&constructor=1`)).toBe(400);
      expect(await raw('')).toBe(400);
      expect(await raw(`csrf=${browser.csrf}`)).toBe(303);
    });

    it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE'] as const)(
      'knows no %s',
      async (method) => {
        const browser = await signedIn();
        const response = await bed.app.inject({
          method: method as 'PUT',
          url: '/sign-out',
          headers: {
            host: 'mail.example.com:8443',
            origin,
            'content-type': form,
            'x-http-method-override': 'POST',
            cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          },
        });
        expect(response.statusCode).toBeGreaterThanOrEqual(400);
        expect((await browser.get('/app-passwords')).statusCode).toBe(200);
      },
    );
  });

  it('speaks HTTP/1.1 over TLS 1.2 and later, and nothing else', async () => {
    const scratch = await makeScratchFolder();
    const certificates = await makeThrowAwayCertificates(scratch.path);
    const tls = { cert: await readFile(certificates.certFile), key: await readFile(certificates.keyFile) };
    const own = await openBed({ tls });
    await own.app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = own.app.server.address() as AddressInfo;
    const handshake = (options: ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = tlsConnect({ host: 'localhost', port, ca: certificates.ca, ...options }, () => {
          resolve(`${socket.getProtocol()} ${socket.alpnProtocol}`);
          socket.destroy();
        });
        socket.on('error', () => resolve('refused'));
      });
    expect(await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).toBe('TLSv1.3 http/1.1');
    expect(await handshake({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2 false');
    expect(await handshake({ ALPNProtocols: ['h2'] })).toBe('refused');
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    expect(await handshake(old)).toBe('refused');
    expect(await handshake({ maxVersion: 'TLSv1.2', ciphers: 'AES256-SHA' })).toBe('refused');
    await own.close();
    await scratch.remove();
  });

  it('gives nothing away by a template option in the query', async () => {
    const page = await new Browser(bed).get(
      '/sign-in?settings[view%20options][client]=1&layout=/etc/passwd&revoked=a&revoked=b',
    );
    expect(page.statusCode).toBe(200);
    expect(page.body).not.toContain('root:');
  });

  it.each(['/nowhere', '/assets/nowhere.js'])(
    'answers at most 120 requests of a network in a minute, such as for %s',
    async (path) => {
      const own = await openBed();
      const browser = new Browser(own);
      const statuses: number[] = [];
      for (let index = 0; index < 121; index += 1) statuses.push((await browser.get(path)).statusCode);
      expect(statuses.slice(0, 120).every((status) => status === 404)).toBe(true);
      expect(statuses[120]).toBe(429);
      browser.remoteAddress = '203.0.113.8';
      expect((await browser.get('/nowhere')).statusCode).toBe(404);
      browser.remoteAddress = '203.0.113.7';
      own.clock.advance(60_000);
      expect((await browser.get('/nowhere')).statusCode).toBe(404);
      await own.close();
    },
  );

  it('says that it is unavailable until it is ready', async () => {
    let isReady = false;
    const own = await openBed({ isReady: () => isReady });
    const browser = new Browser(own);
    const page = await browser.get('/sign-in');
    expect(page.statusCode).toBe(503);
    expect(page.headers).toMatchObject(securityHeaders);
    isReady = true;
    expect((await browser.get('/sign-in')).statusCode).toBe(200);
    await own.close();
  });
});
