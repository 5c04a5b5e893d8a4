/*
 * What a stranger can do on a POP3 connection, up to a successful login: read this file top to bottom, then
 * preauth-authenticate.ts. Bytes go in as events, what is to be done comes out as effects. Only `accepted`, the
 * answer to `log-in`, leads to `splice`. No state holds a password: credentials exist in the `log-in` effect
 * alone. Whatever arrives, a state holds no more than limits.ts allows.
 */

import { Secret } from '../../secret.ts';
import { isForeignProtocol } from '../foreign-protocol.ts';
import type { PreauthEffect, TlsState } from '../preauth.ts';
import { preLoginCapabilities } from './capability.ts';
import { type Command, isBlank, parseCommand, parsePass, parseUser } from './command.ts';
import { pop3Limits } from './limits.ts';
import { LineReader } from './line-reader.ts';
import { bad, end, failed, privacyRequired, reply } from './preauth-answer.ts';
import { authenticate, logIn, readResponse } from './preauth-authenticate.ts';
import type {
  Connection,
  Named,
  Pop3Accepted,
  Pop3Refusal,
  PreauthEvent,
  PreauthState,
  Ready,
  Transition,
  Verifying,
} from './preauth-state.ts';
import { err, listing, ok } from './response.ts';

export type { PreauthEvent, PreauthState } from './preauth-state.ts';

/** The state of a connection that has not been greeted; `tls` is `established` where the port begins with TLS. */
export function start(hostname: string, tls: TlsState): PreauthState {
  return { name: 'silent', hostname, tls };
}

/**
 * Takes one event. Expected anywhere and without effect after `close`: an answer may come late. Throws on an
 * event that makes no sense in this state, such as `accepted` without a login: that is the caller's fault.
 */
export function step(state: PreauthState, event: PreauthEvent): Transition {
  if (state.name === 'closed') return { state, effects: [] };
  switch (event.type) {
    case 'connected':
      return greet(state);
    case 'received':
      return receive(state, event.bytes);
    case 'tls-established':
      return secure(state);
    case 'accepted':
      return accept(verifying(state), event.accepted);
    case 'refused':
      return refuse(verifying(state), event.refusal, event.countsAsFailure);
    // RFC 1939 3 would have us say nothing; a client that has just logged in would call that a broken server.
    case 'expired':
      return farewell(state, 'Disconnected for inactivity.');
    case 'draining':
      return farewell(state, 'Server shutting down.');
    default:
      return event satisfies never;
  }
}

/** Without `<…@…>`, which would offer APOP (wire 142). */
function greet(state: PreauthState): Transition {
  if (state.name !== 'silent') throw new Error(`POP3 connection greeted in state ${state.name}`);
  const connection: Connection = {
    reader: newReader(),
    tls: state.tls,
    commands: 0,
    badCommands: 0,
    failedLogins: 0,
  };
  return reply(connection, ok(`${state.hostname} ready`));
}

/** A new reader, so that no byte sent in clear is read as sent in TLS (S-02); no greeting (RFC 2595 4). */
function secure(state: PreauthState): Transition {
  if (state.name !== 'handshake') throw new Error(`POP3 connection secured in state ${state.name}`);
  const connection: Connection = { ...state.connection, reader: newReader(), tls: 'established' };
  return { state: { name: 'ready', connection }, effects: [] };
}

/** Reads as many commands as have arrived, one after the other, and holds what comes behind a login. */
function receive(from: PreauthState, bytes: Buffer): Transition {
  if (from.name === 'silent' || from.name === 'spliced') {
    throw new Error(`POP3 connection received bytes in state ${from.name}`);
  }
  // Sent behind STLS, in clear: by whoever stands between, because the client waits for our +OK (wire 113).
  if (from.name === 'handshake') return { state: from, effects: [] };
  const effects: PreauthEffect[] = [];
  let state: PreauthState = from;
  let rest = bytes;
  while (state.name === 'ready' || state.name === 'named' || state.name === 'exchange') {
    const next: Transition | null = state.name === 'exchange' ? readResponse(state) : readCommand(state);
    if (next !== null) {
      effects.push(...next.effects);
      state = next.state;
    } else if (rest.length > 0) {
      rest = rest.subarray(state.connection.reader.receive(rest));
    } else {
      break;
    }
  }
  if (state.name === 'verifying' && !state.connection.reader.hold(rest)) {
    const ended = end(state.connection, err('SYS/TEMP', 'Too much input during login.'));
    return { state: ended.state, effects: [...effects, ...ended.effects] };
  }
  return { state, effects };
}

