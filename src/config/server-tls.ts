import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import type { CertificateFiles } from './certificate.ts';
import { chooseCertificates, findGroup } from './certificate-choice.ts';
import type { ListenSettings } from './listen-schema.ts';
import type { Config } from './schema.ts';

/** Forward secrecy and authenticated encryption only. */
const modern = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];
/** Apple Mail and Outlook on old TLS 1.2 stacks have nothing better (wire 122). */
const oldMailPrograms = [
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-RSA-AES256-SHA',
];

/** Windows 7 and devices of its time: no forward secrecy, SHA-1 (wire 123). What ends in 3DES or RC4 OpenSSL no longer has. */
const legacyMailPrograms = [
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
  // TLS 1.0 and 1.1 sign with SHA-1 and MD5, which OpenSSL has at its lowest level only.
  '@SECLEVEL=0',
];

/** TLS of one mail listener. */
export interface MailTls {
  /** Whole again whenever certificates are replaced, because Node keeps no setting. Without certificates. */
  readonly settings: TlsOptions;
  /** The first is for clients that name no server, or none of ours. */
  readonly certificates: readonly CertificateFiles[];
  /** TLS 1.0 and old ciphers: what comes over it is `legacy-tls` to the doors. */
  readonly isLegacy: boolean;
}

export function mailTls(
  { minVersion }: Pick<Config['tls'], 'minVersion'>,
  ...certificates: readonly CertificateFiles[]
): MailTls {
  return {
    settings: settingsOf(minVersion, [...modern, ...oldMailPrograms]),
    certificates,
    isLegacy: false,
  };
}

/** For a listener of its own, with app passwords of the scope `legacy-tls` (wire 123). */
export function legacyMailTls(...certificates: readonly CertificateFiles[]): MailTls {
  return {
    settings: settingsOf('TLSv1', [...modern, ...oldMailPrograms, ...legacyMailPrograms]),
    certificates,
    isLegacy: true,
  };
}

/** TLS of one entry of `listen`. */
export function listenerTls(
  { tls }: Pick<Config, 'tls'>,
  { legacyTls }: Pick<ListenSettings, 'legacyTls'>,
  certificates: readonly CertificateFiles[],
): MailTls {
  return legacyTls ? legacyMailTls(...certificates) : mailTls(tls, ...certificates);
}

/** Those that carry the name people open the portal by, where any does. */
export function portalCertificates(
  { portal }: Pick<Config, 'portal'>,
  { certificates }: { readonly certificates: readonly CertificateFiles[] },
): readonly CertificateFiles[] {
  const choice = chooseCertificates(certificates);
  return findGroup(choice, portal.publicUrl.hostname) ?? choice.standard;
}

/** TLS of the portal, for browsers: one certificate, or one of each key type. */
export function portalTls(
  { minVersion }: Pick<Config['tls'], 'minVersion'>,
  ...certificates: readonly CertificateFiles[]
): TlsOptions {
  return { ...settingsOf(minVersion, modern), ...certificatesOption(certificates) };
}

/** What Node takes several certificates of different key types as. */
export function certificatesOption(certificates: readonly CertificateFiles[]): {
  cert: Buffer[];
  key: Buffer[];
} {
  return { cert: certificates.map(({ cert }) => cert), key: certificates.map(({ key }) => key) };
}

function settingsOf(minVersion: 'TLSv1' | 'TLSv1.2' | 'TLSv1.3', ciphers: readonly string[]): TlsOptions {
  return {
    minVersion,
    ciphers: ciphers.join(':'),
    honorCipherOrder: true,
    ecdhCurve: 'X25519MLKEM768:X25519:P-256:P-384',
    // A TLS 1.2 renegotiation is free work for the client and has confused parsers before (wire 117).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}
