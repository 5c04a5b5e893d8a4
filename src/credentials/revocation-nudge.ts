import { equalBytes, keyedHash, lengthPrefixed, u32, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import type { Redis } from './redis.ts';
import { RedisSubscription } from './redis-subscription.ts';
import type { RevocationNudge } from './revocation.ts';

const channel = 'sp:v1:revocation';
const label = 'sallyport/v1/pubsub';
/** u64 feed number, u32 mac id, 32-byte tag, base64url. */
const messageCharacters = 59;

/** Nudges over Redis pub/sub, each with a MAC: a Redis writer cannot make every node read the store at his rate (S-30). */
export class RedisNudge implements RevocationNudge {
  readonly #redis: Redis;
  readonly #keys: KeyRing;
  readonly #onError: (error: Error) => void;
  #subscription: RedisSubscription | null = null;

  /** Publishes on the shared connection; to listen it opens a second one. */
  constructor(redis: Redis, keys: KeyRing, onError: (error: Error) => void) {
    this.#redis = redis;
    this.#keys = keys;
    this.#onError = onError;
  }

  async publish(seq: number): Promise<void> {
    const message = encodeNudge(this.#keys, seq);
    if (message !== null) await this.#redis.publish(channel, message);
  }

  subscribe(onNudge: (seq: number) => void): void {
    this.#subscription = new RedisSubscription(this.#redis, [channel], {
      message: (_channel, message) => {
        const seq = decodeNudge(this.#keys, message);
        if (seq !== null) onNudge(seq);
      },
      error: this.#onError,
    });
  }

  stop(): void {
    this.#subscription?.stop();
  }
}

/** The message that says the feed has reached `seq`; null before anything was read. */
export function encodeNudge(keys: KeyRing, seq: number): string | null {
  if (seq < 0) return null;
  const head = Buffer.concat([u64(BigInt(seq)), u32(keys.activeId('mac'))]);
  const tag = tagOf(keys, head);
  return tag === null ? null : Buffer.concat([head, tag]).toString('base64url');
}

/** The feed number, or null for anything that is not ours. */
export function decodeNudge(keys: KeyRing, message: string): number | null {
  if (message.length !== messageCharacters) return null;
  const bytes = Buffer.from(message, 'base64url');
  if (bytes.length !== 44) return null;
  const head = bytes.subarray(0, 12);
  const tag = tagOf(keys, head);
  return tag !== null && equalBytes(tag, bytes.subarray(12)) ? Number(head.readBigUInt64BE(0)) : null;
}

function tagOf(keys: KeyRing, head: Buffer): Buffer | null {
  const key = keys.derive('mac', head.readUInt32BE(8), label);
  return key === null ? null : keyedHash(key, lengthPrefixed(channel), head);
}
