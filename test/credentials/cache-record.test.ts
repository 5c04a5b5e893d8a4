import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type CacheRecord, decodeRecord, encodeRecord } from '../../src/credentials/cache-record.ts';
import { keyedHash, lengthPrefixed } from '../../src/credentials/derive.ts';
import { countingBytes, keyRing } from './keys.ts';

const keys = keyRing();
const key = 'sp:v1:c:key';
const record: CacheRecord = {
  credentialId: countingBytes(0x10, 16),
  accountId: countingBytes(0x20, 16),
  scopes: 5,
  verifiedAt: 1_795_305_600_000,
  notAfter: 1_795_305_700_000,
  lapsesAt: 1_795_305_800_000,
  feedSeq: 42,
  networks: '10.0.0.0/8,2001:db8::/32',
  fence: '{"from":["alice@example.com"]}',
};

describe('S-25: cache records', () => {
  it('reads what it writes', () => {
    expect(decodeRecord(keys, key, encodeRecord(keys, key, record))).toEqual(record);
    const open = { ...record, notAfter: null, lapsesAt: null, networks: '', fence: '' };
    expect(decodeRecord(keys, key, encodeRecord(keys, key, open))).toEqual(open);
  });

  it('holds neither name nor secret, and is as long as it says', () => {
    const value = encodeRecord(keys, key, { ...record, networks: '', fence: '' });
    expect(value).toHaveLength(5 + 69 + 32);
    expect(value[0]).toBe(3);
    expect(value.readUInt32BE(1)).toBe(1);
  });

  it.each([
    ['fences', 1, (body: Buffer) => Buffer.concat([body.subarray(0, 49), body.subarray(57, -2)])],
    ['an end for want of use', 2, (body: Buffer) => Buffer.concat([body.subarray(0, 49), body.subarray(57)])],
  ])('a record from before there was %s is a miss, whoever made it', (_what, version, olderOf) => {
    const value = encodeRecord(keys, key, { ...record, fence: '' });
    const [head, body] = [value.subarray(1, 5), olderOf(value.subarray(5, -32))];
    const old = Buffer.concat([Buffer.from([version]), head, body]);
    const macKey = keys.derive('mac', 1, 'sallyport/v1/cache/record') ?? Buffer.alloc(0);
    const tag = keyedHash(macKey, lengthPrefixed(key), old);
    expect(decodeRecord(keys, key, Buffer.concat([old, tag]))).toBe('malformed');
  });

  it('S-28: names no address of a fence, and is a miss without the key that sealed it', () => {
    const value = encodeRecord(keys, key, record);
    expect(value.toString('latin1')).not.toContain('alice');
    const blob = Buffer.from(
      value.subarray(5 + 67 + record.networks.length + 2, -32).toString(),
      'base64url',
    );
    expect(blob.toString('latin1')).not.toContain('alice');
    expect(blob).toHaveLength(5 + 12 + record.fence.length + 16);
    expect(decodeRecord(keyRing({ seal: [{ id: 7, first: 0x41 }] }), key, value)).toBe('unknown-key');
  });

  it('refuses every flipped bit', () => {
    const value = encodeRecord(keys, key, record);
    for (let bit = 0; bit < value.length * 8; bit += 1) {
      const altered = Buffer.from(value);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(typeof decodeRecord(keys, key, altered)).toBe('string');
    }
  });

  it('refuses every shortened or lengthened value', () => {
    const value = encodeRecord(keys, key, record);
    for (let length = 0; length < value.length; length += 1) {
      expect(typeof decodeRecord(keys, key, value.subarray(0, length))).toBe('string');
    }
    expect(decodeRecord(keys, key, Buffer.concat([value, Buffer.alloc(1)]))).toBe('forged');
  });

  it('refuses a record copied to another key', () => {
    expect(decodeRecord(keys, `${key}x`, encodeRecord(keys, key, record))).toBe('forged');
  });

  it('refuses a key that is gone and takes one that is accepted', () => {
    const value = encodeRecord(keys, key, record);
    const rotated = keyRing({
      mac: [
        { id: 2, first: 0x99 },
        { id: 1, first: 0x20, state: 'accept' },
      ],
    });
    expect(decodeRecord(rotated, key, value)).toEqual(record);
    const retired = keyRing({
      mac: [
        { id: 2, first: 0x99 },
        { id: 1, first: 0, state: 'gone' },
      ],
    });
    expect(decodeRecord(retired, key, value)).toBe('unknown-key');
    const other = keyRing({ mac: [{ id: 1, first: 0x21 }] });
    expect(decodeRecord(other, key, value)).toBe('forged');
  });

  it('takes anything without throwing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(typeof decodeRecord(keys, key, Buffer.from(bytes))).toBe('string');
      }),
    );
  });
});
