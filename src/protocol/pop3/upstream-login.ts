import type { Secret } from '../../secret.ts';
import { encodeBase64 } from '../base64.ts';
import { plainMessage } from '../sasl/plain.ts';
import { type BackendRefusal, type BackendReply, parseReply, readRefusal } from './backend-reply.ts';
import { pop3Limits } from './limits.ts';
import { LineReader } from './line-reader.ts';
import { commandLine } from './response.ts';

/** Whom to log in, and how. */
export interface UpstreamLoginOrder {
  /** The verified account's own name; whatever the client said is not for here (S-05). */
  readonly authzid: string;
  /** The gateway's name at the backend. */
  readonly authcid: string;
  readonly password: Secret;
  readonly startTls: boolean;
  /** XCLIENT attributes, told to a backend that offers to hear them (wire 130); null: nothing is told. */
  readonly xclient: ReadonlyMap<string, string> | null;
}

export type UpstreamLoginEvent =
  | { readonly type: 'received'; readonly bytes: Buffer }
  | { readonly type: 'tls-established' }
  /** The backend sends nothing more. */
  | { readonly type: 'ended' };

export type UpstreamLoginEffect =
  | { readonly type: 'send'; readonly bytes: Buffer }
  /** Shake hands, then say `tls-established`; a byte received before that is an attack. */
  | { readonly type: 'start-tls' }
  /** `text` is that of the +OK, harmless and perhaps empty; `leftover` goes to the client behind ours. */
  | { readonly type: 'logged-in'; readonly text: string; readonly leftover: Buffer }
  | ({ readonly type: 'failed' } & UpstreamLoginFailure);

/** Why it failed. `detail` is printable, for logs; `forward` may be told to the client. */
export interface UpstreamLoginFailure {
  readonly kind: 'greeting' | 'protocol' | BackendRefusal['kind'];
  readonly detail: string;
  readonly forward: { readonly code: string; readonly text: string } | null;
}

/**
 * Where a login at a backend stands. Once credentials are sent, no state knows them. No state says QUIT: after a login
 * it would delete for good what a client that vanished had marked only (wire 148), and before it nobody needs one.
 */
export type UpstreamLoginState =
  | { readonly name: 'greeting'; readonly plan: Plan; readonly reader: LineReader }
  | {
      readonly name: 'stls';
      readonly plan: Plan;
      readonly reader: LineReader;
      readonly takesXclient: boolean;
    }
  | { readonly name: 'handshake'; readonly plan: Plan; readonly takesXclient: boolean }
  | { readonly name: 'xclient'; readonly plan: Plan; readonly reader: LineReader }
  | { readonly name: 'challenge'; readonly plan: Plan; readonly reader: LineReader }
  | { readonly name: 'outcome'; readonly reader: LineReader }
  | { readonly name: 'ended' };

/** The order, with the XCLIENT command already written. */
interface Plan {
  readonly order: UpstreamLoginOrder;
  readonly xclientCommand: Buffer | null;
}

type Reading = Exclude<UpstreamLoginState, { name: 'handshake' | 'ended' }>;
type Transition = { readonly state: UpstreamLoginState; readonly effects: readonly UpstreamLoginEffect[] };

/**
 * The state of a connection on which the backend is to greet. Throws on an order that cannot be said safely:
 * an empty name, control characters, an XCLIENT value that would become another attribute or a line too long.
 */
export function startUpstreamLogin(order: UpstreamLoginOrder): UpstreamLoginState {
  const message = plainMessage(order);
  message.fill(0);
  if (base64Length(message) > pop3Limits.responseLineBytes - 2) {
    throw new RangeError('credentials beyond what AUTH can carry');
  }
  const xclientCommand = order.xclient === null ? null : xclient(order.xclient);
  return { name: 'greeting', plan: { order, xclientCommand }, reader: newReader() };
}

/** Takes one event; after `logged-in` or `failed` nothing has an effect. A state may be stepped once only. */
export function stepUpstreamLogin(state: UpstreamLoginState, event: UpstreamLoginEvent): Transition {
  if (state.name === 'ended') return { state, effects: [] };
  switch (event.type) {
    case 'received':
      // What comes in clear now would be taken for TLS-protected later (wire 70, nginx CVE-2026-1642).
      if (state.name === 'handshake') return fail('protocol', 'bytes between STLS and the TLS handshake');
      return receive(state, event.bytes);
    case 'tls-established':
      if (state.name !== 'handshake') throw new Error(`TLS established in state ${state.name}`);
      // A new reader; RFC 2595 4 has no second greeting.
      return identify(state.plan, newReader(), state.takesXclient);
    case 'ended':
      return fail(
        state.name === 'greeting' ? 'greeting' : 'protocol',
        'connection closed by the backend during login',
      );
    default:
      return event satisfies never;
  }
}

/** One line answers one of ours, so that there is never a second to read. */
function receive(state: Reading, bytes: Buffer): Transition {
  const outcome = state.reader.hold(bytes) ? state.reader.next() : ({ kind: 'too-long' } as const);
  switch (outcome.kind) {
    case 'need-more':
      return { state, effects: [] };
    case 'too-long':
      return fail('protocol', 'too much data during login');
    case 'line': {
      const reply = parseReply(outcome.line);
      // A reply that came before its command would be taken for the answer to it.
      if (state.name !== 'outcome' && !state.reader.isEmpty) {
        return fail('protocol', 'an answer to nothing we asked');
      }
      return react(state, reply);
    }
    default:
      return outcome satisfies never;
  }
}

