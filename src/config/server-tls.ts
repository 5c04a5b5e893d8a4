import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import type { Config } from './schema.ts';
import type { CertificateFiles } from './secrets.ts';

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

/** TLS of the mail doors; whole again when the certificate files were replaced, because Node keeps no setting. */
export function mailTls(tls: Pick<Config['tls'], 'minVersion'>, certificate: CertificateFiles): TlsOptions {
  return serverTls(tls, certificate, [...modern, ...oldMailPrograms]);
}

/** TLS of the portal, for browsers. */
export function portalTls(tls: Pick<Config['tls'], 'minVersion'>, certificate: CertificateFiles): TlsOptions {
  return serverTls(tls, certificate, modern);
}

function serverTls(
  { minVersion }: Pick<Config['tls'], 'minVersion'>,
  { cert, key }: CertificateFiles,
  ciphers: readonly string[],
): TlsOptions {
  return {
    cert,
    key,
    minVersion,
    ciphers: ciphers.join(':'),
    honorCipherOrder: true,
    ecdhCurve: 'X25519MLKEM768:X25519:P-256:P-384',
    // A TLS 1.2 renegotiation is free work for the client and has confused parsers before (wire 117).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}
