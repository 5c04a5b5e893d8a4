import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AdapterConstructor, ClientMetadata } from 'oidc-provider';

/** A person as the provider knows her, and what she does on its pages. */
export interface Persona {
  readonly sub: string;
  readonly email?: string;
  readonly email_verified?: boolean;
  readonly groups?: readonly string[];
  readonly amr?: readonly string[];
  readonly acr?: string;
  /** She cancels. */
  readonly denies?: boolean;
}

export interface TestProvider {
  /** To the letter. */
  readonly issuer: string;
  /** Who signs in there next, and from then on. */
  persona: Persona;
  /** Whether it shows a page with a button first, as people know it; else it signs the persona in at once. */
  asks: boolean;
  /** Paths of the requests it got, the query left out. */
  readonly requests: string[];
  stop(): Promise<void>;
}

/** oidc-provider itself, over TLS on a port of its own, with one client. */
export async function startOidcProvider(options: {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** As it stands in the issuer. */
  readonly host: string;
  readonly client: ClientMetadata;
  /** Scopes with their claims beside `openid` and `email`. */
  readonly claims?: Readonly<Record<string, string[]>>;
  readonly clientAuthMethods?: readonly ('client_secret_basic' | 'client_secret_post' | 'private_key_jwt')[];
  /** Claims in the ID token too, not only in the user info. */
  readonly claimsInToken?: boolean;
}): Promise<TestProvider> {
  const { default: Provider } = await import('oidc-provider');
  // Named, it warns of nothing.
  const { createMemoryAdapter } = (await import(
    'oidc-provider/lib/adapters/memory_adapter.js' as string
  )) as {
    readonly createMemoryAdapter: (clockTolerance: number) => AdapterConstructor;
  };
  const server = createServer({ cert: options.cert, key: options.key });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `https://${options.host}:${(server.address() as AddressInfo).port}`;
  const state: { persona: Persona; asks: boolean } = { persona: { sub: 'nobody' }, asks: false };
  const people = new Map<string, Persona>();
  const requests: string[] = [];
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const { privateKey: small } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  const provider = new Provider(issuer, {
    adapter: createMemoryAdapter(0),
    clients: [options.client],
    clientAuthMethods: [...(options.clientAuthMethods ?? ['client_secret_basic', 'private_key_jwt'])],
    jwks: {
      keys: [
        { ...privateKey.export({ format: 'jwk' }), kid: 'rsa', use: 'sig' },
        { ...small.export({ format: 'jwk' }), kid: 'ec', use: 'sig' },
      ] as never,
    },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'HS256'] },
    cookies: { keys: [randomUUID()] },
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      Grant: 600,
      IdToken: 600,
      Interaction: 600,
      Session: 86_400,
    },
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time'],
      email: ['email', 'email_verified'],
      ...options.claims,
    },
    acrValues: ['urn:two-factors'],
    conformIdTokenClaims: options.claimsInToken === false,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, sub) => {
      const { email, email_verified, groups } = people.get(sub) ?? { sub };
      return { accountId: sub, claims: async () => ({ sub, email, email_verified, groups }) as never };
    },
    loadExistingGrant: async (context) => {
      const { client, session, provider: own } = context.oidc;
      if (client === undefined || session?.accountId === undefined) return undefined;
      const grant = new own.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(['openid', 'email', ...Object.keys(options.claims ?? {})].join(' '));
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    requests.push(path);
    if (!path.startsWith('/interaction/')) {
      answer(request, response);
      return;
    }
    if (state.asks && request.method === 'GET') {
      response.setHeader('content-type', 'text/html');
      response.end(`<form method="post" action="${path}"><button id="go">Sign in here</button></form>`);
      return;
    }
    const { sub, amr, acr, denies } = state.persona;
    people.set(sub, state.persona);
    const login = {
      accountId: sub,
      ...(amr === undefined ? {} : { amr: [...amr] }),
      ...(acr === undefined ? {} : { acr }),
    };
    const result = denies === true ? { error: 'access_denied' } : { login };
    provider.interactionFinished(request, response, result).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });

  return {
    issuer,
    requests,
    get persona() {
      return state.persona;
    },
    set persona(persona) {
      state.persona = persona;
    },
    get asks() {
      return state.asks;
    },
    set asks(asks) {
      state.asks = asks;
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