function react(state: Reading, reply: BackendReply): Transition {
  switch (state.name) {
    case 'greeting':
      return greeted(state.plan, state.reader, reply);
    case 'stls':
      // Going on in clear is what whoever stands between would like best (wire 70).
      if (reply.kind !== 'ok') return fail('protocol', `STLS answered with ${described(reply)}`);
      return {
        state: { name: 'handshake', plan: state.plan, takesXclient: state.takesXclient },
        effects: [{ type: 'start-tls' }],
      };
    case 'xclient':
      if (reply.kind !== 'ok' && reply.kind !== 'err') return unexpected(reply);
      // Refused or not: who calls is a courtesy.
      return authenticate(state.plan, state.reader);
    case 'challenge':
      if (reply.kind === 'ok') return fail('protocol', 'logged in before credentials were sent');
      if (reply.kind === 'err') return refused(reply);
      if (reply.kind !== 'continuation') return unexpected(reply);
      return send(
        { name: 'outcome', reader: state.reader },
        commandLine(credentials(state.plan.order), pop3Limits.responseLineBytes),
      );
    case 'outcome':
      if (reply.kind === 'err') return refused(reply);
      if (reply.kind !== 'ok') return unexpected(reply);
      return {
        state: { name: 'ended' },
        effects: [{ type: 'logged-in', text: reply.text, leftover: state.reader.takeAll() }],
      };
    default:
      return state satisfies never;
  }
}

function greeted(plan: Plan, reader: LineReader, reply: BackendReply): Transition {
  if (reply.kind === 'unreadable' || reply.kind === 'continuation')
    return fail('greeting', 'not a POP3 greeting');
  if (reply.kind === 'err') return fail('greeting', `greeted with ${described(reply)}`);
  const takesXclient = reply.code === 'XCLIENT';
  if (!plan.order.startTls) return identify(plan, reader, takesXclient);
  return send({ name: 'stls', plan, reader, takesXclient }, commandLine('STLS', pop3Limits.commandLineBytes));
}

/**
 * Only Dovecot knows XCLIENT in POP3, and says so to gateways that it trusts. Before STLS it says so in clear: whoever
 * put it there or took it out decides whether our log or the backend's has the client's address, and nothing else.
 */
function identify(plan: Plan, reader: LineReader, takesXclient: boolean): Transition {
  if (plan.xclientCommand === null || !takesXclient) return authenticate(plan, reader);
  return send({ name: 'xclient', plan, reader }, plan.xclientCommand);
}

/** RFC 5034 4: in one step where the line is not too long for it. */
function authenticate(plan: Plan, reader: LineReader): Transition {
  const inOne = `AUTH PLAIN ${credentials(plan.order)}`;
  if (inOne.length > pop3Limits.commandLineBytes - 2) {
    const bytes = commandLine('AUTH PLAIN', pop3Limits.commandLineBytes);
    return send({ name: 'challenge', plan, reader }, bytes);
  }
  return send({ name: 'outcome', reader }, commandLine(inOne, pop3Limits.commandLineBytes));
}

function credentials(order: UpstreamLoginOrder): string {
  const message = plainMessage(order);
  const encoded = encodeBase64(message);
  message.fill(0);
  return encoded;
}

function base64Length(bytes: Buffer): number {
  return Math.ceil(bytes.length / 3) * 4;
}

function refused(reply: BackendReply & { kind: 'ok' | 'err' }): Transition {
  return { state: { name: 'ended' }, effects: [{ type: 'failed', ...readRefusal(reply) }] };
}

function unexpected(reply: BackendReply): Transition {
  return fail('protocol', `unexpected line: ${described(reply)}`);
}

function described(reply: BackendReply): string {
  switch (reply.kind) {
    case 'ok':
      return `+OK ${reply.text}`.trimEnd();
    case 'err':
      return `-ERR ${reply.code === null ? '' : `[${reply.code}] `}${reply.text}`.trimEnd();
    case 'continuation':
      return 'a continuation';
    case 'unreadable':
      return reply.text;
    default:
      return reply satisfies never;
  }
}

function fail(kind: 'greeting' | 'protocol', detail: string): Transition {
  return { state: { name: 'ended' }, effects: [{ type: 'failed', kind, detail, forward: null }] };
}

function send(state: UpstreamLoginState, bytes: Buffer): Transition {
  return { state, effects: [{ type: 'send', bytes }] };
}

/** Dovecot splits at spaces and decodes nothing in POP3, so that a value has to be clean as it is. */
function xclient(attributes: ReadonlyMap<string, string>): Buffer {
  const words = [...attributes].map(([name, value]) => `${name}=${value}`);
  if (words.length === 0 || !words.every((word) => /^[A-Z-]+=[\x21-\x7e]+$/.test(word))) {
    throw new TypeError('an XCLIENT attribute may hold printable ASCII without spaces only');
  }
  return commandLine(`XCLIENT ${words.join(' ')}`, pop3Limits.xclientLineBytes);
}

function newReader(): LineReader {
  return new LineReader(pop3Limits.upstreamLineBytes, pop3Limits.upstreamHeldBytes);
}
