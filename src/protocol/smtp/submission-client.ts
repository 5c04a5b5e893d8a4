import { encodeBase64 } from '../base64.ts';
import { plainMessage } from '../sasl/plain.ts';
import { commandLine } from './command-line.ts';
import { envelopeLine } from './envelope-line.ts';
import { type Extensions, readExtensions } from './extensions.ts';
import { smtpLimits } from './limits.ts';
import { endOfData } from './message-reader.ts';
import { describeReply, emptyReader, type Reply, readReply } from './reply.ts';
import type {
  Open,
  Opening,
  SubmissionEffect,
  SubmissionEvent,
  SubmissionFault,
  SubmissionOrder,
  SubmissionState,
  SubmissionStep,
} from './submission-state.ts';
import { xclientLines } from './xclient.ts';

// Invariant: only MAIL and RCPT are ever outstanding together, and bytes that no command asked for end the connection. A
// reply taken for the answer to DATA or to the message would acknowledge what the backend never did.

/** Before the first byte of the backend. */
export function startSubmission(order: SubmissionOrder): SubmissionState {
  return { name: 'greeting', opening: { order, secured: false, announced: false }, reader: emptyReader };
}

/** Client side of a submission session (RFC 6409, 5321, 4954) toward the backend, up to and including transactions. */
export function stepSubmission(state: SubmissionState, event: SubmissionEvent): SubmissionStep {
  switch (event.type) {
    case 'received':
      return receive(state, event.bytes);
    case 'tls-established':
      if (state.name !== 'handshake') return misuse(state, event);
      // RFC 3207 4.2: everything heard in clear is forgotten.
      return sendEhlo({ ...state.opening, secured: true });
    case 'ended':
      return state.name === 'over' ? stay(state) : fail('closed', 'the backend closed the connection');
    case 'body':
      return sendBody(state, event.bytes);
    case 'end-of-body':
      if (state.name === 'over') return gone();
      if (state.name !== 'body') return misuse(state, event);
      return {
        state: { ...single(state.open), reader: state.reader },
        effects: [{ type: 'send', bytes: endOfData }],
      };
    case 'quit':
      if (state.name !== 'idle') return { state: { name: 'over' }, effects: [{ type: 'end' }] };
      return { state: { name: 'over' }, effects: [send('QUIT'), { type: 'end' }] };
    case 'envelope':
      if (state.name === 'command' && state.isEnvelope) {
        return sendAlong(state, envelopeLine(event.command, state.open.extensions));
      }
      return order(state, event, (open) => envelopeLine(event.command, open.extensions));
    case 'reset':
      return order(state, event, () => commandLine('RSET'));
    case 'data':
      return order(state, event, () => commandLine('DATA'));
    default:
      return event satisfies never;
  }
}

function order(
  state: SubmissionState,
  event: SubmissionEvent,
  lineFor: (open: Open) => Buffer,
): SubmissionStep {
  if (state.name === 'over') return gone();
  if (state.name !== 'idle') return misuse(state, event);
  const { open, reader } = state;
  if (reader !== emptyReader) return fail('protocol', 'the backend spoke unasked');
  const effects: SubmissionEffect[] = [{ type: 'send', bytes: lineFor(open) }];
  if (event.type === 'data') return { state: { name: 'data', open, reader }, effects };
  return { state: { ...single(open), isEnvelope: event.type === 'envelope' }, effects };
}

/** One command is under way. */
function single(open: Open): SubmissionState & { name: 'command' } {
  return { name: 'command', open, isEnvelope: false, due: 1, unsent: [], reader: emptyReader };
}

/** Behind MAIL or RCPT that has no reply yet (RFC 2920 3.1). */
function sendAlong(state: SubmissionState & { name: 'command' }, line: Buffer): SubmissionStep {
  if (!state.open.extensions.has('PIPELINING')) {
    return stay({ ...state, unsent: [...state.unsent, line] });
  }
  return { state: { ...state, due: state.due + 1 }, effects: [{ type: 'send', bytes: line }] };
}

function sendBody(state: SubmissionState, bytes: Buffer): SubmissionStep {
  if (state.name === 'over') return gone();
  if (state.name !== 'body') return misuse(state, { type: 'body', bytes });
  return { state, effects: bytes.length === 0 ? [] : [{ type: 'send', bytes }] };
}

function receive(state: SubmissionState, bytes: Buffer): SubmissionStep {
  if (state.name === 'over' || bytes.length === 0) return stay(state);
  // Between the 220 and the handshake only an attacker speaks.
  if (state.name === 'handshake') return fail('protocol', 'bytes in clear after STARTTLS');
  const read = readReply(state.reader, bytes);
  if (read.kind === 'invalid') return fail('protocol', read.problem);
  if (read.kind === 'need-more') return stay({ ...state, reader: read.reader });
  const next = answer(state, read.reply);
  if (read.rest.length === 0 || next.state.name === 'over') return next;
  // A reply before its command: injected before TLS, or for the next command (wire 70).
  const isAsked =
    next.state.name === 'idle' ||
    next.state.name === 'body' ||
    (next.state.name === 'command' && next.effects.every(({ type }) => type !== 'send'));
  if (!isAsked) return fail('protocol', 'the backend answered before it was asked');
  const after = receive(next.state, read.rest);
  return { state: after.state, effects: [...next.effects, ...after.effects] };
}

type Listening = Exclude<SubmissionState, { name: 'handshake' | 'over' }>;

