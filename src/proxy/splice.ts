import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { assertVerified, type VerifiedLogin } from '../credentials/verifier.ts';
import { takeViews } from '../upstream/shared-reads.ts';
import { ClearFlow, type Count, type Flow, RecordFlow } from './splice/flow.ts';

export interface SpliceOptions {
  /** Read from the client before the splice, in order; goes to the backend first (wire 56). */
  readonly fromClient: Buffer;
  /** Read from the backend before the splice; goes to the client first (wire 59). */
  readonly fromUpstream: Buffer;
  /** Without a byte either way; 0 for no limit. */
  readonly idleTimeMs: number;
  /** Without progress of what is left for one side when the other has closed in order; 30 s where left out. */
  readonly lastBytesMs?: number;
  /** Counts as bytes pass, for whoever looks; one of its own where left out. */
  readonly traffic?: Traffic;
}

/** Bytes passed so far. */
export interface Traffic {
  /** Client to backend. */
  bytesUp: number;
  bytesDown: number;
}

export interface SpliceResult extends Readonly<Traffic> {
  readonly ended: SpliceEnd;
}

/** Who was done first, or what ended it. */
export type SpliceEnd = 'client' | 'upstream' | 'idle' | 'reset';

/** What is on its way when the other side has closed is at most a buffer's worth. */
const defaultLastBytesMs = 30_000;

/**
 * Copies bytes both ways until both sides are done: no parser, no encoding (wire 61). A full sink stops its source
 * (wire 64), a FIN is passed on and the other direction finishes first (wire 65), a reset ends both. Both sockets must allow
 * half-open and be paused. Resolves once both are closed; never rejects. Demands a login that the verifier made.
 */
export async function splice(
  login: VerifiedLogin,
  client: Socket,
  upstream: Socket,
  options: SpliceOptions,
): Promise<SpliceResult> {
  assertVerified(login);
  const traffic = options.traffic ?? { bytesUp: 0, bytesDown: 0 };
  const before = { ...traffic };
  const { promise, resolve } = Promise.withResolvers<SpliceEnd>();
  new Splice(client, upstream, traffic, resolve).begin(options);
  const ended = await promise;
  return {
    bytesUp: traffic.bytesUp - before.bytesUp,
    bytesDown: traffic.bytesDown - before.bytesDown,
    ended,
  };
}

/** The flow out of a socket, so that one set of handlers serves every connection of the process. */
const outgoing = Symbol('outgoing flow');

interface SplicedSocket extends Socket {
  [outgoing]?: SpliceSide | undefined;
}

interface SpliceSide {
  readonly flow: Flow;
  readonly splice: Splice;
}

class Splice {
  readonly #up: SpliceSide;
  readonly #down: SpliceSide;
  readonly #onOver: (ended: SpliceEnd) => void;
  #lastBytesMs = defaultLastBytesMs;
  #ended: SpliceEnd | null = null;
  #open = 2;

  constructor(client: Socket, upstream: Socket, traffic: Traffic, onOver: (ended: SpliceEnd) => void) {
    const countUp = (bytes: number) => {
      traffic.bytesUp += bytes;
    };
    const countDown = (bytes: number) => {
      traffic.bytesDown += bytes;
    };
    this.#up = { splice: this, flow: flowOf(client, upstream, countUp) };
    this.#down = { splice: this, flow: flowOf(upstream, client, countDown) };
    this.#onOver = onOver;
  }

  begin(options: SpliceOptions): void {
    const sides = [this.#up, this.#down];
    this.#lastBytesMs = options.lastBytesMs ?? defaultLastBytesMs;
    // Every byte passes the client's socket, so its timer alone sees both directions.
    this.#up.flow.source.setTimeout(options.idleTimeMs);
    for (const side of sides) attach(side);
    this.#down.flow.begin(options.fromUpstream);
    this.#up.flow.begin(options.fromClient);
    for (const side of sides) {
      // What had happened by now is not told again.
      const { source } = side.flow;
      if (source.readableEnded) this.ended(side);
      if (source.closed) this.closed(side, false);
    }
  }

  ended(side: SpliceSide): void {
    this.#ended ??= side === this.#up ? 'client' : 'upstream';
    side.flow.end();
  }

  failed(): void {
    this.#ended ??= 'reset';
  }

  timedOut(): void {
    this.#ended ??= 'idle';
    this.#up.flow.source.destroy();
    this.#down.flow.source.destroy();
  }

  closed(side: SpliceSide, hadError: boolean): void {
    const { source, sink } = side.flow;
    const isInOrder = !hadError && this.#up.flow.hasEnded && this.#down.flow.hasEnded;
    if (isInOrder) {
      sink.setTimeout(this.#lastBytesMs);
    } else {
      this.#ended ??= 'reset';
      sink.destroy();
    }
    detach(source);
    this.#open--;
    if (this.#open === 0) this.#onOver(this.#ended ?? 'reset');
  }
}

function flowOf(source: Socket, sink: Socket, count: Count): Flow {
  return sink instanceof TLSSocket ? new RecordFlow(source, sink, count) : new ClearFlow(source, sink, count);
}

function attach(side: SpliceSide): void {
  const source: SplicedSocket = side.flow.source;
  source[outgoing] = side;
  source
    .on('end', onEnd)
    .on('drain', onDrain)
    .on('timeout', onTimeout)
    .on('error', onError)
    .on('close', onClose);
  if (!takeViews(source, side.flow)) source.on('data', onData);
}

function detach(socket: SplicedSocket): void {
  socket[outgoing] = undefined;
  // A socket destroyed here may still report: 'error' stays heard.
  socket
    .off('data', onData)
    .off('end', onEnd)
    .off('drain', onDrain)
    .off('timeout', onTimeout)
    .off('close', onClose);
}

function onData(this: SplicedSocket, chunk: Buffer): void {
  this[outgoing]?.flow.take(chunk);
}

function onEnd(this: SplicedSocket): void {
  const side = this[outgoing];
  side?.splice.ended(side);
}

function onDrain(this: SplicedSocket): void {
  const back: SplicedSocket | undefined = this[outgoing]?.flow.sink;
  back?.[outgoing]?.flow.drained();
}

function onTimeout(this: SplicedSocket): void {
  this[outgoing]?.splice.timedOut();
}

/** The peer is gone at any point of any write: no fault of ours (wire 155). */
function onError(this: SplicedSocket): void {
  this[outgoing]?.splice.failed();
}

function onClose(this: SplicedSocket, hadError: boolean): void {
  const side = this[outgoing];
  side?.splice.closed(side, hadError);
}
