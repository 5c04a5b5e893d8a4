/**
 * Every size and count that bounds a peer who has not logged in, or a backend during login, with its origin.
 * Together they keep what one connection can make the gateway hold under 96 KB (S-03).
 */

/** One SASL response in base64, without its line end: RFC 4954 section 4 asks for 12288. */
export const SASL_RESPONSE_BYTES = 12_288;

/** What a reply may carry of a text that is not ours (wire 84). */
export const FOREIGN_TEXT_BYTES = 300;

/**
 * One IMAP command with its literals. RFC 2683 section 3.2.1.5 asks for lines of 8000; the largest command
 * anybody sends before login is an ID of 30 pairs at their longest, about 32 KB (wire 8).
 */
export const IMAP_COMMAND_BYTES = 36 * 1024;

/** RFC 7888 section 5: LITERAL- allows 4096. Held for both kinds of literal. */
export const IMAP_LITERAL_BYTES = 4_096;

/** An ID of 30 pairs, each key and value a literal, has 60. Each costs us an answer, so thousands may not come. */
export const IMAP_LITERALS = 64;

/** Dovecot takes tags of 126 (wire 12). */
export const IMAP_TAG_BYTES = 128;

/** Clients send fewer than ten. Bounds what pipelined `a NOOP` of a client that never reads can make us answer. */
export const IMAP_COMMANDS = 100;

/** Dovecot's count (wire 11). The last one still is answered. */
export const IMAP_BAD_COMMANDS = 3;

/** Thunderbird tries three ways with one password (wire 52, 54). The last one still is answered. */
export const IMAP_FAILED_LOGINS = 4;

/** What arrives while a login is pending: a read of 64 KB and the rest of the TLS record that held the login. */
export const IMAP_HELD_BYTES = 80 * 1024;

/** RFC 2971 section 3.3. */
export const IMAP_ID_PAIRS = 30;
export const IMAP_ID_KEY_BYTES = 30;
export const IMAP_ID_VALUE_BYTES = 1_024;

/** One line of ours, in either direction: what RFC 2683 section 3.2.1.5 asks peers to take. */
export const IMAP_LINE_BYTES = 8_000;

/** The largest list known (Cyrus) stays under 2 KB. */
export const IMAP_CAPABILITIES_BYTES = 4_096;

/** A backend's line, and all it sends until we are logged in there (S-52). */
export const IMAP_UPSTREAM_LINE_BYTES = 8_192;
export const IMAP_UPSTREAM_LOGIN_BYTES = 64 * 1024;
