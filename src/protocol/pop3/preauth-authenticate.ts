import { decodeBase64, encodeBase64 } from '../base64.ts';
import { saslLimits } from '../limits.ts';
import type { LoginMethod } from '../preauth.ts';
import type { SaslCredentials } from '../sasl/credentials.ts';
import type { SaslMechanism } from '../sasl/mechanism.ts';
import { offeredMechanisms, startExchange } from '../sasl/offered.ts';
import { isBlank, parseAuth } from './command.ts';
import { bad, end, privacyRequired, reply } from './preauth-answer.ts';
import type { Connection, Exchange, Transition } from './preauth-state.ts';
import { continuation, err, listing } from './response.ts';

/** The AUTH command (RFC 5034 4). Without arguments it asks for the mechanisms, which Outlook does first (wire 144). */
export function authenticate(connection: Connection, args: Buffer | null): Transition {
  const parsed = args === null || isBlank(args) ? 'list' : parseAuth(args);
  if (connection.tls === 'available') {
    const isExposed = parsed !== null && parsed !== 'list' && parsed.initial !== null;
    return privacyRequired(connection, isExposed ? 'exposed' : 'nothing-exposed');
  }
  if (parsed === 'list') return reply(connection, listing(offeredMechanisms));
  if (parsed === null) return bad(connection, 'Invalid argument to AUTH.');
  const mechanism = startExchange(parsed.mechanism);
  // Not counted: the client tries its next one (wire 36).
  if (mechanism === null) return reply(connection, err(null, 'Unsupported mechanism.'));
  if (parsed.initial === null) return converse(connection, mechanism, null);
  return decodeAndConverse(connection, mechanism, parsed.initial);
}

/** The client's next line in an exchange; null where it has not arrived. */
export function readResponse({ connection, mechanism }: Exchange): Transition | null {
  const outcome = connection.reader.next(saslLimits.responseBytes);
  switch (outcome.kind) {
    case 'need-more':
      return null;
    case 'too-long':
      return end(connection, err(null, 'Response too long.'));
    case 'line': {
      // RFC 5034 4: canceled, which is neither a mistake nor a failed login (wire 34, 145).
      if (outcome.line.equals(Buffer.from('*'))) {
        return reply(connection, err(null, 'Authentication canceled.'));
      }
      const transition = decodeAndConverse(connection, mechanism, outcome.line);
      outcome.line.fill(0);
      return transition;
    }
    default:
      return outcome satisfies never;
  }
}

function decodeAndConverse(connection: Connection, mechanism: SaslMechanism, text: Buffer): Transition {
  const response = decodeBase64(text);
  if (response === null) return bad(connection, 'Invalid base64.');
  return converse(connection, mechanism, response);
}

function converse(connection: Connection, mechanism: SaslMechanism, response: Buffer | null): Transition {
  const next = mechanism.next(response);
  switch (next.kind) {
    case 'challenge': {
      const bytes = continuation(encodeBase64(next.challenge));
      return { state: { name: 'exchange', connection, mechanism }, effects: [{ type: 'send', bytes }] };
    }
    case 'credentials':
      return logIn(connection, next.credentials, mechanism.name);
    case 'failure':
      if (next.reason === 'malformed') return bad(connection, `Invalid ${mechanism.name} response.`);
      return malformed(connection, mechanism.name);
    default:
      return next satisfies never;
  }
}

/** Hands credentials over for a decision. */
export function logIn(
  connection: Connection,
  credentials: SaslCredentials,
  mechanism: LoginMethod,
): Transition {
  const { authzid, authcid, password } = credentials;
  // A line end in a name or password can only be meant for the backend's side (wire 24).
  if ([authzid, authcid, password.bytes()].some((bytes) => bytes.includes('\r') || bytes.includes('\n'))) {
    password.wipe();
    return malformed(connection, mechanism);
  }
  return {
    state: { name: 'verifying', connection },
    effects: [{ type: 'log-in', credentials, mechanism }],
  };
}

/** Nobody's login is refused like a wrong password, and by whoever refuses those: it is counted and logged there. */
function malformed(connection: Connection, mechanism: LoginMethod): Transition {
  return { state: { name: 'verifying', connection }, effects: [{ type: 'malformed-login', mechanism }] };
}
