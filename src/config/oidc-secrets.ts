import { createPrivateKey, type KeyObject } from 'node:crypto';
import { Secret } from '../secret.ts';
import type { OidcProvider } from './oidc-schema.ts';
import type { Findings } from './read-certificates.ts';
import { readSetting } from './setting-file.ts';

/** How the gateway proves itself to an identity provider. */
export type OidcClientProof =
  | { readonly kind: 'secret'; readonly secret: Secret }
  | { readonly kind: 'key'; readonly key: KeyObject };

/** Of each provider by name; what cannot be read or used is added to the problems and left out. */
export async function readOidcSecrets(
  providers: Readonly<Record<string, OidcProvider & { readonly clientSecret: string | null }>>,
  { problems, warnings }: Findings,
): Promise<ReadonlyMap<string, OidcClientProof>> {
  const proofs = new Map<string, OidcClientProof>();
  for (const [name, { clientSecret, clientSecretFile, privateKeyFile }] of Object.entries(providers)) {
    if (clientSecret !== null) {
      proofs.set(name, { kind: 'secret', secret: Secret.fromText(clientSecret) });
      warnings.push(`oidc.${name}.client_secret: stands in the configuration; prefer client_secret_file`);
    }
    if (clientSecretFile !== null) {
      const setting = `oidc.${name}.client_secret_file`;
      const content = await readSetting(setting, clientSecretFile, problems);
      const text = content?.toString('utf8').replace(/\r?\n$/, '');
      if (text === '') problems.push(`${setting}: ${clientSecretFile} is empty`);
      else if (text !== undefined && /[\x00-\x1f\x7f]/.test(text)) {
        problems.push(`${setting}: the secret holds a control character or a second line`);
      } else if (text !== undefined) proofs.set(name, { kind: 'secret', secret: Secret.fromText(text) });
    }
    if (privateKeyFile !== null) {
      const setting = `oidc.${name}.private_key_file`;
      const pem = await readSetting(setting, privateKeyFile, problems);
      const key = pem === null ? null : readKey(pem);
      if (typeof key === 'string') problems.push(`${setting}: ${privateKeyFile} ${key}`);
      else if (key !== null) proofs.set(name, { kind: 'key', key });
    }
  }
  return proofs;
}

/** The key, or what is wrong with it. */
function readKey(pem: Buffer): KeyObject | string {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    return 'holds no private key without a passphrase';
  }
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  const isUsable =
    (key.asymmetricKeyType === 'rsa' && modulusLength >= 2_048) ||
    (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') ||
    key.asymmetricKeyType === 'ed25519';
  return isUsable ? key : 'must hold an RSA key of 2048 bits or more, a P-256 or an Ed25519 key';
}