function readCommand(state: Ready | Named): Transition | null {
  const { connection } = state;
  const outcome = connection.reader.next();
  switch (outcome.kind) {
    case 'need-more':
      return null;
    case 'too-long':
      return end(connection, err(null, 'Line too long.'));
    case 'line': {
      if (isBlank(outcome.line)) return { state, effects: [] };
      if (isForeignProtocol(outcome.line)) return end(connection, err(null, 'This is a POP3 server.'));
      if (connection.commands === pop3Limits.commands) {
        return end(connection, err(null, 'Too many commands before login.'));
      }
      const user = state.name === 'named' ? state.user : null;
      const counted = { ...connection, commands: connection.commands + 1 };
      const transition = perform(counted, user, parseCommand(outcome.line));
      // Any line may hold a password, a misspelled PASS too.
      outcome.line.fill(0);
      return transition;
    }
    default:
      return outcome satisfies never;
  }
}

function perform(connection: Connection, user: Buffer | null, { name, args }: Command): Transition {
  const hasArguments = args !== null && !isBlank(args);
  switch (name) {
    // RFC 2449 5
    case 'CAPA':
      if (hasArguments) return bad(connection, 'CAPA takes no arguments.');
      return reply(connection, listing(preLoginCapabilities(connection.tls)));
    // RFC 1939 7
    case 'USER': {
      // Refused before the client says PASS: that it was too early must not cost it its password.
      if (connection.tls === 'available') return privacyRequired(connection, 'nothing-exposed');
      const named = parseUser(args);
      if (named === null) return bad(connection, 'Invalid argument to USER.');
      // Whether somebody has that name is not told (wire 143).
      return {
        state: { name: 'named', connection, user: named },
        effects: [{ type: 'send', bytes: ok('') }],
      };
    }
    case 'PASS': {
      if (connection.tls === 'available') return privacyRequired(connection, 'exposed');
      if (user === null) return bad(connection, 'Say USER first.');
      const password = parsePass(args);
      if (password === null) return bad(connection, 'Invalid argument to PASS.');
      const credentials = { authzid: Buffer.alloc(0), authcid: user, password: new Secret(password) };
      return logIn(connection, credentials, 'USER and PASS');
    }
    case 'AUTH':
      return authenticate(connection, args);
    // RFC 2595 4, whose words these are
    case 'STLS':
      if (hasArguments) return bad(connection, 'STLS takes no arguments.');
      if (connection.tls === 'established') return bad(connection, 'Command not permitted when TLS active.');
      return startTls(connection);
    // RFC 1939 4, 5
    case 'QUIT':
      if (hasArguments) return bad(connection, 'QUIT takes no arguments.');
      return end(connection, ok('Logging out.'));
    // Of this state by RFC 1939 7 and RFC 6856 2, 3. Clients say them on the off chance, which is no mistake.
    case 'APOP':
    case 'UTF8':
    case 'LANG':
      return reply(connection, err(null, `${name} is not supported.`));
    default:
      return bad(connection, 'Unknown command, or log in first.');
  }
}

/** Whatever was sent behind STLS was sent in clear, by whomever: it is dropped, half a line too (wire 111, 112). */
function startTls(connection: Connection): Transition {
  const { reader, tls: _, ...kept } = connection;
  reader.clear();
  return {
    state: { name: 'handshake', connection: kept },
    effects: [{ type: 'send', bytes: ok('Begin TLS negotiation now.') }, { type: 'start-tls' }],
  };
}

function accept({ connection }: Verifying, { text }: Pop3Accepted): Transition {
  return {
    state: { name: 'spliced' },
    effects: [
      { type: 'send', bytes: ok(text) },
      { type: 'splice', leftover: connection.reader.takeAll() },
    ],
  };
}

/** The refusal, and the answers to what had been sent behind the login: those bytes are ours now (wire 57). */
function refuse({ connection }: Verifying, refusal: Pop3Refusal, countsAsFailure: boolean): Transition {
  const refused = failed(connection, refusal, countsAsFailure);
  if (refused.state.name === 'closed') return refused;
  const resumed = receive(refused.state, Buffer.alloc(0));
  return { state: resumed.state, effects: [...refused.effects, ...resumed.effects] };
}

function verifying(state: PreauthState): Verifying {
  if (state.name !== 'verifying') throw new Error(`POP3 login answered in state ${state.name}`);
  return state;
}

/**
 * Ends a connection from our side: not its password's fault (wire 47). During a handshake nothing is said, because it
 * would be in clear (wire 118). After login it is not for here: a line of ours would break a splice (wire 62).
 */
function farewell(state: PreauthState, text: string): Transition {
  switch (state.name) {
    case 'silent':
    case 'handshake':
      return { state: { name: 'closed' }, effects: [{ type: 'close' }] };
    case 'ready':
    case 'named':
    case 'exchange':
    case 'verifying':
      return end(state.connection, err('SYS/TEMP', text));
    case 'spliced':
    case 'closed':
      return { state, effects: [] };
    default:
      return state satisfies never;
  }
}

function newReader(): LineReader {
  return new LineReader(pop3Limits.lineBytes, pop3Limits.heldBytes);
}
