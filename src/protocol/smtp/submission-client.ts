import { encodeBase64 } from '../base64.ts';
import { plainMessage } from '../sasl/plain.ts';
import { commandLine } from './command-line.ts';
import { dataStart, encodeData, endData } from './data-encoder.ts';
import { mailLine, rcptLine } from './envelope.ts';
import { smtpLimits } from './limits.ts';
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

// Invariant: one command is outstanding at most, and bytes that no command asked for end the connection. A reply
// taken for the answer to a later command would acknowledge what the backend never did.

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
        state: { name: 'command', open: state.open, reader: state.reader },
        effects: [{ type: 'send', bytes: endData(state.encoder) }],
      };
    case 'quit':
      if (state.name !== 'idle') return { state: { name: 'over' }, effects: [{ type: 'end' }] };
      return { state: { name: 'over' }, effects: [send('QUIT'), { type: 'end' }] };
    case 'data':
    case 'reset':
    case 'envelope': {
      if (state.name === 'over') return gone();
      if (state.name !== 'idle') return misuse(state, event);
      const { open, reader } = state;
      if (reader !== emptyReader) return fail('protocol', 'the backend spoke unasked');
      if (event.type === 'data') return { state: { name: 'data', open, reader }, effects: [send('DATA')] };
      return { state: { name: 'command', open, reader }, effects: [send(lineOf(event, open))] };
    }
    default:
      return event satisfies never;
  }
}

function lineOf(event: SubmissionEvent & { type: 'reset' | 'envelope' }, open: Open): string {
  if (event.type === 'reset') return 'RSET';
  return event.command.kind === 'mail' ? mailLine(event.command, open.extensions) : rcptLine(event.command);
}

function sendBody(state: SubmissionState, bytes: Buffer): SubmissionStep {
  if (state.name === 'over') return gone();
  if (state.name !== 'body') return misuse(state, { type: 'body', bytes });
  const encoded = encodeData(state.encoder, bytes);
  if (encoded.kind === 'nul') return { state: { name: 'over' }, effects: [{ type: 'unfit-message' }] };
  return {
    state: { ...state, encoder: encoded.encoder },
    effects: encoded.bytes.length === 0 ? [] : [{ type: 'send', bytes: encoded.bytes }],
  };
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
  if (next.state.name !== 'idle' && next.state.name !== 'body') {
    return fail('protocol', 'the backend answered before it was asked');
  }
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
      return settle(state.open, reply);
    case 'data':
      if (reply.code === 354) {
        return {
          state: { name: 'body', open: state.open, encoder: dataStart, reader: emptyReader },
          effects: [{ type: 'replied', reply }],
        };
      }
      // Taken as success it would be the acknowledgment of a message that was never sent.
      if (reply.code < 400) return fail('protocol', `DATA was answered ${describeReply(reply)}`);
      return settle(state.open, reply);
    case 'body':
      if (reply.code < 400)
        return fail('protocol', `an unfinished message was answered ${describeReply(reply)}`);
      return { state: { name: 'over' }, effects: [{ type: 'replied', reply }] };
    default:
      return state satisfies never;
  }
}

function settle(open: Open, reply: Reply): SubmissionStep {
  if (reply.code >= 300 && reply.code < 400)
    return fail('protocol', `unexpected reply ${describeReply(reply)}`);
  return {
    // RFC 5321 4.2.3: after 421 the server closes.
    state: reply.code === 421 ? { name: 'over' } : { name: 'idle', open, reader: emptyReader },
    effects: [{ type: 'replied', reply }],
  };
}

function introduce(opening: Opening, extensions: ReadonlyMap<string, string>): SubmissionStep {
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

function authenticate(opening: Opening, extensions: ReadonlyMap<string, string>): SubmissionStep {
  const { order, announced } = opening;
  if (!(extensions.get('AUTH') ?? '').split(' ').includes('PLAIN')) {
    return fail('protocol', 'the backend does not offer AUTH PLAIN');
  }
  const open = { extensions, announced };
  const message = plainMessage(order);
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

/** Keywords in capitals with their parameters (RFC 5321 4.1.1.1). The old form `AUTH=PLAIN` counts as `AUTH PLAIN`. */
function readExtensions(reply: Reply): ReadonlyMap<string, string> {
  const extensions = new Map<string, string>();
  for (const line of reply.lines.slice(1)) {
    const match = /^([A-Z0-9][A-Z0-9-]*)(?:[ =](.*))?$/.exec(line.trim().toUpperCase());
    if (match?.[1] === undefined) continue;
    const known = extensions.get(match[1]);
    const value = match[2] ?? '';
    extensions.set(match[1], known === undefined ? value : `${known} ${value}`);
  }
  return extensions;
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
