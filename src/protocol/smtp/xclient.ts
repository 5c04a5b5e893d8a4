import type { ForwardedPeer } from '../forwarded-peer.ts';
import { smtpLimits } from './limits.ts';
import { encodeXtext } from './xtext.ts';

/**
 * XCLIENT commands, as Postfix and Dovecot take them, for the attributes the backend lists, none of them longer than
 * 512 octets (wire 129, 130). Empty where it lists none of ours; a zone of the address is left out. LOGIN is never sent: the backend shall see a proof, not a claim.
 */
export function xclientLines(peer: ForwardedPeer, listed: string): readonly string[] {
  const values: Readonly<Record<string, string>> = {
    // Left alone it keeps naming the gateway, and a rule for its name would serve everybody.
    NAME: '[UNAVAILABLE]',
    ADDR: addressOf(peer.address),
    PORT: String(peer.port),
    PROTO: peer.helo?.isExtended === true ? 'ESMTP' : 'SMTP',
    HELO: peer.helo?.name ?? '',
    DESTADDR: addressOf(peer.localAddress),
    DESTPORT: String(peer.localPort),
    // Dovecot logs it, so that its lines and ours are found by one word.
    SESSION: peer.sessionId,
  };
  const known = new Set(listed.toUpperCase().split(' '));
  const lines: string[] = [];
  let line = 'XCLIENT';
  for (const [attribute, value] of Object.entries(values)) {
    if (!known.has(attribute)) continue;
    const encoded = encodeXtext(Buffer.from(value, 'latin1').subarray(0, smtpLimits.heloBytes));
    // Tripled by encoding, a value of the greatest length does not fit a line.
    const fits = encoded !== null && encoded !== '' && encoded.length <= smtpLimits.backendLineBytes - 20;
    const word = `${attribute}=${fits ? encoded : '[UNAVAILABLE]'}`;
    if (line !== 'XCLIENT' && line.length + 1 + word.length + 2 > smtpLimits.backendLineBytes) {
      lines.push(line);
      line = 'XCLIENT';
    }
    line += ` ${word}`;
  }
  return line === 'XCLIENT' ? lines : [...lines, line];
}

function addressOf(address: string): string {
  return address.includes(':') ? `IPV6:${address.replace(/%.*$/, '')}` : address;
}
