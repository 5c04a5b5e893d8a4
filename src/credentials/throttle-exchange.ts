import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { KeyRing } from './key-file.ts';
import { blockingConnection, onRedisError, type Redis } from './redis.ts';
import { SealBox, SealError, type SealPlace } from './seal.ts';
import type { ThrottleExchange } from './throttle.ts';
import { decodeEvents, encodeEvents, type ThrottleEvent } from './throttle-event.ts';

/** `maxBatches` of at most 64 events, 6 KB: the most that Redis holds. Successes are kept longer and told more slowly. */
interface Stream {
  readonly name: string;
  readonly everyMs: number;
  readonly keepMs: number;
  readonly maxBatches: number;
}

/** The braces keep them in one slot of a cluster, so that one command reads both. */
const streams = {
  wrong: { name: 'sp:v1:{throttle}:wrong', everyMs: 100, keepMs: 3_600_000, maxBatches: 4_096 },
  right: { name: 'sp:v1:{throttle}:right', everyMs: 5_000, keepMs: 24 * 3_600_000, maxBatches: 8_192 },
} as const satisfies Record<string, Stream>;

const eventsPerBatch = 64;
/** More at once is a flood, which this node counts alone. */
const maxQueued = 1_024;
const batchesPerRead = 32;
/** A read blocks half as long as its connection may be silent. */
const defaultReadMs = 10_000;
/** A Redis that answers at once and says nothing must not keep a core busy. */
const pauseMs = 10;
const retryMs = 100;
const field = 'b';

const none = Buffer.alloc(0);

/**
 * Events over two Redis streams of bounded length, sealed: Redis learns neither account nor network nor secret, and who can
 * write it can forge nothing, only repeat, which changes nothing, and hold back. A node that starts or comes back reads what
 * it missed. rate-limiter-flexible would count points and not different secrets, ask Redis at every login and believe it.
 */
export class RedisThrottleExchange implements ThrottleExchange {
  readonly #redis: Redis;
  readonly #sealBox: SealBox;
  readonly #metrics: Metrics;
  readonly #logger: Logger | null;
  readonly #readMs: number;
  readonly #outboxes = [new Outbox(streams.wrong), new Outbox(streams.right)] as const;
  #reader: Redis | null = null;
  #hasStopped = false;

  constructor(parts: {
    readonly redis: Redis;
    readonly keys: KeyRing;
    readonly metrics: Metrics;
    /** null where the program ends after one command. */
    readonly logger: Logger | null;
    readonly readMs?: number;
  }) {
    this.#redis = parts.redis;
    this.#sealBox = new SealBox(parts.keys);
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#readMs = parts.readMs ?? defaultReadMs;
  }

