import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import { decodeAttestationObject } from '@simplewebauthn/server/helpers';
import { z } from 'zod';

const bytes = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9_-]+$/);
const credential = {
  id: bytes,
  rawId: bytes,
  type: z.literal('public-key'),
  clientExtensionResults: z.object({}).default({}),
};

const registration = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: bytes,
    attestationObject: bytes,
    transports: z
      .array(z.string().regex(/^[a-z-]{1,20}$/))
      .max(8)
      .default([]),
  }),
});

const authentication = z.object({
  ...credential,
  response: z.object({
    clientDataJSON: bytes,
    authenticatorData: bytes,
    signature: bytes,
    userHandle: bytes.nullish(),
  }),
});

const clientData = z.object({
  challenge: bytes,
  crossOrigin: z.boolean().optional(),
  topOrigin: z.unknown().optional(),
});

/** What a browser posted of an authenticator's answer, and the challenge that it says it answers. */
export interface Answered<R> {
  readonly response: R;
  readonly challenge: Buffer;
  readonly credentialId: Buffer;
}

/** null: no answer to a question of ours, or given in a frame of another site. */
export function readRegistration(text: string): Answered<RegistrationResponseJSON> | null {
  return read(text, registration) as Answered<RegistrationResponseJSON> | null;
}

/** As {@link readRegistration}. */
export function readAuthentication(text: string): Answered<AuthenticationResponseJSON> | null {
  return read(text, authentication) as Answered<AuthenticationResponseJSON> | null;
}

/** None was asked for. Of the formats only a key's own signature is let through: the others make us parse certificates. */
export function refuseAttestation(attestationObject: string): void {
  const decoded = decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, 'base64url')));
  const format = decoded.get('fmt');
  const isPlain =
    format === 'none' || (format === 'packed' && decoded.get('attStmt').get('x5c') === undefined);
  if (!isPlain) throw new Error(`attestation ${String(format).slice(0, 32)} was not asked for`);
}

function read(
  text: string,
  schema: typeof registration | typeof authentication,
): Answered<z.output<typeof schema>> | null {
  const { data } = schema.safeParse(parsed(text));
  if (data === undefined) return null;
  const client = clientData.safeParse(
    parsed(Buffer.from(data.response.clientDataJSON, 'base64url').toString('utf8')),
  ).data;
  // simplewebauthn looks at neither when a key is made, and lets a bare `crossOrigin` pass otherwise (S-78).
  if (client === undefined || client.crossOrigin === true || client.topOrigin !== undefined) return null;
  const challenge = Buffer.from(client.challenge, 'base64url');
  const credentialId = Buffer.from(data.rawId, 'base64url');
  // W3C WebAuthn L3 7.1: longer ids are refused.
  if (challenge.length !== 32 || credentialId.length > 1_023) return null;
  return { response: data, challenge, credentialId };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
