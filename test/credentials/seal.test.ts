import { createCipheriv } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { SealBox, SealError, type SealPlace } from '../../src/credentials/seal.ts';
import { countingBytes, keyRing } from './keys.ts';

const place: SealPlace = {
  purpose: 'totp-seed',
  table: 'second_factor',
  column: 'sealed',
  rowId: countingBytes(1, 16),
  accountId: countingBytes(2, 16),
};
const box = new SealBox(keyRing());
const seed = countingBytes(0xa0, 20);

describe('S-39: sealed values', () => {
  it('open where they were sealed, each with its own nonce', () => {
    const blob = box.seal(place, seed);
    expect(box.open(place, blob)).toEqual(seed);
    expect(box.seal(place, seed)).not.toBe(blob);
    expect(box.open(place, box.seal(place, Buffer.alloc(0)))).toHaveLength(0);
  });

  it.each<[string, Partial<SealPlace>]>([
    ['row', { rowId: countingBytes(9, 16) }],
    ['account', { accountId: countingBytes(9, 16) }],
    ['column', { column: 'other' }],
    ['table', { table: 'other' }],
    ['purpose', { purpose: 'refresh-token' }],
  ])('do not open in another %s', (_name, change) => {
    const blob = box.seal(place, seed);
    expect(() => box.open({ ...place, ...change }, blob)).toThrow(SealError);
  });

  it('do not open with any bit flipped or any byte missing', () => {
    const bytes = Buffer.from(box.seal(place, seed), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => box.open(place, altered.toString('base64url'))).toThrow(SealError);
    }
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => box.open(place, bytes.toString('base64url', 0, length))).toThrow(SealError);
    }
  });

  it.each([4, 8, 12])('do not open with a tag of %i bytes, which Node would take', (tagBytes) => {
    const keys = keyRing();
    const key = keys.derive('seal', 7, 'sallyport/v1/seal/totp-seed') ?? Buffer.alloc(0);
    const head = Buffer.from([1, 0, 0, 0, 7]);
    const nonce = countingBytes(0, 12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
    const fields = [
      'sallyport/v1/seal',
      place.purpose,
      place.table,
      place.column,
      place.rowId,
      place.accountId,
      head,
    ];
    cipher.setAAD(
      Buffer.concat(
        fields.flatMap((field) => [Buffer.from([0, Buffer.byteLength(field)]), Buffer.from(field)]),
      ),
    );
    const sealed = cipher.update(seed);
    cipher.final();
    const blob = Buffer.concat([head, nonce, sealed, cipher.getAuthTag()]).toString('base64url');
    expect(() => box.open(place, blob)).toThrow(SealError);
  });

  it('open under an accepted key and not under one that is gone', () => {
    const blob = box.seal(place, seed);
    const rotated = new SealBox(
      keyRing({
        seal: [
          { id: 8, first: 0x90 },
          { id: 7, first: 0x40, state: 'accept' },
        ],
      }),
    );
    expect(rotated.open(place, blob)).toEqual(seed);
    expect(Buffer.from(rotated.seal(place, seed), 'base64url').readUInt32BE(1)).toBe(8);
    const retired = new SealBox(
      keyRing({
        seal: [
          { id: 8, first: 0x90 },
          { id: 7, first: 0, state: 'gone' },
        ],
      }),
    );
    expect(() => retired.open(place, blob)).toThrow('key 7, which is gone');
  });
});