  send(event: ThrottleEvent): void {
    if (this.#hasStopped) return;
    const outbox = this.#outboxes[event.kind === 'right' ? 1 : 0];
    if (outbox.events.length >= maxQueued) {
      this.#metrics.throttleShared.inc({ outcome: 'dropped' });
      return;
    }
    outbox.events.push(event);
    outbox.timer ??= setTimeout(() => {
      outbox.sending = outbox.sending.then(() => this.#sendBatch(outbox));
    }, outbox.stream.everyMs).unref();
  }

  /** Opens a connection of its own, which blocks while there is nothing new. */
  receive(onEvent: (event: ThrottleEvent) => void): void {
    const reader = blockingConnection(this.#redis, this.#readMs);
    this.#reader = reader;
    onRedisError(reader, () => undefined);
    // Its failure arrives as an `error` event too, and it tries again by itself.
    reader.connect().catch(() => undefined);
    void this.#listen(reader, onEvent);
  }

  /** The newest of what Redis holds, for a process that does not listen. Rejects when Redis does. */
  async readAll(onEvent: (event: ThrottleEvent) => void): Promise<void> {
    for (const { name, maxBatches } of Object.values(streams)) {
      let before = '+';
      // No further than gateways fill it: others may have made it longer.
      for (let read = 0; read < 2 * maxBatches; read += batchesPerRead) {
        const batches = await this.#redis.xrevrangeBuffer(name, before, '-', 'COUNT', batchesPerRead);
        for (const [, fields] of batches) this.#open(name, fields[1] ?? none).forEach(onEvent);
        const last = batches.at(-1)?.[0];
        if (last === undefined) break;
        before = `(${last.toString('latin1')}`;
      }
    }
  }

  /** Sends what waits. Never rejects; false when Redis did not take all of it. */
  async flush(): Promise<boolean> {
    for (const outbox of this.#outboxes) {
      if (outbox.timer !== null) clearTimeout(outbox.timer);
      await outbox.sending;
      while (outbox.events.length > 0) if (!(await this.#sendBatch(outbox))) return false;
    }
    return true;
  }

  async stop(): Promise<void> {
    this.#hasStopped = true;
    this.#reader?.disconnect();
    if (this.#redis.status === 'ready') await this.flush();
  }

  async #sendBatch(outbox: Outbox): Promise<boolean> {
    outbox.timer = null;
    const { name, keepMs, maxBatches, everyMs } = outbox.stream;
    const events = outbox.events.splice(0, eventsPerBatch);
    if (events.length === 0) return true;
    if (outbox.events.length > 0 && !this.#hasStopped) {
      outbox.timer = setTimeout(() => {
        outbox.sending = outbox.sending.then(() => this.#sendBatch(outbox));
      }, everyMs).unref();
    }
    const batch = this.#sealBox.seal(placeOf(name), encodeEvents(events));
    try {
      await this.#redis.xadd(name, 'MAXLEN', '~', maxBatches, '*', field, batch);
      await this.#redis.pexpire(name, keepMs);
      this.#metrics.throttleShared.inc({ outcome: 'sent' }, events.length);
      return true;
    } catch {
      // Redis away, slow or odd: this node has counted, the others have not.
      this.#metrics.throttleShared.inc({ outcome: 'failed' }, events.length);
      return false;
    }
  }

  async #listen(reader: Redis, onEvent: (event: ThrottleEvent) => void): Promise<void> {
    while (!this.#hasStopped) {
      try {
        if (reader.status === 'ready') await this.#read(reader, onEvent);
      } catch (error) {
        if (!this.#hasStopped) this.#logger?.debug({ err: error }, 'throttle counts of other nodes not read');
      }
      await sleep(retryMs, undefined, { ref: false });
    }
  }

  /** From the beginning at each connection: the Redis behind it may be another one. Rejects when it breaks. */
  async #read(reader: Redis, onEvent: (event: ThrottleEvent) => void): Promise<void> {
    const names = Object.values(streams).map(({ name }) => name);
    const after = new Map<string, string>(names.map((name) => [name, '0']));
    while (!this.#hasStopped) {
      const ids = names.map((name) => after.get(name) ?? '0');
      const answer = await reader.xreadBuffer(
        'COUNT',
        batchesPerRead,
        'BLOCK',
        this.#readMs / 2,
        'STREAMS',
        ...names,
        ...ids,
      );
      for (const [key, batches] of answer ?? []) {
        const name = key.toString('latin1');
        for (const [id, fields] of batches) {
          after.set(name, id.toString('latin1'));
          this.#open(name, fields[1] ?? none).forEach(onEvent);
        }
      }
      await sleep(pauseMs, undefined, { ref: false });
    }
  }

  #open(stream: string, blob: Buffer): readonly ThrottleEvent[] {
    try {
      const events = decodeEvents(this.#sealBox.open(placeOf(stream), blob.toString('latin1')));
      if (events !== null) return events;
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
    }
    this.#metrics.throttleShared.inc({ outcome: 'rejected' });
    return [];
  }
}

class Outbox {
  readonly stream: Stream;
  readonly events: ThrottleEvent[] = [];
  timer: NodeJS.Timeout | null = null;
  sending: Promise<unknown> = Promise.resolve();

  constructor(stream: Stream) {
    this.stream = stream;
  }
}

function placeOf(stream: string): SealPlace {
  return { purpose: 'throttle-events', table: 'redis', column: stream, rowId: none, accountId: none };
}
