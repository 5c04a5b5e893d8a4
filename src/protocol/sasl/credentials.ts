import type { Secret } from '../../secret.ts';

/**
 * What a SASL exchange (or IMAP LOGIN) ends in: raw bytes as the client sent them, not yet decoded,
 * because old clients send Latin-1 (wire 25). `authzid` is empty where the client gave none.
 */
export interface SaslCredentials {
  readonly authzid: Buffer;
  readonly authcid: Buffer;
  readonly password: Secret;
}
