import type { MailOrder, RcptOrder } from '../../../src/protocol/smtp/envelope.ts';
import { startSubmission, stepSubmission } from '../../../src/protocol/smtp/submission-client.ts';
import type {
  SubmissionEffect,
  SubmissionEvent,
  SubmissionOrder,
  SubmissionState,
} from '../../../src/protocol/smtp/submission-state.ts';

/** How the server's bytes reach the machine. */
export type Delivery = 'whole' | 'byte by byte' | { readonly cutAt: number };

/**
 * A dialogue as text. `S:` the server says, `C:` the machine sends, `=` what it reports, `>` an order or event:
 * `> tls`, `> ended`, `> mail PATH`, `> rcpt PATH`, `> data`, `> body TEXT` (JSON), `> end`, `> reset`, `> quit`.
 */
export function replay(script: string, order: SubmissionOrder, delivery: Delivery): string {
  const machine = new Machine(order);
  const seen: string[] = [];
  let position = 0;
  for (const turn of turns(script)) {
    if (turn.kind === 'expected') continue;
    if (turn.kind === 'event') {
      seen.push(turn.line, ...machine.step(eventOf(turn.line.slice(2))));
      continue;
    }
    seen.push(...turn.lines);
    const bytes = Buffer.from(turn.lines.map((line) => `${line.slice(3)}\r\n`).join(''), 'latin1');
    for (const piece of cut(bytes, delivery, position))
      seen.push(...machine.step({ type: 'received', bytes: piece }));
    position += bytes.length;
  }
  return seen.join('\n');
}

/** Every way to deliver this dialogue. */
export function deliveries(script: string): readonly Delivery[] {
  const total = turns(script).reduce(
    (sum, turn) =>
      sum + (turn.kind === 'server' ? turn.lines.reduce((bytes, line) => bytes + line.length - 1, 0) : 0),
    0,
  );
  return ['whole', 'byte by byte', ...Array.from({ length: total }, (_, cutAt) => ({ cutAt }))];
}

/** The script as {@link replay} writes it. */
export function normal(script: string): string {
  return lines(script).join('\n');
}

class Machine {
  #state: SubmissionState;

  constructor(order: SubmissionOrder) {
    this.#state = startSubmission(order);
  }

  step(event: SubmissionEvent): string[] {
    const next = stepSubmission(this.#state, event);
    this.#state = next.state;
    return next.effects.map(describe);
  }
}

function describe(effect: SubmissionEffect): string {
  switch (effect.type) {
    case 'send':
      return `C: ${JSON.stringify(effect.bytes.toString('latin1'))
        .slice(1, -1)
        .replace(/\\r\\n$/, '')}`;
    case 'ready':
      return `= ready${effect.announced ? ' announced' : ''}`;
    case 'replied':
      return `= ${effect.reply.code} ${effect.reply.enhanced ?? '-'}`;
    case 'failed':
      return `= failed ${effect.kind}: ${effect.detail}`;
    case 'start-tls':
    case 'end':
      return `= ${effect.type}`;
    default:
      return effect satisfies never;
  }
}

function eventOf(text: string): SubmissionEvent {
  const [word = '', ...rest] = text.split(' ');
  const argument = rest.join(' ');
  switch (word) {
    case 'tls':
      return { type: 'tls-established' };
    case 'ended':
      return { type: 'ended' };
    case 'mail':
      return { type: 'envelope', command: mailOrder(argument) };
    case 'rcpt':
      return { type: 'envelope', command: rcptOrder(argument) };
    case 'body':
      return { type: 'body', bytes: Buffer.from(JSON.parse(argument) as string, 'latin1') };
    case 'end':
      return { type: 'end-of-body' };
    case 'data':
    case 'reset':
    case 'quit':
      return { type: word };
    default:
      throw new Error(`unknown order ${text}`);
  }
}

export function mailOrder(path: string, more: Partial<MailOrder> = {}): MailOrder {
  const nothing = { size: null, body: null, smtpUtf8: false, ret: null, envid: null };
  return { kind: 'mail', path, ...nothing, ...more };
}

export function rcptOrder(path: string, more: Partial<RcptOrder> = {}): RcptOrder {
  return { kind: 'rcpt', path, notify: null, orcpt: null, ...more };
}

type Turn =
  | { readonly kind: 'server'; readonly lines: readonly string[] }
  | { readonly kind: 'event'; readonly line: string }
  | { readonly kind: 'expected' };

function turns(script: string): readonly Turn[] {
  const all: Turn[] = [];
  let said: string[] = [];
  for (const line of lines(script)) {
    if (line.startsWith('S: ')) {
      said.push(line);
      continue;
    }
    if (said.length > 0) all.push({ kind: 'server', lines: said });
    said = [];
    all.push(line.startsWith('> ') ? { kind: 'event', line } : { kind: 'expected' });
  }
  return said.length > 0 ? [...all, { kind: 'server', lines: said }] : all;
}

function lines(script: string): readonly string[] {
  return script
    .split('\n')
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function cut(bytes: Buffer, delivery: Delivery, position: number): readonly Buffer[] {
  if (delivery === 'whole') return [bytes];
  if (delivery === 'byte by byte') return Array.from(bytes, (byte) => Buffer.from([byte]));
  const at = delivery.cutAt - position;
  return at <= 0 || at >= bytes.length ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
}
