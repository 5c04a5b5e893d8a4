import * as client from 'openid-client';
import type { OidcProvider } from '../../../config/oidc-schema.ts';
import type { OidcClientProof } from '../../../config/oidc-secrets.ts';
import { printable } from '../../../observability/logger.ts';
import { type Assertion, allowedAlgorithms, readIdToken, verifiedEmailOf } from './id-token.ts';
import { ProviderFault, type ProviderFetch } from './provider-fetch.ts';

/** What a provider says about itself is asked again after this. */
const discoveryMs = 3_600_000;
/** For one step of a sign-in, however many requests it takes. */
const stepSeconds = 10;

/** What has to come back, all random and all used once (S-85). */
export interface Proofs {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** What became of a return from the provider. `reason` is for the log. */
export type Redemption =
  | {
      readonly kind: 'asserted';
      readonly assertion: Assertion;
      /** Asks the provider's user info where the token has no e-mail claim; null where that vouches for none either. */
      readonly verifiedEmail: () => Promise<string | null>;
    }
  /** The person did not want to, or the provider let her not. */
  | { readonly kind: 'denied'; readonly reason: string }
  /** What came back is not what was asked for. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** One identity provider: what it says about itself, fetched when first needed, and the code flow with it. */
export class IdentityProvider {
  readonly settings: OidcProvider;
  readonly #proof: OidcClientProof;
  readonly #redirectUri: string;
  readonly #fetch: ProviderFetch;
  readonly #now: () => number;
  #known: { readonly configuration: client.Configuration; readonly until: number } | null = null;
  #asking: Promise<client.Configuration> | null = null;

  constructor(parts: {
    readonly settings: OidcProvider;
    readonly proof: OidcClientProof;
    /** The only one of this provider (S-88). */
    readonly redirectUri: string;
    readonly fetch: ProviderFetch;
    readonly now: () => number;
  }) {
    this.settings = parts.settings;
    this.#proof = parts.proof;
    this.#redirectUri = parts.redirectUri;
    this.#fetch = parts.fetch;
    this.#now = parts.now;
  }

  /** Asks what it says about itself; null where that is in order, else what is not. */
  async probe(): Promise<string | null> {
    try {
      await this.#configuration();
      return null;
    } catch (error) {
      return causeOf(error);
    }
  }

  /** Where to send the browser. `maxAgeSeconds` 0: whoever has signed in there before does it again. */
  async authorizationUrl(
    proofs: Proofs,
    maxAgeSeconds: number | null,
  ): Promise<{ readonly kind: 'url'; readonly url: URL } | { readonly kind: 'unavailable'; reason: string }> {
    try {
      const configuration = await this.#configuration();
      const { scopes, mfa } = this.settings;
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: this.#redirectUri,
        scope: ['openid', ...scopes].join(' '),
        state: proofs.state,
        nonce: proofs.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(proofs.verifier),
        code_challenge_method: 'S256',
        ...(maxAgeSeconds === null ? {} : { max_age: String(maxAgeSeconds) }),
        ...(mfa === null || mfa.acr.length === 0 ? {} : { acr_values: mfa.acr.join(' ') }),
      });
      return { kind: 'url', url };
    } catch (error) {
      return { kind: 'unavailable', reason: causeOf(error) };
    }
  }

  /** Trades the code for an ID token and reads it. `parameters`: the query of the request that came back. */
  async redeem(parameters: URLSearchParams, proofs: Proofs): Promise<Redemption> {
    let configuration: client.Configuration;
    try {
      configuration = await this.#configuration();
    } catch (error) {
      return { kind: 'unavailable', reason: causeOf(error) };
    }
    try {
      const answer = await client.authorizationCodeGrant(
        configuration,
        new URL(`${this.#redirectUri}?${parameters}`),
        {
          expectedState: proofs.state,
          expectedNonce: proofs.nonce,
          pkceCodeVerifier: proofs.verifier,
          idTokenExpected: true,
        },
      );
      const claims = answer.claims();
      if (claims === undefined || answer.id_token === undefined)
        return { kind: 'refused', reason: 'no ID token' };
      const token = { algorithm: algorithmOf(answer.id_token), claims };
      const assertion = readIdToken(token, this.settings, this.#now());
      if (typeof assertion === 'string') return { kind: 'refused', reason: assertion };
      const verifiedEmail = async () =>
        claims.email === undefined
          ? await this.#askEmail(configuration, answer.access_token, assertion.subject)
          : assertion.verifiedEmail;
      return { kind: 'asserted', assertion, verifiedEmail };
    } catch (error) {
      return judge(error);
    }
  }

  async #askEmail(
    configuration: client.Configuration,
    accessToken: string,
    subject: string,
  ): Promise<string | null> {
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return null;
    try {
      return verifiedEmailOf(await client.fetchUserInfo(configuration, accessToken, subject));
    } catch (error) {
      throw new ProviderFault(`user info: ${causeOf(error)}`);
    }
  }

  /** Rejects with what {@link causeOf} can tell. */
  async #configuration(): Promise<client.Configuration> {
    if (this.#known !== null && this.#now() < this.#known.until) return this.#known.configuration;
    this.#asking ??= this.#discover().finally(() => {
      this.#asking = null;
    });
    return await this.#asking;
  }

  async #discover(): Promise<client.Configuration> {
    const { issuer, clientId } = this.settings;
    const found = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
      [client.customFetch]: this.#fetch,
      timeout: stepSeconds,
    });
    const metadata = found.serverMetadata();
    // To the letter: openid-client lets some hosted providers answer for others (S-51).
    if (metadata.issuer !== issuer) throw new ProviderFault('its discovery document names another issuer');
    const { authorization_endpoint, token_endpoint, jwks_uri, userinfo_endpoint } = metadata;
    for (const endpoint of [authorization_endpoint, token_endpoint, jwks_uri]) {
      if (endpoint === undefined) throw new ProviderFault('its discovery document lacks an endpoint');
    }
    for (const endpoint of [authorization_endpoint, token_endpoint, jwks_uri, userinfo_endpoint]) {
      if (endpoint !== undefined && !isHttps(endpoint))
        throw new ProviderFault('an endpoint of it is not https');
    }
    const announced = metadata.id_token_signing_alg_values_supported ?? ['RS256'];
    const algorithms = allowedAlgorithms(this.settings).filter((each) => announced.includes(each));
    if (algorithms.length === 0) throw new ProviderFault('it signs with no algorithm that is allowed');
    const configuration = new client.Configuration(
      // What else it announces switches nothing on here.
      {
        issuer,
        ...(authorization_endpoint === undefined ? {} : { authorization_endpoint }),
        ...(token_endpoint === undefined ? {} : { token_endpoint }),
        ...(jwks_uri === undefined ? {} : { jwks_uri }),
        ...(userinfo_endpoint === undefined ? {} : { userinfo_endpoint }),
        id_token_signing_alg_values_supported: algorithms,
        authorization_response_iss_parameter_supported:
          metadata.authorization_response_iss_parameter_supported === true,
      },
      clientId,
      undefined,
      await clientAuthentication(this.#proof, this.settings, metadata),
    );
    configuration[client.customFetch] = this.#fetch;
    configuration.timeout = stepSeconds;
    // Else the signature of a token that came over TLS would go unread.
    client.enableNonRepudiationChecks(configuration);
    this.#known = { configuration, until: this.#now() + discoveryMs };
    return configuration;
  }
}

