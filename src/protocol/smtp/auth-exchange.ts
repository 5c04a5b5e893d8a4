import { decodeBase64, encodeBase64 } from '../base64.ts';
import { saslLimits } from '../limits.ts';
import type { SaslCredentials } from '../sasl/credentials.ts';
import type { SaslMechanism } from '../sasl/mechanism.ts';
import { startExchange } from '../sasl/offered.ts';
import type { ClientReply } from './reply.ts';

export type AuthStep =
  /** `text` is the base64 behind 334, empty where the mechanism has nothing to say (RFC 4954 4). */
  | { readonly kind: 'challenge'; readonly text: string; readonly exchange: SaslMechanism }
  | {
      readonly kind: 'credentials';
      readonly credentials: SaslCredentials;
      readonly mechanism: SaslMechanism['name'];
    }
  /** Well formed and without a name to log in: to be answered like a wrong password. */
  | { readonly kind: 'nameless'; readonly mechanism: SaslMechanism['name'] }
  | { readonly kind: 'refused'; readonly reply: ClientReply };

/** Reads an AUTH command (RFC 4954 4), raw, in strict base64. Zeroes what it read. */
export function beginAuth(line: Buffer): AuthStep {
  const match = /^AUTH +([^ ]+)(?: +([^ ]+))? *$/i.exec(line.toString('latin1'));
  if (match?.[1] === undefined) return refused(501, '5.5.4', 'Syntax: AUTH mechanism');
  const exchange = startExchange(match[1]);
  if (exchange === null) return refused(504, '5.5.4', 'Unrecognized authentication type');
  if (match[2] === undefined) return respond(exchange, null);
  // RFC 4954 4: a lone "=" is an empty initial response.
  if (match[2] === '=') return respond(exchange, Buffer.alloc(0));
  const start = line.indexOf(match[2], line.indexOf(match[1]) + match[1].length);
  return decode(exchange, line.subarray(start, start + match[2].length));
}

/** Reads the client's answer to a challenge, raw. Zeroes what it read. */
export function continueAuth(exchange: SaslMechanism, line: Buffer): AuthStep {
  if (line.length === 1 && line[0] === 0x2a) return refused(501, '5.7.0', 'Authentication aborted');
  return decode(exchange, line);
}

function decode(exchange: SaslMechanism, text: Buffer): AuthStep {
  if (text.length > saslLimits.responseBytes) {
    return refused(500, '5.5.6', 'Authentication exchange line is too long');
  }
  const response = decodeBase64(text);
  text.fill(0);
  if (response === null) return refused(501, '5.5.2', 'Cannot decode base64');
  return respond(exchange, response);
}

function respond(exchange: SaslMechanism, response: Buffer | null): AuthStep {
  const step = exchange.next(response);
  switch (step.kind) {
    case 'challenge':
      return { kind: 'challenge', text: encodeBase64(step.challenge), exchange };
    case 'credentials':
      return { kind: 'credentials', credentials: step.credentials, mechanism: exchange.name };
    case 'failure':
      if (step.reason === 'no-authcid') return { kind: 'nameless', mechanism: exchange.name };
      return refused(501, '5.5.2', 'Malformed authentication response');
    default:
      return step satisfies never;
  }
}

function refused(code: number, enhanced: string, text: string): AuthStep {
  return { kind: 'refused', reply: { code, enhanced, text } };
}
