/** Of SASL, the same in every protocol that carries it; the protocols' own are in imap/limits.ts and smtp/limits.ts. */
export const saslLimits = {
  /** One response in base64, without its line end: RFC 4954 4 asks for 12288. */
  responseBytes: 12_288,
} as const;
