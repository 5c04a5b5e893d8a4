import type { CanarySecrets } from '../config/canary-secrets.ts';
import { errorText } from '../observability/error-text.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Secret } from '../secret.ts';
import { type OpenDoor, tryLogin } from './canary-login.ts';

/** Longer than a refusal may be held back and a login wait for argon2id. */
const loginMs = 60_000;

/** What is tried at each door. The live app password first: its success spares the account the throttle (S-20). */
export type CanaryCheck = 'live' | 'main' | 'revoked' | 'empty';

/** A door that did not do as it should. */
export interface CanaryFailure {
  /** Such as `imap:993`. */
  readonly door: string;
  readonly check: CanaryCheck;
  readonly what: string;
}

/**
 * Tries every door with an account made for that (S-24): a policy that was lost in an update or a wrong setting is noticed
 * within minutes, and not by whoever finds it first. It logs in over the network like anybody, and changes nothing for others:
 * its account and this machine's address are counted as any are, and all its wrong tries are one.
 */
export class Canary {
  readonly #parts: CanaryParts;
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | null = null;

  constructor(parts: CanaryParts) {
    this.#parts = parts;
  }

  /** Tries at once, and then again and again. */
  start(): void {
    void this.run().then(() => {
      if (this.#ended.signal.aborted) return;
      this.#timer = setTimeout(() => this.start(), this.#parts.everyMs).unref();
    });
  }

  /** Tries every door once. Never rejects; nothing is told once it was stopped. */
  async run(): Promise<readonly CanaryFailure[]> {
    const failures: CanaryFailure[] = [];
    for (const door of this.#parts.doors()) {
      for (const [check, password] of this.#checks(door)) {
        const what = await this.#try(door, check, password);
        if (this.#ended.signal.aborted) return failures;
        if (what === null) continue;
        const failure = { door: `${door.door}:${door.port}`, check, what };
        failures.push(failure);
        this.#parts.metrics.canaryFailures.inc({ door: failure.door, check });
        this.#parts.logger.error({ event: 'canary', ...failure }, 'a door does not do as it should');
      }
    }
    if (failures.length === 0) this.#parts.logger.debug('the canary finds every door as it should be');
    return failures;
  }

  stop(): void {
    this.#ended.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #checks(door: OpenDoor): readonly (readonly [CanaryCheck, Secret | null])[] {
    const { appPassword, mainPassword, revokedPassword } = this.#parts.secrets;
    return [
      // Old TLS is for app passwords that were given a scope for it.
      ...(door.legacyTls ? [] : [['live', appPassword] as const]),
      ...(mainPassword === null ? [] : [['main', mainPassword] as const]),
      ...(revokedPassword === null ? [] : [['revoked', revokedPassword] as const]),
      ['empty', null],
    ];
  }

  /** What is wrong; null where nothing is. */
  async #try(door: OpenDoor, check: CanaryCheck, password: Secret | null): Promise<string | null> {
    const { account, hostname } = this.#parts;
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(loginMs)]);
    try {
      const answer = await tryLogin(door, { account, password, hostname }, signal);
      if (check === 'live') return answer === 'accepted' ? null : `a right app password was ${told[answer]}`;
      // An outage lets nobody in, and the live app password has told of it.
      return answer === 'accepted' ? `${wrongs[check]} was let in` : null;
    } catch (error) {
      return `no answer: ${errorText(error)}`;
    }
  }
}

export interface CanaryParts {
  /** Those that are open now, with the certificates they show now. */
  readonly doors: () => readonly OpenDoor[];
  readonly account: string;
  readonly secrets: CanarySecrets;
  readonly everyMs: number;
  readonly hostname: string;
  readonly metrics: Pick<Metrics, 'canaryFailures'>;
  readonly logger: Logger;
}

const told = { accepted: 'let in', refused: 'refused', unavailable: 'told of an outage' } as const;
const wrongs: Readonly<Record<Exclude<CanaryCheck, 'live'>, string>> = {
  main: 'a main password',
  revoked: 'a revoked app password',
  empty: 'an empty password',
};
