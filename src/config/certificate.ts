import { X509Certificate } from 'node:crypto';

/** A certificate chain and its key, PEM, as read from the files the configuration names. */
export interface CertificateFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** The DNS names of a PEM certificate in lower case, and the type of its key: OpenSSL keeps one certificate of each. */
export function describe(cert: Buffer): { readonly names: readonly string[]; readonly keyType: string } {
  const certificate = new X509Certificate(cert);
  const entries = certificate.subjectAltName?.split(', ') ?? [];
  const names = entries
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase());
  return { names: [...new Set(names)], keyType: certificate.publicKey.asymmetricKeyType ?? 'unknown' };
}
