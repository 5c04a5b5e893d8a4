import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
  type UpstreamLoginEvent,
  type UpstreamLoginOrder,
  type UpstreamLoginState,
} from '../../../src/protocol/imap/upstream-login.ts';
import { Secret } from '../../../src/secret.ts';
import { type Dialect, type Observation, type Subject, show } from '../transcript.ts';

/** B is the backend, G the gateway; `order: id starttls` at the beginning says what is wanted besides the login. */
export const upstreamDialect: Dialect = {
  input: 'B',
  output: 'G',
  events: ['order', 'tls-established', 'ended'],
};

/** joe@example.com through `gateway`, whose password is `s3cret`. */
export const masterOrder: UpstreamLoginOrder = {
  authzid: 'joe@example.com',
  authcid: 'gateway',
  password: Secret.fromText('s3cret'),
  startTls: false,
  id: null,
};

const ownId = new Map([
  ['x-originating-ip', '203.0.113.7'],
  ['x-session-id', 'k3'],
]);

/** The upstream machine alone, its effects in words. */
export class UpstreamSubject implements Subject {
  #effects: UpstreamLoginEffect[] = [];
  /** After the login bytes are the client's, as behind the last reply in its segment. */
  #behind = Buffer.alloc(0);
  #state: UpstreamLoginState = startUpstreamLogin(masterOrder);

  get state(): UpstreamLoginState {
    return this.#state;
  }

  receive(bytes: Buffer): void {
    if (this.#effects.at(-1)?.type === 'logged-in') {
      this.#behind = Buffer.concat([this.#behind, bytes]);
      return;
    }
    // A copy: the machine may not rely on a buffer that its caller uses again.
    const copy = Buffer.from(bytes);
    this.#advance({ type: 'received', bytes: copy });
    copy.fill(0);
  }

  happen(event: string, detail: string): void {
    if (event === 'order') {
      const id = detail.includes('id') ? ownId : null;
      this.#state = startUpstreamLogin({ ...masterOrder, id, startTls: detail.includes('starttls') });
    } else if (event === 'tls-established' || event === 'ended') {
      this.#advance({ type: event });
    } else {
      throw new Error(`no such event: ${event}`);
    }
  }

  observed(): readonly Observation[] {
    const seen = this.#effects.map((effect) => inWords(effect, this.#behind));
    this.#effects = [];
    return seen;
  }

  #advance(event: UpstreamLoginEvent): void {
    const next = stepUpstreamLogin(this.#state, event);
    this.#state = next.state;
    this.#effects.push(...next.effects);
  }
}

function inWords(effect: UpstreamLoginEffect, behind: Buffer): Observation {
  switch (effect.type) {
    case 'send':
      return effect.bytes;
    case 'start-tls':
      return 'start-tls';
    case 'logged-in': {
      const capabilities = effect.capabilities === null ? '' : `: ${effect.capabilities}`;
      const leftover = show(Buffer.concat([effect.leftover, behind]));
      return `logged-in${capabilities}${leftover === '' ? '' : `; leftover ${leftover}`}`;
    }
    case 'failed': {
      const { kind, detail, forward } = effect;
      return `failed: ${kind}, ${detail}${forward === null ? '' : `; forward ${forward.code} ${forward.text}`}`;
    }
    default:
      return effect satisfies never;
  }
}
