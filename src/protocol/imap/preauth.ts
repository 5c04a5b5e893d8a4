/*
 * What a stranger can do on an IMAP connection, up to a successful login: read this file top to bottom, then
 * preauth-authenticate.ts. Bytes go in as events, what is to be done comes out as effects. Only `accepted`, the
 * answer to `log-in`, leads to `splice`. No state holds a password: credentials exist in the `log-in` effect
 * alone. Whatever arrives, a state holds no more than limits.ts allows.
 */

import type { TlsState } from '../preauth.ts';
import { preLoginCapabilities } from './capability.ts';
import { parseAuthenticate, parseId, parseLogin } from './command-arguments.ts';
import { type Command, CommandReader, type ReadOutcome } from './command-reader.ts';
import { imapLimits } from './limits.ts';
import { bad, end, failed, privacyRequired, reply } from './preauth-answer.ts';
import { authenticate, logIn, readResponse } from './preauth-authenticate.ts';
import type {
  Accepted,
  Connection,
  PreauthEffect,
  PreauthEvent,
  PreauthState,
  Ready,
  Refusal,
  Transition,
  Verifying,
} from './preauth-state.ts';
import { continuation, tagged, untagged, untaggedData } from './response.ts';

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
    case 'expired':
      return farewell(state, untagged('BYE', null, 'Disconnected for inactivity.'));
    case 'draining':
      return farewell(state, untagged('BYE', 'UNAVAILABLE', 'Server shutting down.'));
    default:
      return event satisfies never;
  }
}

function greet(state: PreauthState): Transition {
  if (state.name !== 'silent') throw new Error(`IMAP connection greeted in state ${state.name}`);
  const connection: Connection = {
    reader: new CommandReader(),
    tls: state.tls,
    commands: 0,
    badCommands: 0,
    failedLogins: 0,
    hasAskedCapability: false,
    hasBeenWarned: false,
  };
  // Some clients never ask: wire 1.
  const capabilities = `CAPABILITY ${preLoginCapabilities(state.tls)}`;
  return reply(connection, untagged('OK', capabilities, `${state.hostname} ready`));
}

/** A new reader, so that no byte sent in clear is read as sent in TLS (S-02); no greeting (RFC 3501 6.2.1). */
function secure(state: PreauthState): Transition {
  if (state.name !== 'handshake') throw new Error(`IMAP connection secured in state ${state.name}`);
  const fresh = { reader: new CommandReader(), tls: 'established', hasAskedCapability: false } as const;
  return { state: { name: 'ready', connection: { ...state.connection, ...fresh } }, effects: [] };
}

/** Reads as many commands as have arrived, one after the other, and holds what comes behind a login. */
function receive(from: PreauthState, bytes: Buffer): Transition {
  if (from.name === 'silent' || from.name === 'spliced') {
    throw new Error(`IMAP connection received bytes in state ${from.name}`);
  }
  // Sent behind STARTTLS, in clear: by whoever stands between, because the client waits for our OK (wire 113).
  if (from.name === 'handshake') return { state: from, effects: [] };
  const effects: PreauthEffect[] = [];
  let state: PreauthState = from;
  let rest = bytes;
  while (state.name === 'ready' || state.name === 'exchange') {
    const next: Transition | null = state.name === 'ready' ? readCommand(state) : readResponse(state);
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
    const ended = end(state.connection, untagged('BYE', null, 'Too much input during login.'));
    return { state: ended.state, effects: [...effects, ...ended.effects] };
  }
  return { state, effects };
}

function readCommand({ connection }: Ready): Transition | null {
  const outcome = connection.reader.next((name) => takesLiterals(name, connection.tls));
  switch (outcome.kind) {
    case 'need-more':
      return null;
    case 'need-continuation':
      return reply(connection, continuation('OK'));
    case 'error':
    case 'command': {
      // The unreadable ones too: each is answered (S-03).
      if (connection.commands === imapLimits.commands) {
        return end(connection, untagged('BYE', null, 'Too many commands before login.'));
      }
      const counted = { ...connection, commands: connection.commands + 1 };
      return outcome.kind === 'error'
        ? unreadable(counted, outcome)
        : performAndForget(counted, outcome.command);
    }
    default:
      return outcome satisfies never;
  }
}

/** In clear no `+` may ask for a password (wire 29). */
function takesLiterals(name: string, tls: TlsState): boolean {
  return name === 'ID' || (name === 'LOGIN' && tls === 'established');
}

function unreadable(connection: Connection, error: ReadOutcome & { kind: 'error' }): Transition {
  switch (error.problem) {
    case 'syntax':
      return bad(connection, error.tag, 'Not an IMAP command.');
    case 'literal-refused':
      if (error.tag !== null && error.name === 'LOGIN' && connection.tls === 'available') {
        return privacyRequired(connection, error.tag, 'nothing-exposed');
      }
      return bad(connection, error.tag, 'Literal not accepted.');
    // Where the next command would begin, only the peer knows: going on could run its data as commands (wire 20).
    case 'literal-too-large':
      return end(connection, untagged('BYE', 'TOOBIG', 'Literal too large.'));
    case 'too-long':
      return end(connection, untagged('BYE', 'TOOBIG', 'Command too long.'));
    case 'other-protocol':
      return end(connection, untagged('BAD', null, 'This is an IMAP server.'));
    default:
      return error.problem satisfies never;
  }
}

