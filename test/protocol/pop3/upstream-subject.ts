import {
  startUpstreamLogin,
  stepUpstreamLogin,
  type UpstreamLoginEffect,
  type UpstreamLoginEvent,
  type UpstreamLoginOrder,
  type UpstreamLoginState,
} from '../../../src/protocol/pop3/upstream-login.ts';
import { Secret } from '../../../src/secret.ts';
import type { Dialect, Observation, Subject } from '../transcript.ts';

/**
 * B is the backend, G the gateway, and what it says behind `logged-in` goes to the client.
 * `order: xclient stls long` at the beginning says what is wanted besides the login.
 */
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
  xclient: null,
};

const caller = new Map([
  ['ADDR', '203.0.113.7'],
  ['PORT', '51234'],
  ['SESSION', 'k3'],
]);

/** The upstream machine alone, its effects in words. */
export class UpstreamSubject implements Subject {
  #seen: Observation[] = [];
  #isLoggedIn = false;
  #state: UpstreamLoginState = startUpstreamLogin(masterOrder);

  get state(): UpstreamLoginState {
    return this.#state;
  }

  receive(bytes: Buffer): void {
    // A copy: the machine may not rely on a buffer that its caller uses again.
    const copy = Buffer.from(bytes);
    if (this.#isLoggedIn) {
      this.#seen.push(copy);
      return;
    }
    this.#advance({ type: 'received', bytes: copy });
    copy.fill(0);
  }

  happen(event: string, detail: string): void {
    if (event === 'order') {
      this.#state = startUpstreamLogin({
        ...masterOrder,
        ...(detail.includes('long') ? { authzid: `${'j'.repeat(180)}@example.com` } : {}),
        xclient: detail.includes('xclient') ? caller : null,
        startTls: detail.includes('stls'),
      });
    } else if (event === 'tls-established' || event === 'ended') {
      this.#advance({ type: event });
    } else {
      throw new Error(`no such event: ${event}`);
    }
  }

  observed(): readonly Observation[] {
    const seen = this.#seen;
    this.#seen = [];
    return seen;
  }

  #advance(event: UpstreamLoginEvent): void {
    const next = stepUpstreamLogin(this.#state, event);
    this.#state = next.state;
    this.#isLoggedIn ||= next.effects.some(({ type }) => type === 'logged-in');
    this.#seen.push(...next.effects.flatMap(inWords));
  }
}

function inWords(effect: UpstreamLoginEffect): readonly Observation[] {
  switch (effect.type) {
    case 'send':
      return [effect.bytes];
    case 'start-tls':
      return [effect.type];
    case 'logged-in': {
      const said = `logged-in: ${effect.text || 'no text'}`;
      return effect.leftover.length === 0 ? [said] : [said, effect.leftover];
    }
    case 'failed': {
      const { kind, detail, forward } = effect;
      return [
        `failed: ${kind}, ${detail}${forward === null ? '' : `; forward ${forward.code} ${forward.text}`}`,
      ];
    }
    default:
      return effect satisfies never;
  }
}
