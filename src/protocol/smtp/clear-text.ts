import { isForeignProtocol } from '../foreign-protocol.ts';
import { smtpLimits } from './limits.ts';
import { encodeReply } from './reply.ts';

// What is said before STARTTLS: nothing of it outlives the handshake, and no password is taken (S-01, S-02).

export type ClearTextEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'received'; readonly bytes: Buffer }
  /** The time to log in has passed. */
  | { readonly type: 'expired' }
  | { readonly type: 'draining' };

export type ClearTextEffect =
  | { readonly type: 'send'; readonly bytes: Buffer }
  /** Read nothing more in clear, begin the handshake once what was sent is written, say nothing until it stands (wire 118). */
  | { readonly type: 'start-tls' }
  | { readonly type: 'close' };

export type ClearTextState =
  | {
      readonly name: 'commands';
      readonly hostname: string;
      /** A line without its end. */
      readonly partial: Buffer;
      readonly commands: number;
      readonly errors: number;
    }
  /** Answered 220. What still comes in clear is dropped: only an attacker speaks here (wire 111, 112, 113). */
  | { readonly name: 'upgrading' }
  | { readonly name: 'closed' };

export interface ClearTextStep {
  readonly state: ClearTextState;
  readonly effects: readonly ClearTextEffect[];
}

type Commands = ClearTextState & { name: 'commands' };

const none = Buffer.alloc(0);

export function startClearText(hostname: string): ClearTextState {
  return { name: 'commands', hostname, partial: none, commands: 0, errors: 0 };
}

/** Server side of submission in clear text (RFC 6409 3.1, RFC 3207), up to STARTTLS. */
export function stepClearText(state: ClearTextState, event: ClearTextEvent): ClearTextStep {
  if (state.name !== 'commands') return { state, effects: [] };
  switch (event.type) {
    case 'connected':
      return { state, effects: [reply(220, '', `${state.hostname} ESMTP`)] };
    case 'received':
      return receive(state, Buffer.concat([state.partial, event.bytes]));
    case 'expired':
      return close(reply(421, '4.4.2', 'Timeout'));
    case 'draining':
      return close(reply(421, '4.3.2', 'Server shutting down'));
    default:
      return event satisfies never;
  }
}

function receive(start: Commands, bytes: Buffer): ClearTextStep {
  let state: Commands = { ...start, partial: none };
  const effects: ClearTextEffect[] = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf(0x0a);
    if ((end === -1 ? rest.length : end) > smtpLimits.commandLineBytes) {
      const closed = close(reply(421, '4.7.0', 'Command line too long'));
      return { state: closed.state, effects: [...effects, ...closed.effects] };
    }
    // Copied, because a view would keep the whole segment.
    if (end === -1) return { state: { ...state, partial: Buffer.from(rest) }, effects };
    const step = command(state, rest.subarray(0, rest[end - 1] === 0x0d ? end - 1 : end));
    effects.push(...step.effects);
    if (step.state.name !== 'commands') return { state: step.state, effects };
    state = step.state;
    rest = rest.subarray(end + 1);
  }
}

function command(before: Commands, line: Buffer): ClearTextStep {
  if (isForeignProtocol(line)) return close(reply(421, '4.7.0', 'HTTP requests not allowed'));
  const state = { ...before, commands: before.commands + 1 };
  if (state.commands > smtpLimits.clearCommands) return close(reply(421, '4.7.0', 'Too many commands'));
  const [, verb = '', argument = ''] = /^([A-Za-z]*)(.*)$/s.exec(line.toString('latin1').trimEnd()) ?? [];
  switch (verb.toUpperCase()) {
    case 'EHLO':
      return answer(state, reply(250, '', state.hostname, 'PIPELINING', 'ENHANCEDSTATUSCODES', 'STARTTLS'));
    case 'HELO':
      return answer(state, reply(250, '', state.hostname));
    case 'NOOP':
    case 'RSET':
      return answer(state, reply(250, '2.0.0', 'OK'));
    case 'QUIT':
      return close(reply(221, '2.0.0', 'Bye'));
    case 'STARTTLS':
      // RFC 3207 4: without parameters.
      if (argument !== '') return failure(state, reply(501, '5.5.4', 'Syntax: STARTTLS'));
      return {
        state: { name: 'upgrading' },
        effects: [reply(220, '2.0.0', 'Ready to start TLS'), { type: 'start-tls' }],
      };
    case 'AUTH':
      return failure(
        state,
        reply(538, '5.7.11', 'Encryption required for requested authentication mechanism'),
      );
    case 'BDAT':
      // What follows it is not a command.
      return close(reply(502, '5.5.1', 'CHUNKING is not offered'));
    default:
      return failure(state, reply(530, '5.7.0', 'Must issue a STARTTLS command first'));
  }
}

function answer(state: Commands, ...effects: readonly ClearTextEffect[]): ClearTextStep {
  return { state, effects };
}

function failure(state: Commands, said: ClearTextEffect): ClearTextStep {
  const errors = state.errors + 1;
  if (errors >= smtpLimits.errors) return close(reply(421, '4.7.0', 'Too many errors'));
  return answer({ ...state, errors }, said);
}

function close(said: ClearTextEffect): ClearTextStep {
  return { state: { name: 'closed' }, effects: [said, { type: 'close' }] };
}

function reply(code: number, enhanced: string, ...texts: readonly string[]): ClearTextEffect {
  return { type: 'send', bytes: encodeReply(code, enhanced, texts) };
}
