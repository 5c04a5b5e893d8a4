import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import type { CertificateFiles } from '../config/load.ts';
import type { Config } from '../config/schema.ts';

/** Forward secrecy only; the CBC suites at the end are for Apple Mail and Outlook on old TLS 1.2 stacks (wire 122). */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-RSA-AES256-SHA384',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-RSA-AES256-SHA',
].join(':');

/** TLS of the mail doors; the same object is used again when the certificate files were replaced. */
export function mailTlsOptions(tls: Config['tls'], certificate: CertificateFiles): TlsOptions {
  return {
    cert: certificate.cert,
    key: certificate.key,
    minVersion: tls.minVersion,
    ciphers,
    honorCipherOrder: true,
    // A TLS 1.2 renegotiation is free work for the client and has confused parsers before (wire 117).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ecdhCurve: 'X25519MLKEM768:X25519:P-256:P-384',
  };
}
