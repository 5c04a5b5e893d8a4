import { describe, expect, it } from '@jest/globals';
import { encodeRecord } from '../../src/credentials/cache-record.ts';
import { deriveKey, keyedHash, lengthPrefixed } from '../../src/credentials/derive.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { formatPhc } from '../../src/credentials/phc.ts';
import { encodeNudge } from '../../src/credentials/revocation-nudge.ts';
import { rowMac } from '../../src/credentials/row-mac.ts';
import { SealBox } from '../../src/credentials/seal.ts';
import { selectorOf } from '../../src/credentials/selector.ts';
import { throttleFingerprint } from '../../src/credentials/throttle.ts';
import { cacheKey } from '../../src/credentials/verification-cache.ts';
import { Secret } from '../../src/secret.ts';
import { countingBytes, keyRing } from './keys.ts';

const account = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const row = Buffer.from('ffeeddccbbaa99887766554433221100', 'hex');
const keys = keyRing();
const secret = () => Secret.fromText('abcdefghijklmnoq');

describe('published vectors (S-38)', () => {
  it('derives the selector key and the selector', () => {
    expect(keys.derive('pepper', 1, 'sallyport/v1/app-password/selector')?.toString('hex')).toBe(
      '2f97b6e1d8303025334c5cd87bb4ba9f853e3e50c75028f5aff1924fa8ad9caa',
    );
    expect(selectorOf(keys, 1, account, secret())).toBe(0x2261);
  });

  it('derives the argon2 key and the keyed hash', async () => {
    expect(keys.derive('pepper', 1, 'sallyport/v1/app-password/argon2-secret')?.toString('hex')).toBe(
      'c0419cabab7891d44a8d6959d1eabf012a514107f8055329dfa739dfbb042da8',
    );
    const argon2 = { memoryKib: 12_288, passes: 3, lanes: 1 };
    const passwordHash = new PasswordHash({ keys, argon2, now: Date.now });
    const tag = Buffer.from('77306285efdf2a3848f2aa87171b7503662107b42693a697f256604ad3a31a33', 'hex');
    const phc = formatPhc({ ...argon2, salt: countingBytes(0x80, 16), tag });
    const place = { account: 'a', network: 'n' };
    expect(await passwordHash.matches(secret(), { phc, pepperVersion: 1 }, place)).toBe('match');
    // Twice: the addon must not have wiped the key ring's buffer.
    expect(await passwordHash.matches(secret(), { phc, pepperVersion: 1 }, place)).toBe('match');
    const other = Secret.fromText('aaaaaaaaaaaaaaar');
    expect(await passwordHash.matches(other, { phc, pepperVersion: 1 }, place)).toBe('differs');
  });

  it('makes the cache key', () => {
    expect(cacheKey(keys, 1, countingBytes(0x60), account, secret())).toBe(
      'sp:v1:c:MAB72w2n9jXwQLSBivOTezYmXbvtcVAcze575cEnXho',
    );
  });

  it('makes the cache record', () => {
    const record = encodeRecord(keys, 'sp:v1:c:MAB72w2n9jXwQLSBivOTezYmXbvtcVAcze575cEnXho', {
      credentialId: row,
      accountId: account,
      scopes: 5,
      verifiedAt: 1_795_305_600_000,
      notAfter: null,
      lapsesAt: null,
      feedSeq: 7,
      networks: '203.0.113.0/24',
      fence: '',
    });
    expect(record.toString('base64url')).toBe(
      'AwAAAAH_7t3Mu6qZiHdmVUQzIhEAABEiM0RVZneImaq7zN3u_wUAAAGiAI10AP____________________8AAAAAAAAABwAOMjAzLjAuMTEzLjAvMjQAADF7kS7Yr5q-i0ZwZ8MVlBdkaOocC1rJ2dozjXkuNitF',
    );
  });

  it('makes the throttle fingerprint', () => {
    const at = Date.UTC(2026, 10, 22, 23, 59);
    const fingerprint = throttleFingerprint(keys, at, account, '203.0.113.0/24', secret());
    expect(fingerprint.toString(16)).toBe('d1516151');
  });

  it('opens the sealed seed', () => {
    const place = {
      purpose: 'totp-seed',
      table: 'second_factor',
      column: 'sealed',
      rowId: row,
      accountId: account,
    } as const;
    const blob = 'AQAAAAegoaKjpKWmp6ipqqtoO5eMJW5Qyy4V-Hb8-NbMY0eBkhjJZdY-4YaFqIlpMQ9klt4';
    expect(new SealBox(keys).open(place, blob).toString()).toBe('12345678901234567890');
  });

  it.each([
    ['', null, null, '00000001a1dbe7e1d64057fa07610a27722136dac45e5b7e29f824f2ddd1d4fc0cc19cb1'],
    [
      '{"from":["scan@example.com"],"messagesPerHour":20}',
      null,
      null,
      '000000015a6176d6093c3e48a7d88c871febfd683dc3422da8eabb18858f1bdc12dd432a',
    ],
    ['', 1_795_392_000_000, null, '00000001f59c722d0eda48e6f8e992266ecb788ab4a1f99e7d7840a0530777ca3b244833'],
    ['', null, 7_776_000_000, '00000001889f9bfe31260b04248e011647a4ec5d2f2d8fb13dd852501555f6e4e94febdf'],
    [
      '{"maxBytes":1000}',
      1_795_392_000_000,
      7_776_000_000,
      '000000018db04569b969b4dee2878172a5dcc5e2e8a339fc4c2a6ac59fb639062971c710',
    ],
  ])(
    'makes the row MAC, fenced with %j, to be used by %j and every %j ms',
    (fence, firstUseBy, maxIdleMs, encoded) => {
      const mac = rowMac(keys, 'anna@example.com', {
        id: row,
        account_id: account,
        scopes: 5,
        networks: '',
        not_after: null,
        first_use_by: firstUseBy,
        max_idle_ms: maxIdleMs,
        state: 'active',
        pepper_version: 1,
        selector: 8801,
        phc: '$argon2id$v=19$m=12288,t=3,p=1$gIGCg4SFhoeIiYqLjI2Ojw$dzBihe/fKjhI8qqHFxt1A2YhB7Qmk6aX8lZgStOjGjM',
        fence,
      });
      expect(mac.toString('hex')).toBe(encoded);
    },
  );

  it('makes the revocation message', () => {
    expect(encodeNudge(keys, 7)).toBe('AAAAAAAAAAcAAAAB1T1te0tlY0aZaEEirB9pHVNPOi9F20qMIjWwC5L0mVE');
  });

  it('chains the audit entry', () => {
    const key = deriveKey(countingBytes(0x20), 'sallyport/v1/audit');
    const entry = '{"at":1795305600000,"event":"app_password.created","seq":1}';
    expect(keyedHash(key, lengthPrefixed(Buffer.alloc(32)), lengthPrefixed(entry)).toString('hex')).toBe(
      '6a7bf381b596baaae18720826620135cf4fa85e052d74ba4566f941633c5459e',
    );
  });
});
