import { decodeBase64, encodeBase64 } from '../base64.ts';
import { saslLimits } from '../limits.ts';
import type { LoginMethod } from '../preauth.ts';
import type { SaslCredentials } from '../sasl/credentials.ts';
import type { SaslMechanism } from '../sasl/mechanism.ts';
import { startExchange } from '../sasl/offered.ts';
import { parseAuthenticate } from './command-arguments.ts';
import { bad, end, reply } from './preauth-answer.ts';
import type { Connection, Exchange, Transition } from './preauth-state.ts';
import { continuation, tagged, untagged } from './response.ts';

/** The AUTHENTICATE command: RFC 3501 6.2.2 with the initial response of RFC 4959. */
export function authenticate(connection: Connection, tag: string, args: Buffer): Transition {
  const parsed = parseAuthenticate(args);
  if (parsed === null) return bad(connection, tag, 'Invalid argument to AUTHENTICATE.');
  const mechanism = startExchange(parsed.mechanism);
  // NO, so that the client tries its next one (wire 36).
  if (mechanism === null) return reply(connection, tagged(tag, 'NO', null, 'Unsupported mechanism.'));
  if (parsed.initial === null) return converse(connection, tag, mechanism, null);
  return decodeAndConverse(connection, tag, mechanism, parsed.initial);
}

/** The client's next line in an exchange; null where it has not arrived. */
export function readResponse({ connection, tag, mechanism }: Exchange): Transition | null {
  const outcome = connection.reader.nextLine(saslLimits.responseBytes);
  switch (outcome.kind) {
    case 'need-more':
      return null;
    case 'error':
      return end(connection, untagged('BYE', 'TOOBIG', 'Response too long.'));
    case 'line': {
      // RFC 3501 6.2.2: canceled, which is neither a mistake nor a failed login (wire 34).
      if (outcome.line.equals(Buffer.from('*'))) {
        return reply(connection, tagged(tag, 'BAD', null, 'Authentication canceled.'));
      }
      const transition = decodeAndConverse(connection, tag, mechanism, outcome.line);
      outcome.line.fill(0);
      return transition;
    }
    default:
      return outcome satisfies never;
  }
}

function decodeAndConverse(
  connection: Connection,
  tag: string,
  mechanism: SaslMechanism,
  text: Buffer,
): Transition {
  const response = decodeBase64(text);
  if (response === null) return bad(connection, tag, 'Invalid base64.');
  return converse(connection, tag, mechanism, response);
}

function converse(
  connection: Connection,
  tag: string,
  mechanism: SaslMechanism,
  response: Buffer | null,
): Transition {
  const next = mechanism.next(response);
  switch (next.kind) {
    case 'challenge': {
      const bytes = continuation(encodeBase64(next.challenge));
      return { state: { name: 'exchange', connection, tag, mechanism }, effects: [{ type: 'send', bytes }] };
    }
    case 'credentials':
      return logIn(connection, tag, next.credentials, mechanism.name);
    case 'failure':
      if (next.reason === 'malformed') return bad(connection, tag, `Invalid ${mechanism.name} response.`);
      return malformed(connection, tag, mechanism.name);
    default:
      return next satisfies never;
  }
}

/** Hands credentials over for a decision. */
export function logIn(
  connection: Connection,
  tag: string,
  credentials: SaslCredentials,
  mechanism: LoginMethod,
): Transition {
  const { authzid, authcid, password } = credentials;
  // A line end in a name or password can only be meant for the backend's side (wire 24).
  if ([authzid, authcid, password.bytes()].some((bytes) => bytes.includes('\r') || bytes.includes('\n'))) {
    password.wipe();
    return malformed(connection, tag, mechanism);
  }
  return {
    state: { name: 'verifying', connection, tag },
    effects: [{ type: 'log-in', credentials, mechanism }],
  };
}

/** Nobody's login is refused like a wrong password, and by whoever refuses those: it is counted and logged there. */
function malformed(connection: Connection, tag: string, mechanism: LoginMethod): Transition {
  return {
    state: { name: 'verifying', connection, tag },
    effects: [{ type: 'malformed-login', mechanism }],
  };
}
