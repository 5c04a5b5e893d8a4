import { type PreauthEvent, type PreauthState, start, step } from '../../../src/protocol/pop3/preauth.ts';
import type { PreauthEffect, TlsState } from '../../../src/protocol/preauth.ts';
import { type Dialect, type Observation, type Subject, show } from '../transcript.ts';

/**
 * `verdict: accepted TEXT` or a bare `accepted`; `verdict: refused CODE text`, with `-` for no code, and `excused` instead
 * of `refused` where it does not count as a failure.
 * Every transcript begins behind the greeting in TLS unless it says `connected` itself, or `connected: in clear`.
 */
export const preauthDialect: Dialect = {
  input: 'C',
  output: 'S',
  events: ['connected', 'tls-established', 'verdict', 'expired', 'draining'],
};

/** The machine alone, its effects in words; passwords are shown, they are made up. */
export class PreauthSubject implements Subject {
  #seen: Observation[] = [];
  #state: PreauthState;

  constructor(tls: TlsState = 'established') {
    this.#state = start('gw', tls);
  }

  get state(): PreauthState {
    return this.#state;
  }

  receive(bytes: Buffer): void {
    // A copy: the machine may not rely on a buffer that its caller uses again.
    const copy = Buffer.from(bytes);
    this.#advance({ type: 'received', bytes: copy });
    copy.fill(0);
  }

  happen(event: string, detail: string): void {
    this.#advance(asEvent(event, detail));
  }

  observed(): readonly Observation[] {
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }

  #advance(event: PreauthEvent): void {
    const next = step(this.#state, event);
    this.#state = next.state;
    this.#seen.push(...next.effects.map(inWords));
  }
}

/** The machine with its greeting said and left out of what is observed. */
export function greetedSubject(): PreauthSubject {
  const subject = new PreauthSubject();
  subject.happen('connected', '');
  subject.observed();
  return subject;
}

function asEvent(event: string, detail: string): PreauthEvent {
  switch (event) {
    case 'connected':
    case 'tls-established':
    case 'expired':
    case 'draining':
      return { type: event };
    case 'verdict':
      return verdict(detail);
    default:
      throw new Error(`no such event: ${event}`);
  }
}

function verdict(detail: string): PreauthEvent {
  const [, outcome = '', rest = ''] = /^(\w+)(?: (.*))?$/.exec(detail) ?? [];
  if (outcome === 'accepted') return { type: 'accepted', accepted: { text: rest } };
  const [, code = '', text = ''] = /^(\S+) (.*)$/.exec(rest) ?? [];
  const refusal = { code: code === '-' ? null : code, text };
  return { type: 'refused', refusal, countsAsFailure: outcome === 'refused' };
}

function inWords(effect: PreauthEffect): Observation {
  switch (effect.type) {
    case 'send':
      return effect.bytes;
    case 'log-in': {
      const { authzid, authcid, password } = effect.credentials;
      const [acted, named, secret] = [authzid, authcid, password.bytes()].map(show);
      return `log-in: ${effect.mechanism}, authzid "${acted}", authcid "${named}", password "${secret}"`;
    }
    case 'malformed-login':
      return `malformed-login: ${effect.mechanism}`;
    case 'splice':
      return effect.leftover.length === 0 ? 'splice' : `splice: ${show(effect.leftover)}`;
    case 'identify':
      throw new Error('a POP3 client has no way to say who it is');
    case 'start-tls':
    case 'close':
      return effect.type;
    default:
      return effect satisfies never;
  }
}
