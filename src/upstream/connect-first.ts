import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { errorCode, errorText } from '../observability/error-text.ts';

/** How the addresses of one endpoint are tried. */
export interface ConnectTimes {
  /** RFC 8305 5: Connection Attempt Delay. */
  readonly staggerMs: number;
  /** One address may take (wire 157). */
  readonly attemptMs: number;
}

export const defaultConnectTimes: ConnectTimes = { staggerMs: 250, attemptMs: 5_000 };

/** NATs forget idle flows after 5 minutes and more (wire 67). */
const keepAliveMs = 120_000;

/** Every address failed, or the caller gave up. `message` names each address with its reason. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
  /** Somebody is there and refuses: a server that is being restarted, perhaps. */
  readonly isRefused: boolean;
  readonly isTimeout: boolean;

  constructor(failures: readonly ConnectFailure[]) {
    super(failures.map(({ address, reason }) => `${address}: ${reason}`).join('; ') || 'no address');
    this.isRefused = failures.some(({ code }) => code === 'ECONNREFUSED' || code === 'ECONNRESET');
    this.isTimeout = !this.isRefused && failures.some(({ code }) => code === 'ETIMEDOUT');
  }
}

interface ConnectFailure {
  readonly address: string;
  readonly reason: string;
  readonly code: string | null;
}

/**
 * Connects to the first address that answers (RFC 8305 5): one attempt after the other is begun, sooner where one has
 * failed, and none waits for another. The losers are closed. The socket is paused, half-open capable, without Nagle's
 * delay and with keep-alive. Rejects with {@link UnreachableError}; with the signal's reason once that aborts.
 */
export async function connectFirst(
  addresses: readonly string[],
  port: number,
  options: {
    readonly signal: AbortSignal;
    readonly times: ConnectTimes;
    /** Instead of `net.connect`. */
    readonly connectBy?: (options: TcpNetConnectOpts) => Socket;
  },
): Promise<{ readonly socket: Socket; readonly address: string }> {
  const { signal, times, connectBy = connect } = options;
  signal.throwIfAborted();
  const waiting = [...addresses];
  const attempts = new Set<Attempt>();
  const failures: ConnectFailure[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<{ socket: Socket; address: string }>();
  let nextTimer: NodeJS.Timeout | undefined;

  const begin = (): void => {
    clearTimeout(nextTimer);
    const address = waiting.shift();
    if (address === undefined) {
      if (attempts.size === 0) reject(new UnreachableError(failures));
      return;
    }
    const socket = connectBy({
      host: address,
      port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
    });
    const attempt = new Attempt(socket, address, times.attemptMs, (failure) => {
      attempts.delete(attempt);
      if (failure === null) {
        resolve({ socket, address });
      } else {
        failures.push(failure);
        begin();
      }
    });
    attempts.add(attempt);
    nextTimer = setTimeout(begin, times.staggerMs);
  };
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    begin();
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    clearTimeout(nextTimer);
    for (const attempt of attempts) attempt.giveUp();
  }
}

/** One address. Reports once: null for a connection that stands. */
class Attempt {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #report: ((failure: ConnectFailure | null) => void) | null;

  constructor(
    socket: Socket,
    address: string,
    timeMs: number,
    report: (failure: ConnectFailure | null) => void,
  ) {
    this.#socket = socket;
    this.#report = report;
    this.#timer = setTimeout(() => {
      this.#settle({ address, reason: 'no answer in time', code: 'ETIMEDOUT' });
    }, timeMs);
    socket.once('connect', () => this.#settle(null));
    // For as long as the socket lives: a reset may come at any moment, to a loser too.
    socket.on('error', (error) => {
      this.#settle({ address, reason: errorText(error), code: errorCode(error) });
    });
  }

  /** Closes without a report. */
  giveUp(): void {
    this.#report = null;
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  #settle(failure: ConnectFailure | null): void {
    const report = this.#report;
    if (report === null) return;
    this.#report = null;
    clearTimeout(this.#timer);
    if (failure === null) this.#socket.pause();
    else this.#socket.destroy();
    report(failure);
  }
}
