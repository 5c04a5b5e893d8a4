import { z } from 'zod';
import { domainName, path } from './primitives.ts';

/** What a provider may sign with. Never HS*, whose key the client holds too, and never none (S-86). */
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;

const claimText = z.string().min(1).max(255);

/** An identity provider that people of a domain sign in with. */
const provider = z
  .strictObject({
    /** Exactly as the provider's discovery document writes it. */
    issuer: z.string().max(500).refine(isIssuer, 'must be an https:// URL without query, fragment or user'),
    client_id: claimText,
    /** Any one of these three. */
    client_secret: z.string().min(1).max(1_000).optional(),
    client_secret_file: path.optional(),
    private_key_file: path.optional(),
    /** `kid` of the private key, where the provider has several of this client. */
    private_key_id: claimText.optional(),
    ca_file: path.optional(),
    algorithms: z
      .array(z.enum(algorithms))
      .min(1)
      .default([...algorithms]),
    /** Asked for beside `openid`. */
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/, 'must be a scope (RFC 6749 3.3)'))
      .default(['email']),
    /** Whether everybody there belongs to one organization: only then its e-mail claims say anything (S-87). */
    single_tenant: z.boolean().default(false),
    /** Whose addresses it may vouch for; all domains that sign in with it where left out. */
    domains: z.array(domainName).min(1).optional(),
    /** What its ID token says of a sign-in with a second factor; any one of the values, exactly. */
    mfa: z
      .strictObject({ acr: z.array(claimText).default([]), amr: z.array(claimText).default([]) })
      .refine(({ acr, amr }) => acr.length + amr.length > 0, 'needs at least one value of acr or amr')
      .optional(),
    /** Who is an administrator of the portal: the claim has this value, or holds it in a list. */
    admin_claim: z.strictObject({ name: claimText, value: claimText }).optional(),
    /** What the button calls it. */
    label: z.string().trim().min(1).max(60),
  })
  .refine(
    (file) =>
      [file.client_secret, file.client_secret_file, file.private_key_file].filter(
        (each) => each !== undefined,
      ).length === 1,
    { message: 'needs exactly one of client_secret, client_secret_file and private_key_file' },
  )
  .refine((file) => file.private_key_id === undefined || file.private_key_file !== undefined, {
    path: ['private_key_id'],
    message: 'is for private_key_file only',
  })
  .transform((file) => ({
    issuer: file.issuer,
    clientId: file.client_id,
    clientSecret: file.client_secret ?? null,
    clientSecretFile: file.client_secret_file ?? null,
    privateKeyFile: file.private_key_file ?? null,
    privateKeyId: file.private_key_id ?? null,
    caFile: file.ca_file ?? null,
    algorithms: file.algorithms,
    scopes: file.scopes,
    isSingleTenant: file.single_tenant,
    domains: file.domains ?? null,
    mfa: file.mfa ?? null,
    adminClaim: file.admin_claim ?? null,
    label: file.label,
  }));

/** By name, which stands in the redirect URI. */
export const oidc = z.record(z.string().regex(/^[a-z0-9-]{1,32}$/), provider).default({});

/** How people of a domain prove themselves to the portal. */
export const signIn = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('imap') }),
  z.strictObject({ method: z.literal('oidc'), provider: z.string() }),
]);

type ProviderFile = z.output<typeof provider>;
export type OidcProvider = Omit<ProviderFile, 'clientSecret'>;

/** Takes what is secret out, for a Config that can be shown whole. */
export function withoutClientSecrets(
  providers: Readonly<Record<string, ProviderFile>>,
): Readonly<Record<string, OidcProvider>> {
  return Object.fromEntries(
    Object.entries(providers).map(([name, { clientSecret: _, ...rest }]) => [name, rest]),
  );
}

/** Hosts only from the configuration, and only over TLS (S-51). */
function isIssuer(text: string): boolean {
  if (!/^https:\/\/[\x21-\x7e]+$/.test(text) || /[?#@\\]/.test(text)) return false;
  return URL.canParse(text);
}
