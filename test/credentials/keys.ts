import { type KeyRing, parseKeyFile } from '../../src/credentials/key-file.ts';

/** 32 bytes counting up, as in the published vectors. */
export function countingBytes(first: number, length = 32): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => first + index));
}

interface Entry {
  readonly id: number;
  readonly first: number;
  readonly state?: 'active' | 'accept' | 'gone';
}

/** A key ring of counting keys; without overrides the one of the published vectors. */
export function keyRing(
  overrides: Partial<Record<'pepper' | 'mac' | 'seal', readonly Entry[]>> = {},
): KeyRing {
  const families = {
    pepper: [{ id: 1, first: 0x00 }],
    mac: [{ id: 1, first: 0x20 }],
    seal: [{ id: 7, first: 0x40 }],
    ...overrides,
  };
  const file = Object.fromEntries(
    Object.entries(families).map(([family, entries]) => [
      family,
      entries.map(({ id, first, state = 'active' }: Entry) => ({
        id,
        ...(state === 'gone' ? {} : { key: countingBytes(first).toString('base64url') }),
        created: '2026-11-22T00:00:00.000Z',
        state,
      })),
    ]),
  );
  return parseKeyFile(JSON.stringify({ format: 1, ...file }));
}
