import type { OidcProvider } from '../../../config/oidc-schema.ts';

/** Of clocks that differ (S-86). */
const issuedToleranceMs = 5 * 60_000;

/** What an ID token says that counts here. */
export interface Assertion {
  readonly issuer: string;
  readonly subject: string;
  /** As the provider writes it; null unless it vouches that the mailbox is the person's. */
  readonly verifiedEmail: string | null;
  /** The provider asked for a second factor, by the values that the operator named. */
  readonly isMultiFactor: boolean;
  /** When the person last proved herself to the provider, in milliseconds; null where it does not say. */
  readonly authenticatedAt: number | null;
  readonly isAdministrator: boolean;
}

type Claims = Readonly<Record<string, unknown>>;

/**
 * Reads a token whose signature, issuer, audience, expiry and nonce openid-client has checked, and checks what it leaves
 * open (S-86). Answers what is wrong with it instead.
 */
export function readIdToken(
  token: { readonly algorithm: unknown; readonly claims: Claims },
  provider: Pick<OidcProvider, 'issuer' | 'clientId' | 'algorithms' | 'mfa' | 'adminClaim'>,
  now: number,
): Assertion | string {
  const { claims } = token;
  if (!allowedAlgorithms(provider).includes(String(token.algorithm))) return 'algorithm';
  if (claims.iss !== provider.issuer) return 'iss';
  if (claims.azp !== undefined && claims.azp !== provider.clientId) return 'azp';
  const { iat, sub, auth_time: authTime } = claims;
  if (typeof iat !== 'number' || !(Math.abs(now - iat * 1_000) <= issuedToleranceMs)) return 'iat';
  // OpenID Connect Core 2: at most 255 ASCII characters.
  if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(sub)) return 'sub';
  return {
    issuer: provider.issuer,
    subject: sub,
    verifiedEmail: verifiedEmailOf(claims),
    isMultiFactor: isMultiFactor(claims, provider.mfa),
    authenticatedAt: typeof authTime === 'number' ? Math.min(authTime * 1_000, now) : null,
    isAdministrator: isAdministrator(claims, provider.adminClaim),
  };
}

/** The names a token may carry for what the operator allows. */
export function allowedAlgorithms({ algorithms }: Pick<OidcProvider, 'algorithms'>): readonly string[] {
  // RFC 9864 renames EdDSA.
  return algorithms.includes('EdDSA') ? [...algorithms, 'Ed25519'] : algorithms;
}

/** Only `true` vouches: some providers let people type any address (S-87). */
export function verifiedEmailOf({ email, email_verified: isVerified }: Claims): string | null {
  return isVerified === true && typeof email === 'string' && email.includes('@') ? email : null;
}

/** Absent is a single factor. */
function isMultiFactor({ acr, amr }: Claims, mfa: OidcProvider['mfa']): boolean {
  if (mfa === null) return false;
  if (typeof acr === 'string' && mfa.acr.includes(acr)) return true;
  return Array.isArray(amr) && mfa.amr.some((value) => amr.includes(value));
}

function isAdministrator(claims: Claims, wanted: OidcProvider['adminClaim']): boolean {
  if (wanted === null || !Object.hasOwn(claims, wanted.name)) return false;
  const claim = claims[wanted.name];
  return claim === wanted.value || (Array.isArray(claim) && claim.includes(wanted.value));
}
