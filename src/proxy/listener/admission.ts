import { NetworkLimit } from '../../credentials/network-limit.ts';
import { NetworkRate } from '../../credentials/network-rate.ts';

/** requirements 4.3; each eightfold for the /24 or /48 around. */
export interface AdmissionLimits {
  readonly connectionsPerNetwork: number;
  readonly handshakesPerSecond: number;
  readonly handshakeBurst: number;
  /** They cost CPU and need no credential (S-12). */
  readonly unfinishedHandshakesPerNetwork: number;
}

/** Connections of a network that are being told that it has too many; each is held until its client has read that. */
const refusalsPerNetwork = 50;

/** A connection's place among those of its network. */
export interface Place {
  readonly isOverLimit: boolean;
  leave(): void;
}

/** A handshake's place among those of its network. */
export interface HandshakePlace {
  /** `wasBegun`: the client sent at least a byte of it; a health check that does not, counts for nothing (wire 128). */
  leave(wasBegun: boolean): void;
}

/** What one network may do at a listener before anybody has logged in. */
export class Admission {
  readonly #connected: NetworkLimit;
  readonly #refused = new NetworkLimit(refusalsPerNetwork);
  readonly #handshaking: NetworkLimit;
  readonly #handshakes: NetworkRate;

  constructor(limits: AdmissionLimits, now: () => number) {
    this.#connected = new NetworkLimit(limits.connectionsPerNetwork);
    this.#handshaking = new NetworkLimit(limits.unfinishedHandshakesPerNetwork);
    this.#handshakes = new NetworkRate({
      perSecond: limits.handshakesPerSecond,
      burst: limits.handshakeBurst,
      now,
    });
  }

  /** null: not even worth an answer. */
  connect(address: string): Place | null {
    if (this.#connected.enter(address)) {
      return { isOverLimit: false, leave: () => this.#connected.leave(address) };
    }
    this.#connected.leave(address);
    if (this.#refused.enter(address)) {
      return { isOverLimit: true, leave: () => this.#refused.leave(address) };
    }
    this.#refused.leave(address);
    return null;
  }

  /** null: too many at once, or too often. */
  handshake(address: string): HandshakePlace | null {
    if (this.#handshaking.enter(address) && this.#handshakes.take(address)) {
      return {
        leave: (wasBegun) => {
          this.#handshaking.leave(address);
          if (!wasBegun) this.#handshakes.giveBack(address);
        },
      };
    }
    this.#handshaking.leave(address);
    return null;
  }

  /** Networks that have a connection or a handshake now, wider ones included. */
  get size(): number {
    return this.#connected.size + this.#refused.size + this.#handshaking.size;
  }
}
