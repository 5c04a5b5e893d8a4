import { smtpLimits } from './limits.ts';
import { encodeXtext } from './xtext.ts';

/** Whom the backend is told it serves (XCLIENT, as Postfix and Dovecot take it). */
export interface ForwardedClient {
  /** IPv4 or IPv6, textual; a zone is left out. */
  readonly address: string;
  readonly port: number;
  /** Argument of EHLO or HELO as the client sent it. */
  readonly helo: string;
  readonly protocol: 'SMTP' | 'ESMTP';
}

/**
 * XCLIENT commands for the attributes the backend lists, none of them longer than 512 octets (wire 129, 130).
 * Empty where it lists none of ours. LOGIN is never sent: the backend shall see a proof, not a claim.
 */
export function xclientLines(client: ForwardedClient, listed: string): readonly string[] {
  const values: Readonly<Record<string, string>> = {
    // Left alone it keeps naming the gateway, and a rule for its name would serve everybody.
    NAME: '[UNAVAILABLE]',
    ADDR: client.address.includes(':') ? `IPV6:${client.address.replace(/%.*$/, '')}` : client.address,
    PORT: String(client.port),
    PROTO: client.protocol,
    HELO: client.helo,
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
