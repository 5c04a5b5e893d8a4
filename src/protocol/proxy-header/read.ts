import { type HeaderReading, incomplete, malformed } from './header.ts';
import { readProxyHeaderV1 } from './v1.ts';
import { readProxyHeaderV2, signature } from './v2.ts';

const firstWord = Buffer.from('PROXY ');

/**
 * Reads the PROXY header, version 1 or 2, that `received` begins with: all that came so far, from the first byte on.
 * `incomplete` is never answered for more than 2048 bytes.
 */
export function readProxyHeader(received: Buffer): HeaderReading {
  if (beginsLike(received, firstWord))
    return received.length < firstWord.length ? incomplete : readProxyHeaderV1(received);
  return beginsLike(received, signature) ? readProxyHeaderV2(received) : malformed;
}

/** As far as both go. */
function beginsLike(received: Buffer, expected: Buffer): boolean {
  const length = Math.min(received.length, expected.length);
  return received.subarray(0, length).equals(expected.subarray(0, length));
}
