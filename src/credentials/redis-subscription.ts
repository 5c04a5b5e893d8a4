import { listeningConnection, onRedisError, type Redis, type SingleRedis } from './redis.ts';

/** Who only listens says nothing, and would take a connection that was cut off for a quiet one. */
const pingMs = 1_000;
const silentMs = 3_000;

/** Channels listened to over a connection of its own, which goes on trying. What is heard is a stranger's until it is proven. */
export class RedisSubscription {
  readonly #connection: SingleRedis;
  readonly #pings: NodeJS.Timeout;
  #isListening = false;

  constructor(
    redis: Redis,
    channels: readonly string[],
    on: {
      readonly message: (channel: string, message: string) => void;
      /** Each time the channels are listened to anew: what was said meanwhile is lost. */
      readonly listening?: () => void;
      readonly error: (error: Error) => void;
    },
  ) {
    this.#connection = listeningConnection(redis, silentMs);
    onRedisError(this.#connection, on.error);
    this.#connection.on('message', on.message);
    this.#connection.on('close', () => {
      this.#isListening = false;
    });
    this.#connection.on('ready', () => {
      this.#connection.subscribe(...channels).then(() => {
        this.#isListening = true;
        on.listening?.();
      }, on.error);
    });
    this.#pings = setInterval(() => {
      if (this.#isListening) this.#connection.ping().catch(() => undefined);
    }, pingMs).unref();
    // Its failure arrives as an `error` event too, and it tries again by itself.
    this.#connection.connect().catch(() => undefined);
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  stop(): void {
    clearInterval(this.#pings);
    this.#isListening = false;
    this.#connection.disconnect();
  }
}
