import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatAppPassword, generateAppPassword } from '../../../src/credentials/app-password.ts';
import { securityHeaders } from '../../../src/portal/headers.ts';
import type { Account } from '../../../src/store/schema.ts';
import { ApiClient } from '../api-client.ts';
import { type Bed, Browser, enroll, openBed, origin, portalConfig } from '../bed.ts';

const nothingGiven = { name: 'nothing', scopes: ['imap'] };

describe('requests to the API', () => {
  let bed: Bed;
  let alice: Account;

  beforeAll(async () => {
    const portal = { host: '127.0.0.1', port: 0, public_url: origin };
    bed = await openBed({
      config: portalConfig({ portal, throttle: { portal: { requests_per_minute: 10_000 } } }),
    });
    alice = await bed.account('alice@example.com');
    await enroll(bed, alice);
  });
  afterAll(async () => {
    await bed.close();
  });

  const typeOf = ({ body }: { readonly body: { readonly type?: string } }) =>
    body.type?.replace('urn:sallyport:problem:', '');
  const own = async () => {
    // Each the newest: an account has ten sessions at most.
    bed.clock.advance(1_000);
    return await ApiClient.of(bed, alice);
  };
  const signedInStill = async (client: ApiClient) => (await client.get('/app-passwords')).status;

  describe('S-63: bodies', () => {
    it.each([
      'text/plain',
      'application/json;',
      'application/json; charset=utf-8',
      'application/json;charset=utf-8',
      'application/json\t',
      'application/json\t; charset=utf-8',
      ' application/json; ',
      'Application/JSON',
      'application/JSON',
      'application/problem+json',
      'application/json, text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      '',
    ])('of type %p are refused', async (type) => {
      const client = await own();
      const payload = JSON.stringify({ csrf: client.browser.csrf });
      const response = await client.send('/session/end', payload, { 'content-type': type });
      expect(response.status).toBe(415);
      expect(await signedInStill(client)).toBe(200);
    });

    it('without a type are refused', async () => {
      const client = await own();
      const response = await bed.app.inject({
        method: 'POST',
        url: '/api/v1/session/end',
        headers: { host: 'mail.example.com:8443', origin },
      });
      expect(response.statusCode).toBe(415);
      expect(await signedInStill(client)).toBe(200);
    });

    it.each<[string, (csrf: string) => string | Buffer]>([
      ['nothing', () => ''],
      ['no JSON', () => 'csrf='],
      ['two values', (csrf) => `{"csrf":"${csrf}"}{}`],
      ['a comment', (csrf) => `{"csrf":"${csrf}"/**/}`],
      ['a byte order mark', (csrf) => `\ufeff{"csrf":"${csrf}"}`],
      ['a name twice', (csrf) => `{"csrf":"x","csrf":"${csrf}"}`],
      ['a name twice, once in disguise', (csrf) => `{"csrf":"${csrf}","c\\u0073rf" \n: "${csrf}"}`],
      ['a name twice, deeper', (csrf) => `{"csrf":"${csrf}","a":[{"b":1,"b":1}]}`],
      ['a name twice around others', (csrf) => `{"a":{"csrf":"{\\""},"csrf":"${csrf}","a":"}"}`],
      ['what would reach a prototype', (csrf) => `{"csrf":"${csrf}","__proto__":{"csrf":"x"}}`],
      ['half of a surrogate pair', (csrf) => `{"csrf":"${csrf}","a":"\\ud800"}`],
      ['half of one in a name', (csrf) => `{"csrf":"${csrf}","\\ud800":1}`],
      ['bytes that are no UTF-8', (csrf) => Buffer.from(`{"csrf":"${csrf}","a":"\xff"}`, 'latin1')],
      ['UTF-16', (csrf) => Buffer.from(`{"csrf":"${csrf}"}`, 'utf16le')],
      ['nine levels', (csrf) => `{"csrf":"${csrf}","a":${'['.repeat(8)}${']'.repeat(8)}}`],
      ['thousands of levels', (csrf) => `{"csrf":"${csrf}","a":${'['.repeat(7_000)}${']'.repeat(7_000)}}`],
    ])('with %s are none', async (_, bodyOf) => {
      const client = await own();
      const response = await client.send('/session/end', bodyOf(client.browser.csrf ?? ''));
      expect([response.status, typeOf(response)]).toEqual([400, 'malformed']);
      expect(await signedInStill(client)).toBe(200);
    });

    it('with strings full of quotes, brackets and colons are what JSON says they are', async () => {
      const client = await own();
      const label = '{"csrf":"x"} \\" [ "a" : ';
      const made = await client.post('/app-passwords', { label, scopes: ['imap'] });
      expect(made.body.label).toBe(label.trim());
    });

    it.each(['null', '[]', '""', '1', 'true'])('that are %s have no token', async (body) => {
      const client = await own();
      const response = await client.send('/session/end', body);
      expect(['malformed', 'wrong-token']).toContain(typeOf(response));
      expect(await signedInStill(client)).toBe(200);
    });

    it('of more than 16 KB are not read', async () => {
      const client = await own();
      const response = await client.post('/session/end', { more: 'x'.repeat(20_000) });
      expect([response.status, typeOf(response)]).toEqual([413, 'too-large']);
    });

    it('name each mistake by a pointer and a code', async () => {
      const client = await own();
      const response = await client.post('/app-passwords', {
        label: 7,
        scopes: ['imap', 'root'],
        networks: Array.from({ length: 101 }, () => '192.0.2.1'),
        fence: { messagesPerHour: 1.5, 'a/b~': 1 },
        end: { kind: 'after', seconds: 1 },
        state: 'active',
      });
      expect([response.status, typeOf(response)]).toEqual([422, 'invalid']);
      expect(response.body.errors.toSorted(byPointer)).toEqual([
        { pointer: '#/end/seconds', code: 'bad-number' },
        { pointer: '#/fence/a~1b~0', code: 'unknown' },
        { pointer: '#/fence/messagesPerHour', code: 'bad-type' },
        { pointer: '#/label', code: 'bad-type' },
        { pointer: '#/networks', code: 'too-many', most: 100 },
        { pointer: '#/scopes/1', code: 'bad-value' },
        { pointer: '#/state', code: 'unknown' },
      ]);
      expect((await client.post('/app-passwords', nothingGiven)).body.errors.toSorted(byPointer)).toEqual([
        { pointer: '#/label', code: 'missing' },
        { pointer: '#/name', code: 'unknown' },
      ]);
    });

    it('say no more than twenty mistakes, of names that are cut off', async () => {
      const client = await own();
      const many = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`${at}-${'😀'.repeat(3)}`, 1]));
      const response = await client.post('/session/end', many);
      expect(response.body.errors).toHaveLength(20);
      const long = await client.post('/session/end', { [`x${'😀'.repeat(200)}`]: 1 });
      expect(long.status).toBe(422);
      expect(long.text.length).toBeLessThan(1_000);
    });

    it('S-60: make nobody more than they are by a name that a row has', async () => {
      const client = await own();
      const ids = { id: alice.id.toString('hex'), accountId: alice.id.toString('hex') };
      for (const more of [{ level: 'full' }, { role: 'administrator' }, { createdBy: 'cli:root' }, ids]) {
        const response = await client.post('/app-passwords', { label: 'x', scopes: ['imap'], ...more });
        expect(typeOf(response)).toBe('invalid');
      }
      const renamed = await client.post('/session/end', { role: 'administrator' });
      expect(typeOf(renamed)).toBe('invalid');
    });
  });

  describe('S-61: where they come from', () => {
    it.each<[string, Readonly<Record<string, string>>]>([
      ['another port', { origin: 'https://mail.example.com:444' }],
      ['a sibling', { origin: 'https://www.example.com:8443' }],
      ['a hidden origin', { origin: 'null' }],
      ['clear text', { origin: 'http://mail.example.com:8443' }],
      ['our origin, by a page of another site', { 'sec-fetch-site': 'cross-site' }],
      ['our origin, by a page of another port', { 'sec-fetch-site': 'same-site' }],
    ])('%s', async (_, headers) => {
      const client = await own();
      const response = await client.post('/session/end', {}, headers);
      expect([response.status, typeOf(response)]).toEqual([403, 'foreign-origin']);
      expect(await signedInStill(client)).toBe(200);
    });

    it.each(['cross-site', 'same-site'])('%s: not even a GET', async (site) => {
      const client = await own();
      const response = await client.get('/session', { 'sec-fetch-site': site });
      expect([response.status, typeOf(response)]).toEqual([403, 'foreign-origin']);
      expect(response.text).not.toContain(client.browser.csrf);
    });

    it.each(['same-origin', 'none'])('%s: what our pages and people themselves do', async (site) => {
      const client = await own();
      expect((await client.get('/session', { 'sec-fetch-site': site })).status).toBe(200);
    });

    it('a sign-in too, though nobody has a token yet', async () => {
      const client = await ApiClient.open(bed);
      const response = await client.post(
        '/session',
        { address: 'alice@example.com', password: 'x' },
        { origin: 'https://evil.example' },
      );
      expect(typeOf(response)).toBe('foreign-origin');
    });

    it.each<[string, unknown]>([
      ['none', undefined],
      ['an empty one', ''],
      ['another', 'A'.repeat(43)],
      ['a number', 7],
      ['a list', ['x']],
      ['an object', { length: 43 }],
    ])('with %s for a token', async (_, csrf) => {
      const client = await own();
      const response = await client.send('/session/end', JSON.stringify({ csrf, more: 1 }), {
        'x-csrf-token': client.browser.csrf ?? '',
      });
      expect([response.status, typeOf(response)]).toEqual([403, 'wrong-token']);
      expect(response.body).not.toHaveProperty('errors');
    });

    it('with the token of another session', async () => {
      const other = await own();
      const mine = await own();
      const response = await mine.post('/session/end', { csrf: other.browser.csrf });
      expect(typeOf(response)).toBe('wrong-token');
    });
  });

  describe('doors around the table', () => {
    it('knows a route however its path is spelled, and lets no form in by that', async () => {
      for (const url of ['/%61pi/v1/session/end', '/api/v1/session%2Fend', '/api/v1//session/end']) {
        const client = await own();
        const cookie = [...client.browser.cookies].map((each) => each.join('=')).join('; ');
        const response = await bed.app.inject({
          method: 'POST',
          url,
          headers: {
            ...{ host: 'mail.example.com:8443', origin, cookie },
            'content-type': 'application/x-www-form-urlencoded',
          },
          payload: `csrf=${client.browser.csrf}`,
        });
        expect([404, 415]).toContain(response.statusCode);
        expect(await signedInStill(client)).toBe(200);
      }
    });

    it('lets no JSON into a page', async () => {
      const client = await own();
      for (const url of ['/sign-out', '/app-passwords/new', '/%73ign-out']) {
        const response = await client.browser.post(url, {}, { 'content-type': 'application/json' });
        expect(response.statusCode).toBe(415);
      }
      expect(await signedInStill(client)).toBe(200);
    });

    it.each(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE'] as const)(
      'knows no %s',
      async (method) => {
        const client = await own();
        const cookie = [...client.browser.cookies].map((each) => each.join('=')).join('; ');
        const response = await bed.app.inject({
          method: method as 'PUT',
          url: '/api/v1/session/end',
          headers: {
            ...{ host: 'mail.example.com:8443', origin, cookie, 'content-type': 'application/json' },
            'x-http-method-override': 'POST',
          },
          payload: JSON.stringify({ csrf: client.browser.csrf }),
        });
        expect(response.statusCode).toBeGreaterThanOrEqual(400);
        expect(Object.keys(response.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
        expect(await signedInStill(client)).toBe(200);
      },
    );
  });

  describe('S-64: every answer', () => {
    it.each<
      [number, string, (client: ApiClient) => Promise<{ status: number; headers: object; text: string }>]
    >([
      [200, 'a result', (client) => client.get('/session')],
      [201, 'a secret', (client) => client.post('/app-passwords', { label: 'x', scopes: ['imap'] })],
      [400, 'malformed', (client) => client.send('/session/end', '{')],
      [401, 'not-signed-in', async () => (await ApiClient.open(bed)).get('/app-passwords')],
      [403, 'foreign-origin', (client) => client.post('/session/end', {}, { origin: 'null' })],
      [404, 'not-found', (client) => client.get(`/app-passwords/${'0'.repeat(32)}`)],
      [404, 'not-found', (client) => client.get('/nowhere')],
      [409, 'elsewhere-now', (client) => client.get('/enrollment')],
      [413, 'too-large', (client) => client.post('/session/end', { more: 'x'.repeat(20_000) })],
      [415, 'wrong-type', (client) => client.post('/session/end', {}, { 'content-type': 'text/plain' })],
      [421, 'wrong-host', (client) => client.get('/session', { host: 'elsewhere.example' })],
      [422, 'invalid', (client) => client.post('/app-passwords')],
    ])('%d %s: has the headers, is not kept, and is for this origin alone', async (status, what, ask) => {
      const { text, ...response } = await ask(await own());
      expect(response.status).toBe(status);
      expect(response.headers).toMatchObject({ ...securityHeaders, 'cache-control': 'no-store' });
      expect(Object.keys(response.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      const type = status < 300 ? 'application/json' : 'application/problem+json';
      expect(String(Object(response.headers)['content-type']).split(';')[0]).toBe(type);
      if (status >= 300)
        expect(JSON.parse(text)).toMatchObject({ type: `urn:sallyport:problem:${what}`, status });
    });

    it('429 says when, 503 says that it is not ready', async () => {
      let isReady = true;
      const portal = { host: '127.0.0.1', port: 0, public_url: origin };
      const throttle = { portal: { requests_per_minute: 10 } };
      const small = await openBed({
        config: portalConfig({ portal, throttle }),
        isReady: () => isReady,
      });
      const client = await ApiClient.open(small);
      let response = await client.get('/session');
      while (response.status === 200) response = await client.get('/session');
      expect([response.status, typeOf(response)]).toEqual([429, 'throttled']);
      expect(response.headers['retry-after']).toBe('60');
      expect(response.body.until).toBe(new Date(small.clock.now() + 60_000).toISOString());
      isReady = false;
      client.browser.remoteAddress = '203.0.113.8';
      const notReady = await client.get('/session');
      expect([notReady.status, typeOf(notReady)]).toEqual([503, 'unavailable']);
      await small.close();
    });

    it('500 names a number, which is in the log, and nothing else', async () => {
      const failing = await openBed();
      const client = await ApiClient.open(failing);
      await failing.database.destroy();
      client.browser.cookies.set('__Host-sp', 'A'.repeat(43));
      const response = await client.get('/app-passwords');
      expect([response.status, typeOf(response)]).toEqual([500, 'failed']);
      expect(failing.log.join('')).toContain(response.body.reference);
      expect(response.text).not.toContain('driver');
      await failing.app.close();
    });

    it('S-34: a row that SQL was made to hold is an outage', async () => {
      const forged = await openBed();
      const bob = await forged.account('bob@example.com');
      const client = await ApiClient.of(forged, bob);
      await forged.database
        .updateTable('account')
        .set({ row_mac: Buffer.alloc(36) })
        .execute();
      const response = await client.get('/app-passwords');
      expect([response.status, typeOf(response)]).toEqual([503, 'unavailable']);
      await forged.close();
    });
  });

  describe('S-73: a sign-in that fails', () => {
    it('is one answer for all that no backend has to be asked about', async () => {
      await bed.account('known@example.com');
      const texts = new Set<string>();
      // Of the shape of an app password: no backend is shown it (S-15).
      const secret = generateAppPassword();
      const password = formatAppPassword(secret);
      for (const address of [
        'known@example.com',
        'unknown@example.com',
        'x@elsewhere.example',
        'no address',
      ]) {
        const response = await (await ApiClient.open(bed)).post('/session', { address, password });
        expect(response.headers).not.toHaveProperty('set-cookie');
        texts.add(response.text);
      }
      expect(texts.size).toBe(1);
      expect([...texts][0]).toContain('wrong-password');
      expect(bed.log.join('')).not.toContain(password);
    });

    it('is no wrong password while the backend is down', async () => {
      const client = await ApiClient.open(bed);
      for (const address of ['known@example.com', 'unknown@example.com']) {
        const response = await client.post('/session', { address, password: 'correct horse 7' });
        expect([response.status, typeOf(response)]).toEqual([503, 'unavailable']);
        expect(response.text).not.toContain('correct horse');
      }
    });

    it('makes the next one wait, by the same count as the page', async () => {
      const browser = new Browser(bed);
      browser.remoteAddress = '198.51.100.9';
      const client = await ApiClient.open(bed, browser);
      const typed = { address: 'eve@elsewhere.example', password: 'x' };
      for (let index = 0; index < 3; index += 1) {
        expect((await client.post('/session', typed)).status).toBe(401);
      }
      for (let index = 0; index < 2; index += 1) {
        expect((await browser.post('/sign-in', typed)).statusCode).toBe(401);
      }
      const response = await client.post('/session', typed);
      expect([response.status, typeOf(response)]).toEqual([429, 'throttled']);
      expect(response.headers['retry-after']).toBe('30');
      expect((await browser.post('/sign-in', typed)).statusCode).toBe(429);
    });
  });
});

function byPointer(one: { readonly pointer: string }, other: { readonly pointer: string }): number {
  return one.pointer < other.pointer ? -1 : 1;
}