function answer(state: Listening, reply: Reply): SubmissionStep {
  switch (state.name) {
    case 'greeting':
      if (reply.code !== 220) return fail('greeting', describeReply(reply));
      return sendEhlo(state.opening);
    case 'ehlo':
      if (reply.code !== 250) return fail('greeting', `EHLO was answered ${describeReply(reply)}`);
      return introduce(state.opening, readExtensions(reply));
    case 'starttls':
      if (reply.code !== 220) return fail('protocol', `STARTTLS was answered ${describeReply(reply)}`);
      return { state: { name: 'handshake', opening: state.opening }, effects: [{ type: 'start-tls' }] };
    case 'xclient':
      if (reply.code !== 220) return fail('refused-us', `XCLIENT was answered ${describeReply(reply)}`);
      return sendXclient(state.opening, state.remaining);
    case 'auth-prompt':
      if (reply.code !== 334) return refusedAuth(reply);
      return {
        state: { name: 'auth', open: state.open, reader: emptyReader },
        effects: [send(state.response)],
      };
    case 'auth':
      if (reply.code !== 235) return refusedAuth(reply);
      return {
        state: { name: 'idle', open: state.open, reader: emptyReader },
        effects: [{ type: 'ready', ...state.open }],
      };
    case 'idle':
      return reply.code === 421
        ? fail('closed', describeReply(reply))
        : fail('protocol', 'the backend spoke unasked');
    case 'command':
      return settle(state, reply);
    case 'data':
      if (reply.code === 354) {
        return {
          state: { name: 'body', open: state.open, reader: emptyReader },
          effects: [{ type: 'replied', reply }],
        };
      }
      // Taken as success it would be the acknowledgment of a message that was never sent.
      if (reply.code < 400) return fail('protocol', `DATA was answered ${describeReply(reply)}`);
      return settle(single(state.open), reply);
    case 'body':
      if (reply.code < 400)
        return fail('protocol', `an unfinished message was answered ${describeReply(reply)}`);
      return { state: { name: 'over' }, effects: [{ type: 'replied', reply }] };
    default:
      return state satisfies never;
  }
}

function settle(state: SubmissionState & { name: 'command' }, reply: Reply): SubmissionStep {
  if (reply.code >= 300 && reply.code < 400)
    return fail('protocol', `unexpected reply ${describeReply(reply)}`);
  const replied: SubmissionEffect = { type: 'replied', reply };
  // RFC 5321 4.2.3: after 421 the server closes.
  if (reply.code === 421) return { state: { name: 'over' }, effects: [replied] };
  const { open, due } = state;
  const [line, ...unsent] = state.unsent;
  if (line !== undefined) {
    return {
      state: { ...state, unsent, reader: emptyReader },
      effects: [replied, { type: 'send', bytes: line }],
    };
  }
  if (due > 1) return { state: { ...state, due: due - 1, reader: emptyReader }, effects: [replied] };
  return { state: { name: 'idle', open, reader: emptyReader }, effects: [replied] };
}

function introduce(opening: Opening, extensions: Extensions): SubmissionStep {
  const { order } = opening;
  if (order.startTls && !opening.secured) {
    if (!extensions.has('STARTTLS')) return fail('protocol', 'the backend does not offer STARTTLS');
    return { state: { name: 'starttls', opening, reader: emptyReader }, effects: [send('STARTTLS')] };
  }
  const attributes = extensions.get('XCLIENT');
  if (order.peer !== null && !opening.announced && attributes !== undefined) {
    const lines = xclientLines(order.peer, attributes);
    if (lines.length > 0) return sendXclient(opening, lines);
  }
  return authenticate(opening, extensions);
}

/** The next XCLIENT, or after the last one EHLO again: the backend has started over (wire 129). */
function sendXclient(opening: Opening, lines: readonly string[]): SubmissionStep {
  const [line, ...remaining] = lines;
  if (line === undefined) return sendEhlo({ ...opening, announced: true });
  return { state: { name: 'xclient', opening, remaining, reader: emptyReader }, effects: [send(line)] };
}

function authenticate(opening: Opening, extensions: Extensions): SubmissionStep {
  const { announced } = opening;
  const { login } = opening.order;
  const open = { extensions, announced };
  if (login === null) {
    return { state: { name: 'idle', open, reader: emptyReader }, effects: [{ type: 'ready', ...open }] };
  }
  if (!(extensions.get('AUTH') ?? '').split(' ').includes('PLAIN')) {
    return fail('protocol', 'the backend does not offer AUTH PLAIN');
  }
  const message = plainMessage(login);
  const response = encodeBase64(message);
  message.fill(0);
  const line = `AUTH PLAIN ${response}`;
  if (line.length + 2 <= smtpLimits.backendLineBytes) {
    return { state: { name: 'auth', open, reader: emptyReader }, effects: [send(line)] };
  }
  return {
    state: { name: 'auth-prompt', open, response, reader: emptyReader },
    effects: [send('AUTH PLAIN')],
  };
}

function refusedAuth(reply: Reply): SubmissionStep {
  // Its text is left out: some servers quote what they were sent.
  const detail = `AUTH was answered ${reply.code} ${reply.enhanced ?? ''}`.trimEnd();
  return fail(reply.code >= 500 ? 'refused-us' : 'protocol', detail);
}

function sendEhlo(opening: Opening): SubmissionStep {
  return {
    state: { name: 'ehlo', opening, reader: emptyReader },
    effects: [send(`EHLO ${opening.order.hostname}`)],
  };
}

function send(line: string): SubmissionEffect {
  return { type: 'send', bytes: commandLine(line) };
}

function stay(state: SubmissionState): SubmissionStep {
  return { state, effects: [] };
}

function fail(kind: SubmissionFault, detail: string): SubmissionStep {
  return { state: { name: 'over' }, effects: [{ type: 'failed', kind, detail }] };
}

function gone(): SubmissionStep {
  return fail('closed', 'the connection is over');
}

function misuse(state: SubmissionState, event: SubmissionEvent): never {
  throw new TypeError(`${event.type} in state ${state.name}`);
}
