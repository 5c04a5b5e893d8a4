import type { Secret } from '../../secret.ts';
import { encodeBase64 } from '../base64.ts';
import { ByteQueue } from '../bytes.ts';
import { foreignText } from '../foreign-text.ts';
import { plainMessage } from '../sasl/plain.ts';
import { type BackendRefusal, readNotConnected, readRefusal } from './backend-refusal.ts';
import { BackendReader, type BackendReply } from './backend-reply.ts';
import { filterCapabilities, hasCapability } from './capability.ts';
import { idList } from './id-list.ts';
import { imapLimits } from './limits.ts';
import { bareLine, command } from './response.ts';
import { forClient } from './untagged-at-login.ts';

/** Whom to log in, and how. */
export interface UpstreamLoginOrder {
  /** The verified account's own name; whatever the client said is not for here (S-05). */
  readonly authzid: string;
  /** The gateway's name at the backend. */
  readonly authcid: string;
  readonly password: Secret;
  readonly startTls: boolean;
  /** Told to a backend that advertises ID (wire 71); null: nothing is told. */
  readonly id: ReadonlyMap<string, string> | null;
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
  /** `capabilities` is filtered for the client (wire 43, 44); `leftover` goes to the client behind its tagged OK. */
  | { readonly type: 'logged-in'; readonly capabilities: string | null; readonly leftover: Buffer }
  | ({ readonly type: 'failed' } & UpstreamLoginFailure);

/** Why it failed. `detail` is printable, for logs; `forward` may be told to the client. */
export interface UpstreamLoginFailure {
  readonly kind: 'greeting' | 'protocol' | BackendRefusal['kind'];
  readonly detail: string;
  readonly forward: { readonly code: string; readonly text: string } | null;
}

/** Where a login at a backend stands. Once credentials are sent, no state knows them. */
export type UpstreamLoginState =
  | { readonly name: 'greeting'; readonly plan: Plan; readonly reader: BackendReader }
  | { readonly name: 'starttls'; readonly plan: Plan; readonly reader: BackendReader }
  | { readonly name: 'handshake'; readonly plan: Plan }
  | ({ readonly name: 'capability' } & Asking)
  | ({ readonly name: 'id' } & Asking)
  | ({ readonly name: 'challenge' } & Asking)
  | ({ readonly name: 'outcome' } & Answering)
  | ({ readonly name: 'listing' } & Answering)
  | { readonly name: 'ended' };

/** The order, with the ID command already written. */
interface Plan {
  readonly order: UpstreamLoginOrder;
  readonly idCommand: Buffer | null;
}

/** What the backend offers is known, or asked for. */
interface Asking {
  readonly plan: Plan;
  readonly reader: BackendReader;
  readonly offered: string;
}

/** Credentials are sent. */
interface Answering {
  readonly reader: BackendReader;
  readonly offered: string;
  readonly listed: string | null;
  /** What the backend says besides, for the client, behind its own OK (wire 42, 59). */
  readonly kept: ByteQueue;
}

type Reading = Exclude<UpstreamLoginState, { name: 'handshake' | 'ended' }>;
type Transition = { readonly state: UpstreamLoginState; readonly effects: readonly UpstreamLoginEffect[] };

/** Our own tags toward the backend, by the state that waits for their reply. */
const tags = { starttls: 'S', capability: 'C', id: 'I', challenge: 'L', outcome: 'L', listing: 'P' };

/**
 * The state of a connection on which the backend is to greet. Throws on an order that cannot be said safely:
 * an empty name, control characters, an ID beyond RFC 2971.
 */
export function startUpstreamLogin(order: UpstreamLoginOrder): UpstreamLoginState {
  plainMessage(order).fill(0);
  const idCommand = order.id === null ? null : command(tags.id, 'ID', [idList(order.id)]);
  return { name: 'greeting', plan: { order, idCommand }, reader: new BackendReader() };
}

/** Takes one event; after `logged-in` or `failed` nothing has an effect. A state may be stepped once only. */
export function stepUpstreamLogin(state: UpstreamLoginState, event: UpstreamLoginEvent): Transition {
  if (state.name === 'ended') return { state, effects: [] };
  switch (event.type) {
    case 'received':
      // What comes in clear now would be taken for TLS-protected later (wire 70, nginx CVE-2026-1642).
      if (state.name === 'handshake') return fail('protocol', 'bytes between STARTTLS and the TLS handshake');
      return receive(state, event.bytes);
    case 'tls-established':
      if (state.name !== 'handshake') throw new Error(`TLS established in state ${state.name}`);
      // A new reader, and nothing of what was said in clear.
      return askCapability(state.plan, new BackendReader());
    case 'ended':
      return fail(
        state.name === 'greeting' ? 'greeting' : 'protocol',
        'connection closed by the backend during login',
      );
    default:
      return event satisfies never;
  }
}

function receive(from: Reading, bytes: Buffer): Transition {
  if (!from.reader.receive(bytes)) return fail('protocol', 'too much data during login');
  const effects: UpstreamLoginEffect[] = [];
  let state: UpstreamLoginState = from;
  while (state.name !== 'ended' && state.name !== 'handshake') {
    const outcome = state.reader.next();
    if (outcome.kind === 'need-more') break;
    const next: Transition =
      outcome.kind === 'too-much'
        ? fail('protocol', 'too much data during login')
        : react(state, outcome.reply, outcome.raw);
    effects.push(...next.effects);
    state = next.state;
  }
  return { state, effects };
}

function react(state: Reading, reply: BackendReply, raw: Buffer): Transition {
  if (state.name === 'greeting') return greeted(state.plan, state.reader, reply);
  if (reply.kind === 'unreadable')
    return fail('protocol', `unexpected line: ${foreignText(raw.toString('latin1'))}`);
  if (
    reply.kind === 'status' &&
    reply.tag === '*' &&
    (reply.status === 'BYE' || reply.status === 'PREAUTH')
  ) {
    return fail('protocol', `${reply.status} during login: ${foreignText(reply.text)}`);
  }
  if (reply.kind === 'status' && reply.tag !== '*') return answered(state, reply);
  switch (state.name) {
    case 'challenge':
      if (reply.kind === 'continuation') return sendCredentials(state);
      return { state, effects: [] };
    case 'capability':
      if (reply.kind === 'continuation') return unasked();
      return { state: { ...state, offered: listIn(reply) ?? state.offered }, effects: [] };
    case 'outcome':
    case 'listing': {
      if (reply.kind === 'continuation') return unasked();
      const listed = listIn(reply);
      if (listed !== null) return { state: { ...state, listed }, effects: [] };
      const kept = state.name === 'listing' ? raw : forClient(reply, raw);
      if (kept !== null) state.kept.append(kept);
      return { state, effects: [] };
    }
    case 'starttls':
    case 'id':
      return reply.kind === 'continuation' ? unasked() : { state, effects: [] };
    default:
      return state satisfies never;
  }
}

/** `* OK` only: PREAUTH is somebody else's session, and no STARTTLS would follow it (wire 69). */
function greeted(plan: Plan, reader: BackendReader, reply: BackendReply): Transition {
  if (reply.kind !== 'status' || reply.tag !== '*') return fail('greeting', 'not an IMAP greeting');
  if (reply.status !== 'OK')
    return fail('greeting', `greeted with ${reply.status}: ${foreignText(reply.text)}`);
  if (plan.order.startTls)
    return send({ name: 'starttls', plan, reader }, command(tags.starttls, 'STARTTLS'));
  if (reply.code?.name !== 'CAPABILITY') return askCapability(plan, reader);
  return identify(plan, reader, reply.code.argument);
}

/** A tagged reply. */
function answered(
  state: Exclude<Reading, { name: 'greeting' }>,
  reply: BackendReply & { kind: 'status' },
): Transition {
  if (reply.tag !== tags[state.name]) return unasked();
  const isOk = reply.status === 'OK';
  switch (state.name) {
    case 'starttls':
      // Going on in clear is what whoever stands between would like best (wire 70).
      if (!isOk) return fail('protocol', `STARTTLS refused: ${foreignText(reply.text)}`);
      if (!state.reader.isEmpty) return fail('protocol', 'bytes behind the reply to STARTTLS');
      return { state: { name: 'handshake', plan: state.plan }, effects: [{ type: 'start-tls' }] };
    case 'capability':
      return identify(state.plan, state.reader, state.offered);
    case 'id':
      // Refused or not: who calls is a courtesy.
      return authenticate(state.plan, state.reader, state.offered);
    case 'challenge':
      if (isOk) return fail('protocol', 'logged in before credentials were sent');
      return refused(reply);
    case 'outcome': {
      if (!isOk) return refused(reply);
      const listed = listIn(reply) ?? state.listed;
      if (listed !== null) return loggedIn(state, listed);
      return send({ ...state, name: 'listing' }, command(tags.listing, 'CAPABILITY'));
    }
    case 'listing': {
      const notConnected = isOk ? null : readNotConnected(reply.text);
      if (notConnected !== null) return failed(notConnected);
      return loggedIn(state, state.listed ?? state.offered);
    }
    default:
      return state satisfies never;
  }
}

function askCapability(plan: Plan, reader: BackendReader): Transition {
  return send({ name: 'capability', plan, reader, offered: '' }, command(tags.capability, 'CAPABILITY'));
}

function identify(plan: Plan, reader: BackendReader, offered: string): Transition {
  if (plan.idCommand === null || !hasCapability(offered, 'ID')) return authenticate(plan, reader, offered);
  return send({ name: 'id', plan, reader, offered }, plan.idCommand);
}

/** RFC 4959: in one step where the backend can. */
function authenticate(plan: Plan, reader: BackendReader, offered: string): Transition {
  if (!hasCapability(offered, 'SASL-IR')) {
    return send(
      { name: 'challenge', plan, reader, offered },
      command(tags.challenge, 'AUTHENTICATE', ['PLAIN']),
    );
  }
  const bytes = command(tags.outcome, 'AUTHENTICATE', ['PLAIN', credentials(plan.order)]);
  return send(awaitOutcome(reader, offered), bytes);
}

function sendCredentials({ plan, reader, offered }: UpstreamLoginState & { name: 'challenge' }): Transition {
  return send(awaitOutcome(reader, offered), bareLine(credentials(plan.order)));
}

function awaitOutcome(reader: BackendReader, offered: string): UpstreamLoginState {
  // Twice, because a line end of ours may be longer than the backend's.
  return {
    name: 'outcome',
    reader,
    offered,
    listed: null,
    kept: new ByteQueue(2 * imapLimits.upstreamLoginBytes),
  };
}

function credentials(order: UpstreamLoginOrder): string {
  const message = plainMessage(order);
  const encoded = encodeBase64(message);
  message.fill(0);
  return encoded;
}

function loggedIn({ kept, reader }: Answering, list: string): Transition {
  // After it the client could log in at the backend itself, past every check of ours (wire 63, S-48).
  const hole = ['UNAUTHENTICATE', 'PROXYAUTH'].find((name) => hasCapability(list, name));
  if (hole !== undefined) return fail('protocol', `the backend offers ${hole}: disable it there`);
  const leftover = Buffer.concat([kept.takeAll(), reader.takeAll()]);
  return {
    state: { name: 'ended' },
    effects: [{ type: 'logged-in', capabilities: filterCapabilities(list), leftover }],
  };
}

function refused(reply: BackendReply & { kind: 'status' }): Transition {
  if (reply.status !== 'NO')
    return fail('protocol', `login answered with ${reply.status}: ${foreignText(reply.text)}`);
  return failed(readRefusal(reply.code, reply.text));
}

/** A capability list, of its own or as the code of a status (RFC 3501 7.1, 7.2.1); null: it has none. */
function listIn(reply: BackendReply): string | null {
  if (reply.kind === 'capabilities') return reply.list;
  return reply.kind === 'status' && reply.code?.name === 'CAPABILITY' ? reply.code.argument : null;
}

function unasked(): Transition {
  return fail('protocol', 'an answer to nothing we asked');
}

function fail(kind: 'greeting' | 'protocol', detail: string): Transition {
  return failed({ kind, detail, forward: null });
}

function failed(failure: UpstreamLoginFailure): Transition {
  return { state: { name: 'ended' }, effects: [{ type: 'failed', ...failure }] };
}

function send(state: UpstreamLoginState, bytes: Buffer): Transition {
  return { state, effects: [{ type: 'send', bytes }] };
}
