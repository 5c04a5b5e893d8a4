import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type HostileProvider, startHostileProvider } from '../support/hostile-provider.ts';
import { minutes } from './clock.ts';
import {
  clientSecret,
  nobody,
  type OidcBed,
  oidcConfig,
  openOidcBed,
  peer,
  providerCertificates,
  providerSettings,
} from './oidc-bed.ts';

const person = { sub: 'a-1', email: 'alice@example.com', email_verified: true };
const seconds = () => Math.floor(Date.now() / 1_000);

describe('a provider that is not what it should be', () => {
  let certificates: Awaited<ReturnType<typeof providerCertificates>>;
  let provider: HostileProvider;
  let bed: OidcBed;

  const open = async (
    changes: Readonly<Record<string, unknown>> = {},
    options: Partial<Parameters<typeof openOidcBed>[0]> = {},
  ) => {
    bed = await openOidcBed({
      config: oidcConfig({ work: providerSettings(provider.issuer, changes) }),
      ca: certificates.ca,
      ...options,
    });
  };
  /** The way there and back, without the provider's pages. */
  const signIn = async (token: { header?: object; claims?: object } = {}) => {
    const { token: cookie, to } = await bed.begin();
    const { state = '', nonce = '' } = Object.fromEntries(to.searchParams);
    provider.header = { ...token.header };
    provider.claims = { ...person, nonce, ...token.claims };
    return await bed.finish({ token: cookie, parameters: new URLSearchParams({ code: 'c', state }) });
  };
  const reasons = () => bed.log.flatMap((line) => /"reason":"([^"]*)"/.exec(line)?.[1] ?? []);

  beforeAll(async () => {
    certificates = await providerCertificates();
  });
  beforeEach(async () => {
    provider = await startHostileProvider({
      ...certificates,
      host: 'localhost',
      clientId: 'sallyport',
      clientSecret,
    });
    await open();
  });
  afterEach(async () => {
    await bed.close();
    await provider.stop();
  });
  afterAll(async () => {
    await certificates.remove();
  });

  it('signs in by a right token, with which the others differ in one thing only', async () => {
    expect(await signIn()).toMatchObject({ kind: 'signed-in', account: { address: 'alice@example.com' } });
  });

  describe('S-86: its ID token is refused', () => {
    it('without a signature', async () => {
      provider.signature = 'none';
      expect(await signIn({ header: { alg: 'none' } })).toEqual({ kind: 'refused' });
    });

    it('signed with the secret that the client knows too', async () => {
      provider.signature = 'client-secret';
      expect(await signIn({ header: { alg: 'HS256' } })).toEqual({ kind: 'refused' });
    });

    it('signed by another key, named or not', async () => {
      provider.signature = 'foreign';
      expect(await signIn()).toEqual({ kind: 'refused' });
      expect(await signIn({ header: { kid: 'two' } })).toEqual({ kind: 'refused' });
      expect(await signIn({ header: { kid: undefined } })).toEqual({ kind: 'refused' });
    });

    it('with an algorithm that is not on the list', async () => {
      await bed.close();
      await open({ algorithms: ['RS256'] });
      expect(await signIn()).toEqual({ kind: 'refused' });
    });

    it.each<[string, () => object]>([
      ['another issuer', () => ({ iss: 'https://elsewhere.example' })],
      ['another audience', () => ({ aud: 'another' })],
      ['several audiences and no authorized party', () => ({ aud: ['sallyport', 'another'] })],
      ['another authorized party', () => ({ azp: 'another' })],
      ['another authorized party of several audiences', () => ({ aud: ['sallyport', 'x'], azp: 'x' })],
      ['an end that is past', () => ({ exp: seconds() - 60 })],
      ['no end', () => ({ exp: undefined })],
      ['no time of issue', () => ({ iat: undefined })],
      ['a time of issue six minutes ago', () => ({ iat: seconds() - 360 })],
      ['a time of issue in six minutes', () => ({ iat: seconds() + 360 })],
      ['a time that is no number', () => ({ iat: String(seconds()) })],
      ['a time to come', () => ({ nbf: seconds() + 360 })],
      ['another nonce', () => ({ nonce: 'another' })],
      ['no nonce', () => ({ nonce: undefined })],
      ['no subject', () => ({ sub: undefined })],
      ['an empty subject', () => ({ sub: '' })],
      ['a subject of 256 characters', () => ({ sub: 'a'.repeat(256) })],
      ['a subject that is not ASCII', () => ({ sub: 'a\u0000b' })],
    ])('with %s', async (_name, claims) => {
      const result = await signIn({ claims: claims() });
      expect(result).toEqual({ kind: 'refused' });
      const rows = await bed.database.selectFrom('account').selectAll().execute();
      expect(rows).toEqual([]);
    });

    it('of which the answer holds none', async () => {
      provider.intercept = (path, response) => {
        if (path !== '/token') return false;
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ access_token: 'a', token_type: 'Bearer' }));
        return true;
      };
      expect(await signIn()).toEqual({ kind: 'refused' });
    });
  });

  it.each<[string, object, boolean]>([
    ['the value', { amr: ['mfa'] }, true],
    ['among others', { amr: ['pwd', 'mfa'] }, true],
    ['acr', { acr: 'two' }, true],
    ['nothing', {}, false],
    ['text in place of a list', { amr: 'mfa' }, false],
    ['a list in place of text', { acr: ['two'] }, false],
    ['a list in a list', { amr: [['mfa']] }, false],
    ['an object', { amr: { mfa: true } }, false],
    ['a longer value', { amr: ['mfa '], acr: 'two ' }, false],
  ])('S-86: takes a second factor by exact values: %s', async (_name, claims, counts) => {
    await bed.close();
    await open({ mfa: { acr: ['two'], amr: ['mfa'] } });
    const result = await signIn({ claims: { ...claims, auth_time: seconds() } });
    if (result.kind !== 'signed-in') throw new Error(result.kind);
    expect(result.factor !== null).toBe(counts);
  });

  it('S-86: a second factor shown to the provider more than eight hours ago is none', async () => {
    await bed.close();
    await open({ mfa: { amr: ['mfa'] } });
    const old = await signIn({ claims: { amr: ['mfa'], auth_time: seconds() - 9 * 3_600 } });
    expect(old).toMatchObject({ kind: 'signed-in', factor: null });
    // Where it does not say when, it is not taken for fresh.
    expect(await signIn({ claims: { amr: ['mfa'] } })).toMatchObject({ factor: { at: null } });
    // Nor for younger than now, whatever its clock says.
    const result = await signIn({ claims: { amr: ['mfa'], auth_time: seconds() + 7_200 } });
    if (result.kind !== 'signed-in') throw new Error(result.kind);
    expect(result.factor?.at ?? Number.NaN).toBeLessThanOrEqual(bed.now());
  });

  describe('S-51: how it is talked to', () => {
    const unavailable = async (because: string | RegExp) => {
      expect(await bed.oidc.begin('work', { kind: 'sign-in' })).toEqual({ kind: 'unavailable' });
      expect(reasons().join('; ')).toMatch(because);
      expect(await bed.database.selectFrom('oidc_transaction').selectAll().execute()).toEqual([]);
    };
    const discovery = '/.well-known/openid-configuration';

    it('down: it cannot be asked, and is asked again the next time', async () => {
      const { issuer } = provider;
      await provider.stop();
      await unavailable('ECONNREFUSED');
      const port = Number(new URL(issuer).port);
      provider = await startHostileProvider({
        ...certificates,
        host: 'localhost',
        port,
        clientId: 'sallyport',
        clientSecret,
      });
      expect(await signIn()).toMatchObject({ kind: 'signed-in' });
    });

    it('a certificate of another authority', async () => {
      await bed.close();
      const other = await providerCertificates();
      await open({}, { ca: other.ca });
      await unavailable(/CERT|SIGNATURE/);
      await other.remove();
    });

    it.each([301, 302, 303, 307, 308])('no redirect is followed: %i', async (status) => {
      provider.intercept = (path, response) => {
        if (path !== discovery) return false;
        response.writeHead(status, { location: `${provider.issuer}/elsewhere` }).end();
        return true;
      };
      await unavailable(`redirects with ${status}`);
      expect(provider.requests.map(({ path }) => path)).toEqual([discovery]);
    });

    it.each(['/token', '/keys'])('no redirect is followed from %s', async (from) => {
      provider.intercept = (path, response) => {
        if (path !== from) return false;
        response.writeHead(307, { location: `${provider.issuer}/elsewhere` }).end();
        return true;
      };
      expect(await signIn()).toEqual({ kind: 'unavailable' });
      expect(provider.requests.map(({ path }) => path)).not.toContain('/elsewhere');
    });

    it('an answer of more than 1 MB is not read to its end', async () => {
      provider.intercept = (path, response) => {
        if (path !== discovery) return false;
        response.writeHead(200, { 'content-type': 'application/json' });
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
        };
        response.on('drain', more);
        more();
        return true;
      };
      await unavailable('answers more than 1 MB');
    });

    it.each(['nothing', 'a beginning'])('%s within the time is no answer', async (what) => {
      await bed.close();
      await open({}, { requestMs: 200 });
      provider.intercept = (path, response) => {
        if (path !== discovery) return false;
        if (what === 'a beginning')
          response.writeHead(200, { 'content-type': 'application/json' }).write('{');
        return true;
      };
      await unavailable('no whole answer within 0.2 s');
    });

    it.each<[string, string, object]>([
      ['another issuer', 'COMPARISON', { issuer: 'https://elsewhere.example' }],
      ['its own issuer with a slash more', 'names another issuer', { issuer: 'with-slash' }],
      ['a token endpoint in clear', 'not https', { token_endpoint: 'http://localhost/token' }],
      ['keys in clear', 'not https', { jwks_uri: 'http://localhost/keys' }],
      ['a page of sign-in in clear', 'not https', { authorization_endpoint: 'http://localhost/authorize' }],
      ['a page of sign-in that is a script', 'not https', { authorization_endpoint: 'javascript:alert(1)' }],
      ['no keys', 'lacks an endpoint', { jwks_uri: undefined }],
      [
        'no algorithm that is allowed',
        'signs with no',
        { id_token_signing_alg_values_supported: ['none', 'HS256'] },
      ],
    ])('a discovery document with %s', async (_name, because, metadata) => {
      const slash = 'issuer' in metadata && metadata.issuer === 'with-slash';
      provider.metadata = slash ? { issuer: `${provider.issuer}/` } : { ...metadata };
      await unavailable(because);
    });

    it.each([400, 401, 500, 503])(
      'a token endpoint that answers %i tells nothing about the person',
      async (status) => {
        provider.intercept = (path, response) => {
          if (path !== '/token') return false;
          response.writeHead(status, { 'content-type': 'application/json' });
          response.end(JSON.stringify({ error: 'invalid_client' }));
          return true;
        };
        expect(await signIn()).toEqual({ kind: 'unavailable' });
      },
    );

    it('is asked about itself once for all who come at once, and again after an hour', async () => {
      const asked = () => provider.requests.filter(({ path }) => path === discovery).length;
      await Promise.all(Array.from({ length: 20 }, () => bed.begin()));
      expect(asked()).toBe(1);
      bed.advance(61 * minutes);
      await bed.begin();
      expect(asked()).toBe(2);
    });
  });

  it('S-85: says what it refuses to the return that belongs to a transaction only', async () => {
    const parameters = new URLSearchParams({ error: 'access_denied', state: 'x' });
    expect(await bed.finish({ token: undefined, parameters })).toEqual({ kind: 'expired' });
    const { token } = await bed.begin();
    expect(await bed.finish({ token, parameters })).toEqual({ kind: 'refused' });
    const { token: next, to } = await bed.begin();
    parameters.set('state', to.searchParams.get('state') ?? '');
    expect(await bed.finish({ token: next, parameters })).toEqual({ kind: 'denied' });
  });

  it('S-85: keeps the newest of very many transactions', async () => {
    const first = await bed.begin();
    const filler = Array.from({ length: 20_000 }, (_, index) => {
      const id = Buffer.alloc(32);
      id.writeUInt32BE(index);
      return { id_hash: id, account_id: null, sealed: '', created_at: bed.now() + 1 };
    });
    await bed.database.transaction().execute(async (transaction) => {
      for (let at = 0; at < filler.length; at += 5_000) {
        await transaction
          .insertInto('oidc_transaction')
          .values(filler.slice(at, at + 5_000))
          .execute();
      }
    });
    bed.advance(10);
    await bed.begin();
    const left = await bed.database.selectFrom('oidc_transaction').select('id_hash').execute();
    expect(left.length).toBeLessThan(20_010);
    const { state = '' } = Object.fromEntries(first.to.searchParams);
    const returned = { token: first.token, parameters: new URLSearchParams({ code: 'c', state }) };
    expect(await bed.finish(returned)).toEqual({ kind: 'expired' });
  });

  it('S-34: a transaction that SQL was made to hold, or moved, opens nothing', async () => {
    const [mine, other] = [await bed.begin(), await bed.begin()];
    const rows = await bed.database.selectFrom('oidc_transaction').selectAll().execute();
    await bed.database
      .updateTable('oidc_transaction')
      .set({ sealed: rows[0]?.sealed ?? '' })
      .execute();
    const outcomes = await Promise.allSettled(
      [mine, other].map(({ token, to }) => {
        const { state = '' } = Object.fromEntries(to.searchParams);
        return bed.finish({ token, parameters: new URLSearchParams({ code: 'c', state }) });
      }),
    );
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it.each(['rsa', 'ec', 'ed25519'] as const)(
    'is shown a signed assertion for a private key: %s',
    async (type) => {
      await bed.close();
      const pair = {
        rsa: () => generateKeyPairSync('rsa', { modulusLength: 2_048 }),
        ec: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
        ed25519: () => generateKeyPairSync('ed25519'),
      }[type]();
      const { client_secret: _, ...settings } = providerSettings(provider.issuer);
      bed = await openOidcBed({
        config: oidcConfig({ work: { ...settings, private_key_file: 'key.pem', private_key_id: 'ours' } }),
        ca: certificates.ca,
        proofs: new Map([['work', { kind: 'key', key: pair.privateKey }]]),
      });
      expect(await signIn()).toMatchObject({ kind: 'signed-in' });
      const { body, authorization } = provider.requests.find(({ path }) => path === '/token') ?? { body: '' };
      expect(authorization).toBe('');
      const sent = new URLSearchParams(body);
      expect(sent.get('client_assertion_type')).toBe(
        'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      );
      expect(sent.has('client_secret')).toBe(false);
      const { header, claims, isGenuine } = readJwt(sent.get('client_assertion') ?? '', pair.publicKey);
      expect(isGenuine).toBe(true);
      expect(header).toMatchObject({ kid: 'ours' });
      expect(claims).toMatchObject({ iss: 'sallyport', sub: 'sallyport' });
      expect([claims.aud].flat()).toContain(provider.issuer);
      expect(claims.exp).toBeLessThan(seconds() + 600);
    },
  );

  it('S-68: confirms for the session and the person that asked, by a second factor shown since', async () => {
    await bed.close();
    await open({ mfa: { amr: ['mfa'] } });
    const result = await signIn({ claims: { amr: ['mfa'], auth_time: seconds() } });
    if (result.kind !== 'signed-in') throw new Error(result.kind);
    const { account } = result;
    const session = {
      level: 'full',
      account,
      idHash: Buffer.alloc(32, 1),
      csrf: '',
      role: null,
      ends: { at: 0, isFinal: true },
    } as const;
    const confirm = async (
      claims: object,
      shown: Parameters<OidcBed['oidc']['finish']>[1]['session'] = session,
    ) => {
      const purpose = {
        kind: 'step-up',
        accountId: account.id,
        sessionIdHash: session.idHash,
        destination: '/app-passwords/new',
      } as const;
      const begun = await bed.oidc.begin('work', purpose);
      if (begun.kind !== 'begun') throw new Error(begun.kind);
      expect(begun.to.searchParams.get('max_age')).toBe('0');
      const { state = '', nonce = '' } = Object.fromEntries(begun.to.searchParams);
      provider.claims = { ...person, nonce, amr: ['mfa'], auth_time: seconds(), ...claims };
      const parameters = new URLSearchParams({ code: 'c', state });
      const done = await bed.oidc.finish('work', { token: begun.token, parameters, session: shown, peer });
      return done.kind;
    };
    expect(await confirm({})).toBe('confirmed');
    expect(await confirm({ amr: ['pwd'] })).toBe('not-confirmed');
    expect(await confirm({ auth_time: undefined })).toBe('not-confirmed');
    expect(await confirm({ auth_time: seconds() - 120 })).toBe('not-confirmed');
    expect(await confirm({ sub: 'b-2', email: 'bob@example.com' })).toBe('not-confirmed');
    expect(await confirm({}, nobody)).toBe('expired');
    expect(await confirm({}, { ...session, idHash: Buffer.alloc(32, 2) })).toBe('expired');
  });
});

function readJwt(jwt: string, key: KeyObject) {
  const [head = '', body = '', signature = ''] = jwt.split('.');
  const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signed = Buffer.from(`${head}.${body}`);
  const options = {
    key: createPublicKey(key.export({ type: 'spki', format: 'pem' })),
    dsaEncoding: 'ieee-p1363',
  };
  return {
    header: decode(head),
    claims: decode(body),
    isGenuine: verify(digest, signed, options as never, Buffer.from(signature, 'base64url')),
  };
}