async function clientAuthentication(
  proof: OidcClientProof,
  { privateKeyId }: OidcProvider,
  metadata: client.ServerMetadata,
): Promise<client.ClientAuth> {
  if (proof.kind === 'secret') {
    const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const text = proof.secret.text();
    return methods.includes('client_secret_basic')
      ? client.ClientSecretBasic(text)
      : client.ClientSecretPost(text);
  }
  const key = proof.key.toCryptoKey(keyUse(proof.key.asymmetricKeyType, metadata), false, ['sign']);
  return client.PrivateKeyJwt(privateKeyId === null ? key : { key, kid: privateKeyId });
}

function keyUse(type: string | undefined, metadata: client.ServerMetadata) {
  if (type === 'ec') return { name: 'ECDSA', namedCurve: 'P-256' };
  if (type === 'ed25519') return { name: 'Ed25519' };
  const announced = metadata.token_endpoint_auth_signing_alg_values_supported;
  const name = announced?.includes('RS256') === false ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5';
  return { name, hash: 'SHA-256' };
}

function algorithmOf(token: string): unknown {
  const header: unknown = JSON.parse(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString());
  return typeof header === 'object' && header !== null && 'alg' in header ? header.alg : null;
}

/** What an answer is worth that openid-client did not accept. By codes, because their texts may change. */
function judge(error: unknown): Exclude<Redemption, { kind: 'asserted' }> {
  const reason = causeOf(error);
  const said = errorField(error, 'error');
  switch (errorField(error, 'code')) {
    case 'OAUTH_AUTHORIZATION_RESPONSE_ERROR':
      return {
        kind: /^(?:access_denied|(?:login|consent|interaction|account_selection)_required)$/.test(said ?? '')
          ? 'denied'
          : 'unavailable',
        reason,
      };
    case 'OAUTH_RESPONSE_BODY_ERROR':
      // Whatever else it may say is about the gateway's own settings.
      return { kind: said === 'invalid_grant' ? 'refused' : 'unavailable', reason };
    case 'OAUTH_INVALID_RESPONSE':
    case 'OAUTH_JWT_CLAIM_COMPARISON_FAILED':
    case 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED':
    case 'OAUTH_KEY_SELECTION_FAILED':
    case 'OAUTH_UNSUPPORTED_OPERATION':
      return { kind: 'refused', reason };
    default:
      return { kind: 'unavailable', reason };
  }
}

/** For the log: codes and fixed texts. The errors themselves carry tokens (S-91). */
function causeOf(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error, depth = 0; depth < 5 && typeof at === 'object' && at !== null; depth += 1) {
    const { name, code, error: said, cause } = at as Record<string, unknown>;
    if (at instanceof ProviderFault) parts.push(at.message);
    else if (typeof code === 'string') parts.push(printable(code));
    else if (typeof name === 'string' && parts.length === 0 && cause === undefined)
      parts.push(printable(name));
    if (typeof said === 'string') parts.push(printable(said));
    at = cause;
  }
  return parts.length === 0 ? 'unknown' : parts.join(': ');
}

function errorField(error: unknown, field: 'code' | 'error'): string | null {
  if (typeof error !== 'object' || error === null) return null;
  const value: unknown = (error as Record<string, unknown>)[field];
  return typeof value === 'string' ? value : null;
}

function isHttps(endpoint: string): boolean {
  return URL.canParse(endpoint) && new URL(endpoint).protocol === 'https:';
}