/** Any command may hold a password, a misspelled LOGIN too. */
function performAndForget(connection: Connection, command: Command): Transition {
  const transition = perform(connection, command);
  command.args.fill(0);
  return transition;
}

function perform(connection: Connection, { tag, name, args }: Command): Transition {
  const hasArguments = args.some((byte) => byte !== 0x20);
  switch (name) {
    // RFC 3501 6.1.1
    case 'CAPABILITY': {
      if (hasArguments) return bad(connection, tag, 'CAPABILITY takes no arguments.');
      const list = untaggedData(`CAPABILITY ${preLoginCapabilities(connection.tls)}`);
      return reply(
        { ...connection, hasAskedCapability: true },
        list,
        tagged(tag, 'OK', null, 'CAPABILITY completed.'),
      );
    }
    // RFC 3501 6.1.2
    case 'NOOP':
      if (hasArguments) return bad(connection, tag, 'NOOP takes no arguments.');
      return reply(connection, tagged(tag, 'OK', null, 'NOOP completed.'));
    // RFC 3501 6.1.3: BYE first.
    case 'LOGOUT':
      if (hasArguments) return bad(connection, tag, 'LOGOUT takes no arguments.');
      return end(
        connection,
        untagged('BYE', null, 'Logging out.'),
        tagged(tag, 'OK', null, 'LOGOUT completed.'),
      );
    // RFC 2971 3.1
    case 'ID': {
      const fields = parseId(args);
      if (fields === null) return bad(connection, tag, 'Invalid ID list.');
      const answer = reply(
        connection,
        untaggedData('ID ("name" "Sallyport")'),
        tagged(tag, 'OK', null, 'ID completed.'),
      );
      return { state: answer.state, effects: [{ type: 'identify', ...fields }, ...answer.effects] };
    }
    // RFC 5161 allows it after login only; clients that send it early do not survive BAD (wire 6).
    case 'ENABLE':
      return reply(
        connection,
        untaggedData('ENABLED'),
        tagged(tag, 'OK', null, 'ENABLE has no effect before login.'),
      );
    // RFC 3501 6.2.1
    case 'STARTTLS':
      if (hasArguments) return bad(connection, tag, 'STARTTLS takes no arguments.');
      if (connection.tls === 'established') return bad(connection, tag, 'TLS is already active.');
      return startTls(connection, tag);
    // RFC 3501 6.2.3
    case 'LOGIN': {
      if (connection.tls === 'available') return privacyRequired(connection, tag, 'exposed');
      const parsed = parseLogin(args);
      if (parsed.kind === 'bad') return bad(connection, tag, parsed.text);
      const credentials = { authzid: Buffer.alloc(0), authcid: parsed.name, password: parsed.password };
      return logIn(connection, tag, credentials, 'LOGIN command');
    }
    // RFC 3501 6.2.2
    case 'AUTHENTICATE':
      if (connection.tls === 'available') {
        const hasResponse = parseAuthenticate(args)?.initial != null;
        return privacyRequired(connection, tag, hasResponse ? 'exposed' : 'nothing-exposed');
      }
      return authenticate(connection, tag, args);
    default:
      return bad(connection, tag, 'Unknown command, or log in first.');
  }
}

/** What stands behind the line is nobody's: it came in clear (wire 111, 112). */
function startTls({ reader, tls: _, hasAskedCapability: __, ...kept }: Connection, tag: string): Transition {
  reader.clear();
  return {
    state: { name: 'handshake', connection: kept },
    effects: [
      { type: 'send', bytes: tagged(tag, 'OK', null, 'Begin TLS negotiation now.') },
      { type: 'start-tls' },
    ],
  };
}

function accept({ connection, tag }: Verifying, { capabilities, text }: Accepted): Transition {
  const list = capabilities === null ? null : `CAPABILITY ${capabilities}`;
  const ok = tagged(tag, 'OK', list, text);
  const bytes = list !== null && connection.hasAskedCapability ? Buffer.concat([untaggedData(list), ok]) : ok;
  return {
    state: { name: 'spliced' },
    effects: [
      { type: 'send', bytes },
      { type: 'splice', leftover: connection.reader.takeAll() },
    ],
  };
}

/** The refusal, and the answers to what had been sent behind the login: those bytes are ours now (wire 57). */
function refuse({ connection, tag }: Verifying, refusal: Refusal, countsAsFailure: boolean): Transition {
  const refused = failed(connection, tag, refusal, countsAsFailure);
  if (refused.state.name === 'closed') return refused;
  const resumed = receive(refused.state, Buffer.alloc(0));
  return { state: resumed.state, effects: [...refused.effects, ...resumed.effects] };
}

function verifying(state: PreauthState): Verifying {
  if (state.name !== 'verifying') throw new Error(`IMAP login answered in state ${state.name}`);
  return state;
}

/** Ends a connection from our side. After login that is not for here: a line of ours would break a splice (wire 62). */
function farewell(state: PreauthState, line: Buffer): Transition {
  switch (state.name) {
    case 'silent':
    // A word in clear now would be taken for one in TLS (wire 118).
    case 'handshake':
      return { state: { name: 'closed' }, effects: [{ type: 'close' }] };
    case 'ready':
    case 'exchange':
    case 'verifying':
      return end(state.connection, line);
    case 'spliced':
    case 'closed':
      return { state, effects: [] };
    default:
      return state satisfies never;
  }
}
