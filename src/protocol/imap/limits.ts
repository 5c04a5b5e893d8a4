/**
 * What bounds an IMAP client that has not logged in, and a backend during login: sizes in bytes and counts, each with its
 * origin. Together they keep what one connection can make the gateway hold under 96 KB (S-03).
 */
export const imapLimits = {
  /**
   * One command with its literals. RFC 2683 3.2.1.5 asks for lines of 8000; the largest command anybody sends before
   * login is an ID of 30 pairs at their longest, about 32 KB (wire 8).
   */
  commandBytes: 36 * 1024,
  /** RFC 7888 5: LITERAL- allows 4096. Held for both kinds of literal. */
  literalBytes: 4_096,
  /** An ID of 30 pairs, each key and value a literal, has 60. Each costs us an answer, so thousands may not come. */
  literals: 64,
  /** Dovecot takes tags of 126 (wire 12). */
  tagBytes: 128,
  /** Clients send fewer than ten. Bounds what pipelined `a NOOP` of a client that never reads can make us answer. */
  commands: 100,
  /** Dovecot's count (wire 11). The last one still is answered. */
  badCommands: 3,
  /** Thunderbird tries three ways with one password (wire 52, 54). The last one still is answered. */
  failedLogins: 4,
  /** What arrives while a login is pending: a read of 64 KB and the rest of the TLS record that held the login. */
  heldBytes: 80 * 1024,
  /** RFC 2971 3.3. */
  idPairs: 30,
  idKeyBytes: 30,
  idValueBytes: 1_024,
  /** One line of ours, in either direction: what RFC 2683 3.2.1.5 asks peers to take. */
  lineBytes: 8_000,
  /** The largest list known (Cyrus) stays under 2 KB. */
  capabilitiesBytes: 4_096,
  /** A backend's line, and all it sends until we are logged in there (S-52). */
  upstreamLineBytes: 8_192,
  upstreamLoginBytes: 64 * 1024,
} as const;
