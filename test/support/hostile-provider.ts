import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

type Json = Readonly<Record<string, unknown>>;

/** What the provider answers; a test replaces what it wants to be wrong. */
export interface HostileProvider {
  readonly issuer: string;
  /** The discovery document; changes are merged into it. */
  metadata: Json;
  /** Header and claims of the next ID tokens; `aud`, `iss`, `iat`, `exp` are right where not given. */
  header: Json;
  claims: Json;
  /** How the token is signed: by the published key, by one that is not, by the client's secret, or not at all. */
  signature: 'right' | 'foreign' | 'client-secret' | 'none';
  /** Takes a path over: answers true where it has answered, or never will. */
  intercept: (path: string, response: ServerResponse) => boolean;
  readonly requests: { readonly path: string; readonly body: string; readonly authorization: string }[];
  stop(): Promise<void>;
}

/** An identity provider made by hand, over TLS, that answers whatever a test wants. */
export async function startHostileProvider(options: {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly host: string;
  /** A free one where not given. */
  readonly port?: number;
  readonly clientId: string;
  readonly clientSecret: string;
}): Promise<HostileProvider> {
  const published = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const server = createServer({ cert: options.cert, key: options.key });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `https://${options.host}:${(server.address() as AddressInfo).port}`;

  const token = (): string => {
    const now = Math.floor(Date.now() / 1_000);
    const header = { alg: 'ES256', kid: 'one', ...provider.header };
    const claims = { iss: issuer, aud: options.clientId, iat: now, exp: now + 300, ...provider.claims };
    const signed = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const byKey = (key: KeyObject) => sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
    const signatures = {
      right: () => byKey(published.privateKey),
      foreign: () => byKey(foreign.privateKey),
      'client-secret': () => createHmac('sha256', options.clientSecret).update(signed).digest(),
      none: () => Buffer.alloc(0),
    };
    return `${signed}.${signatures[provider.signature]().toString('base64url')}`;
  };
  const answers: Readonly<Record<string, () => Json>> = {
    '/.well-known/openid-configuration': () => ({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/keys`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256', 'ES256', 'HS256', 'none'],
      ...provider.metadata,
    }),
    '/keys': () => ({
      keys: [{ ...published.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig' }],
    }),
    '/token': () => ({ access_token: randomUUID(), token_type: 'Bearer', expires_in: 60, id_token: token() }),
  };
  const provider: HostileProvider = {
    issuer,
    metadata: {},
    header: {},
    claims: {},
    signature: 'right',
    intercept: () => false,
    requests: [],
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      provider.requests.push({ path, body, authorization: request.headers.authorization ?? '' });
      if (provider.intercept(path, response)) return;
      const found = answers[path];
      response.statusCode = found === undefined ? 404 : 200;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(found?.() ?? {}));
    });
  });
  return provider;
}
