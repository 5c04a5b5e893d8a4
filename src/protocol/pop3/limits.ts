/**
 * What bounds a POP3 client that has not logged in, and a backend during login: sizes in bytes and counts, each with its
 * origin. Together they keep what one connection can make the gateway hold under 96 KB (S-03).
 */
export const pop3Limits = {
  /**
   * A client's line without its end. RFC 2449 4 has 255, which a PASS of 255 octets already breaks (wire 30), and clients
   * put initial responses of any length behind AUTH: a SASL response of 12288 with its command.
   */
  lineBytes: 12_544,
  /** Clients send fewer than ten. Bounds what pipelined CAPAs of a client that never reads can make us answer. */
  commands: 100,
  /** As for IMAP, and Dovecot's count for POP3 too (wire 11). The last one still is answered. */
  badCommands: 3,
  /** Thunderbird tries three ways with one password (wire 52, 54). The last one still is answered. */
  failedLogins: 4,
  /** What arrives while a login is pending: a read of 64 KB and the rest of the TLS record that held the login. */
  heldBytes: 80 * 1024,
  /** A line of ours toward a client: RFC 2449 4 has 512 with its end. Longer texts are cut. */
  replyLineBytes: 512,
  /** A command of ours toward a backend, with its end (RFC 5034 4, RFC 2449 4). Beyond it AUTH goes in two steps. */
  commandLineBytes: 255,
  /** XCLIENT with its end (wire 130). Dovecot itself takes 1024. */
  xclientLineBytes: 512,
  /** A SASL response toward a backend, with its end: RFC 5034 4 has what the mechanism needs, RFC 4954 4 names 12288. */
  responseLineBytes: 12_290,
  /** A backend's line (S-52). It sends one for each of ours, fewer than eight in all. */
  upstreamLineBytes: 8_192,
  /** What a backend may send at once: a line, and a read of 64 KB behind the last one. */
  upstreamHeldBytes: 80 * 1024,
} as const;
