import { lengthPrefixed, u8, u32, u64 } from './derive.ts';

/** Bytes of a keyed hash of an account's name: names are strangers' text and reach no table and no Redis. */
export const tagBytes = 12;

/** Two fingerprints of one secret, at the network and at the wider one. */
export interface Fingerprints {
  readonly narrow: number;
  readonly wide: number;
}

/** What the nodes tell each other. `at` is UTC milliseconds; `network` is as networkOf() writes it. */
export type ThrottleEvent =
  | {
      readonly kind: 'wrong';
      readonly at: number;
      readonly tag: Buffer;
      readonly network: string;
      readonly seen: Fingerprints;
      /** Of the day before, in the first hour of a new one: still the same secret. */
      readonly former: Fingerprints | null;
    }
  | { readonly kind: 'right'; readonly at: number; readonly tag: Buffer; readonly network: string }
  /** The operator's: forget what was counted before. null stands for every account, or every network. */
  | {
      readonly kind: 'clear';
      readonly at: number;
      readonly tag: Buffer | null;
      readonly network: string | null;
    };

const codes = { wrong: 1, right: 2, clear: 3 } as const;
const nothing = Buffer.alloc(0);

/** Events as one message. */
export function encodeEvents(events: readonly ThrottleEvent[]): Buffer {
  return Buffer.concat(events.flatMap(encode));
}

function encode(event: ThrottleEvent): readonly Buffer[] {
  const head = [
    u8(codes[event.kind]),
    u64(BigInt(event.at)),
    lengthPrefixed(event.tag ?? nothing),
    lengthPrefixed(event.network ?? ''),
  ];
  if (event.kind !== 'wrong') return head;
  const { seen, former } = event;
  const fingerprints = [u32(seen.narrow), u32(seen.wide), u8(former === null ? 0 : 1)];
  if (former !== null) fingerprints.push(u32(former.narrow), u32(former.wide));
  return [...head, ...fingerprints];
}

/** null for anything that {@link encodeEvents} does not write. */
export function decodeEvents(bytes: Buffer): readonly ThrottleEvent[] | null {
  const events: ThrottleEvent[] = [];
  const reader = new Reader(bytes);
  try {
    while (!reader.isAtEnd) {
      const event = decode(reader);
      if (event === null) return null;
      events.push(event);
    }
    return events;
  } catch {
    return null;
  }
}

function decode(reader: Reader): ThrottleEvent | null {
  const code = reader.u8();
  const at = Number(reader.u64());
  const tag = reader.field();
  const network = reader.field().toString('latin1');
  if (code === codes.clear) {
    return {
      kind: 'clear',
      at,
      tag: tag.length === 0 ? null : tag,
      network: network === '' ? null : network,
    };
  }
  if (tag.length !== tagBytes || network === '') return null;
  if (code === codes.right) return { kind: 'right', at, tag, network };
  if (code !== codes.wrong) return null;
  const seen = { narrow: reader.u32(), wide: reader.u32() };
  const former = reader.u8() === 0 ? null : { narrow: reader.u32(), wide: reader.u32() };
  return { kind: 'wrong', at, tag, network, seen, former };
}

/** Throws a RangeError behind the end. */
class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#advance(8));
  }

  field(): Buffer {
    const length = this.#bytes.readUInt16BE(this.#advance(2));
    const start = this.#advance(length);
    if (this.#offset > this.#bytes.length) throw new RangeError('a field behind the end');
    return Buffer.from(this.#bytes.subarray(start, this.#offset));
  }

  #advance(length: number): number {
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}
