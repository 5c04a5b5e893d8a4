import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { Addresses, type Lookup } from './addresses.ts';
import { type Admission, CircuitBreaker, type Outcome } from './circuit-breaker.ts';
import { type ConnectTimes, defaultConnectTimes } from './connect-first.ts';
import type { Leg } from './leg.ts';
import { limitOpening, type Opening, type OpeningLimit, openMs, type UpstreamLink } from './opening.ts';
import type { OwnEndpoints } from './own-endpoints.ts';
import { UpstreamError, type UpstreamErrorKind } from './upstream-error.ts';

/** What the routes to all backends share. */
export interface RouteContext {
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly own: OwnEndpoints;
  readonly lookup?: Lookup;
  readonly connectTimes?: ConnectTimes;
  /** Before the second attempt, and before the third. */
  readonly retryWaitsMs?: readonly number[];
}

/**
 * A server that is being restarted is back within seconds, and some mail programs ask for a new password at every NO,
 * whatever its code (wire 47).
 */
const defaultRetryWaitsMs = [500, 2_000];
/** An operator needs one line, not one for each phone that tries. */
const alarmEveryMs = 60_000;

/** The way to one leg of a backend: what was learnt of it, and who is let through. */
export class Route {
  readonly addresses: Addresses;
  readonly own: OwnEndpoints;
  readonly connectTimes: ConnectTimes;
  readonly #backend: string;
  readonly #leg: Leg;
  readonly #context: RouteContext;
  readonly #breaker: CircuitBreaker;
  readonly #alarms = new Map<UpstreamErrorKind, number>();

  constructor(backend: string, leg: Leg, host: string, context: RouteContext) {
    const { lookup } = context;
    this.addresses = new Addresses(host, lookup === undefined ? {} : { lookup });
    this.own = context.own;
    this.connectTimes = context.connectTimes ?? defaultConnectTimes;
    this.#backend = backend;
    this.#leg = leg;
    this.#context = context;
    this.#breaker = new CircuitBreaker(context.now);
    context.metrics.backendAvailable.set({ backend, leg }, 1);
  }

  /**
   * Opens by `attempt`, again after a short wait where the backend was not there, 30 s in all. Rejects with
   * {@link UpstreamError}, with anything else that `attempt` rejects with.
   */
  async open<Link extends UpstreamLink>(
    account: string,
    caller: AbortSignal,
    attempt: (signal: AbortSignal) => Promise<Opening<Link>>,
  ): Promise<Opening<Link>> {
    const limit = limitOpening(this.#backend, caller, openMs);
    try {
      return await this.#openWithin(limit, account, caller, attempt);
    } finally {
      limit.done();
    }
  }

  async #openWithin<Link extends UpstreamLink>(
    limit: OpeningLimit,
    account: string,
    caller: AbortSignal,
    attempt: (signal: AbortSignal) => Promise<Opening<Link>>,
  ): Promise<Opening<Link>> {
    const waits = [...(this.#context.retryWaitsMs ?? defaultRetryWaitsMs)];
    for (;;) {
      const admission = this.#breaker.admit();
      if (admission === 'refused') {
        throw new UpstreamError(this.#backend, 'suspended', 'left alone for a moment: it failed every login');
      }
      let failure: unknown;
      try {
        const opening = await attempt(limit.signal);
        this.#settle(admission, 'reached', account);
        return opening;
      } catch (error) {
        failure = limit.signal.aborted && error instanceof UpstreamError ? limit.error(error) : error;
      }
      const wait = admission === 'probe' || !isWorthAnotherTry(failure) ? undefined : waits.shift();
      if (caller.aborted || wait === undefined) {
        this.#settle(admission, caller.aborted ? 'undecided' : outcomeOf(failure), account, failure);
        throw failure;
      }
      this.addresses.doubt();
      await delay(wait, undefined, { signal: limit.signal }).catch(() => undefined);
      if (limit.signal.aborted) throw limit.error();
    }
  }

  /** Whether a failure deserves a line of its own in the error log; what only an operator can end does so once a minute. */
  isNews({ kind }: UpstreamError): boolean {
    if (kind === 'suspended') return false;
    if (kind !== 'refused-us' && kind !== 'loop') return true;
    const now = this.#context.now();
    if (now - (this.#alarms.get(kind) ?? Number.NEGATIVE_INFINITY) < alarmEveryMs) return false;
    this.#alarms.set(kind, now);
    return true;
  }

  #settle(
    admission: Exclude<Admission, 'refused'>,
    outcome: Outcome,
    account: string,
    failure?: unknown,
  ): void {
    const wasOpen = this.#breaker.isOpen;
    this.#breaker.settle(admission, outcome, account);
    const { isOpen } = this.#breaker;
    if (isOpen === wasOpen) return;
    const { logger, metrics } = this.#context;
    const where = { backend: this.#backend, leg: this.#leg };
    metrics.backendAvailable.set(where, isOpen ? 0 : 1);
    if (isOpen)
      logger.error({ ...where, ...reasonOf(failure) }, 'backend fails every login: left alone for a moment');
    else logger.info(where, 'backend is back');
  }
}

/** Somebody refused, hung up or said that it is busy: a server on its way down or up, or a load balancer's choice. */
const passing: ReadonlySet<UpstreamErrorKind> = new Set(['connect', 'greeting', 'closed']);

function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof UpstreamError && passing.has(error.kind) && !error.afterGreeting;
}

/** Failures that everybody would have had. A mailbox that is refused, or not opened in time, is one person's. */
const ofTheBackend: ReadonlySet<UpstreamErrorKind> = new Set([
  'connect',
  'tls',
  'greeting',
  'timeout',
  'closed',
]);

function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof UpstreamError) || error.kind === 'loop') return 'undecided';
  return ofTheBackend.has(error.kind) && !error.afterGreeting ? 'failed' : 'reached';
}

function reasonOf(error: unknown): { readonly kind?: string; readonly detail?: string } {
  return error instanceof UpstreamError ? { kind: error.kind, detail: error.message } : {};
}
