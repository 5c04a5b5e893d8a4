import type { TlsState } from '../preauth.ts';
import { offeredMechanisms } from '../sasl/offered.ts';

/**
 * What CAPA lists before login (wire 142, RFC 2449 6, RFC 3206 6). Not UTF8 and LANG: Outlook says UTF8 after login to
 * whoever listed it, and takes -ERR for the end of the session. Not EXPIRE and IMPLEMENTATION, which are the backend's.
 */
export function preLoginCapabilities(tls: TlsState): readonly string[] {
  const general = ['UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING'];
  switch (tls) {
    case 'established':
      return ['TOP', 'USER', ...general, `SASL ${offeredMechanisms.join(' ')}`];
    case 'available':
      // RFC 2595 4: neither USER nor SASL where they are refused.
      return ['TOP', ...general, 'STLS'];
    default:
      return tls satisfies never;
  }
}
