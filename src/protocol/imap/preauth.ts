/*
 * What a stranger can do on an IMAP connection, up to a successful login: read this file top to bottom, then
 * preauth-authenticate.ts. Bytes go in as events, what is to be done comes out as effects. Only `accepted`, the
 * answer to `log-in`, leads to `splice`. No state holds a password: credentials exist in the `log-in` effect
 * alone. Whatever arrives, a state holds no more than limits.ts allows.
 */

import { preLoginCapabilities } from './capability.ts';
import { parseId, parseLogin } from './command-arguments.ts';
import { type Command, CommandReader, type ReadOutcome } from './command-reader.ts';
import { imapLimits } from './limits.ts';
import { bad, end, failed, reply } from './preauth-answer.ts';
import { authenticate, logIn, readResponse } from './preauth-authenticate.ts';
import type {
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

export type { PreauthEffect, PreauthEvent, PreauthState } from './preauth-state.ts';

/** The state of a connection whose TLS handshake is under way. */
export function start(hostname: string): PreauthState {
  return { name: 'silent', hostname };
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
    case 'accepted':
      return accept(verifying(state), event.capabilities, event.text);
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
    commands: 0,
    badCommands: 0,
    failedLogins: 0,
    hasAskedCapability: false,
  };
  // Some clients never ask: wire 1.
  const capabilities = `CAPABILITY ${preLoginCapabilities('established')}`;
  return reply(connection, untagged('OK', capabilities, `${state.hostname} ready`));
}

/** Reads as many commands as have arrived, one after the other, and holds what comes behind a login. */
function receive(from: PreauthState, bytes: Buffer): Transition {
  if (from.name === 'silent' || from.name === 'spliced') {
    throw new Error(`IMAP connection received bytes in state ${from.name}`);
  }
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
  const outcome = connection.reader.next((name) => name === 'LOGIN' || name === 'ID');
  switch (outcome.kind) {
    case 'need-more':
      return null;
    case 'need-continuation':
      return reply(connection, continuation('OK'));
    case 'error':
      return unreadable(connection, outcome);
    case 'command':
      if (connection.commands === imapLimits.commands) {
        return end(connection, untagged('BYE', null, 'Too many commands before login.'));
      }
      return performAndForget({ ...connection, commands: connection.commands + 1 }, outcome.command);
    default:
      return outcome satisfies never;
  }
}

function unreadable(connection: Connection, error: ReadOutcome & { kind: 'error' }): Transition {
  switch (error.problem) {
    case 'syntax':
      return bad(connection, error.tag, 'Not an IMAP command.');
    case 'literal-refused':
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
      const list = untaggedData(`CAPABILITY ${preLoginCapabilities('established')}`);
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
      return { state: answer.state, effects: [{ type: 'identify', fields }, ...answer.effects] };
    }
    // RFC 5161 allows it after login only; clients that send it early do not survive BAD (wire 6).
    case 'ENABLE':
      return reply(
        connection,
        untaggedData('ENABLED'),
        tagged(tag, 'OK', null, 'ENABLE has no effect before login.'),
      );
    // RFC 3501 6.2.3
    case 'LOGIN': {
      const parsed = parseLogin(args);
      if (parsed.kind === 'bad') return bad(connection, tag, parsed.text);
      const credentials = { authzid: Buffer.alloc(0), authcid: parsed.name, password: parsed.password };
      return logIn(connection, tag, credentials, 'LOGIN command');
    }
    // RFC 3501 6.2.2
    case 'AUTHENTICATE':
      return authenticate(connection, tag, args);
    default:
      return bad(connection, tag, 'Unknown command, or log in first.');
  }
}

function accept({ connection, tag }: Verifying, capabilities: string | null, text: string): Transition {
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
