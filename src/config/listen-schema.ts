import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { host, path, port } from './primitives.ts';

/** Certificate and key, PEM files. */
export const certificateFiles = z.strictObject({ cert: path, key: path });

export const notANetwork = 'must be an address, or a network such as 10.0.0.0/24';

/** One port for mail programs. */
export const listen = z
  .strictObject({
    door: z.enum(['imap', 'pop3', 'smtp']),
    host: host.default('::'),
    port,
    /** `starttls` begins in clear, where no password is ever taken (S-01). */
    tls: z.enum(['implicit', 'starttls']),
    /** Load balancers that begin each connection with a PROXY header; nobody else may connect then (wire 126). */
    proxy_protocol_from: z.array(z.string().refine(isNetwork, notANetwork)).default([]),
    /** TLS 1.0 and old ciphers, for app passwords that were given the scope `legacy-tls` (wire 123). */
    legacy_tls: z.boolean().default(false),
    /** In place of `tls.certificates`. */
    certificates: z.array(certificateFiles).min(1).optional(),
  })
  .transform(({ door, host, port, tls, proxy_protocol_from, legacy_tls, certificates }) => ({
    door,
    host,
    port,
    tls,
    proxyProtocolFrom: proxy_protocol_from,
    legacyTls: legacy_tls,
    certificates: certificates ?? null,
  }));

export type ListenSettings = z.output<typeof listen>;

/** A CIDR or single address. IPv4-mapped IPv6 would be ambiguous about what its prefix counts. */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const width = isIPv4(address) ? 32 : isIPv6(address) && !/^::ffff:|%/i.test(address) ? 128 : null;
  if (width === null || more.length > 0) return false;
  return bits === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= width);
}
