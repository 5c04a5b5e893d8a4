import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalName } from '../../src/credentials/account-name.ts';

const canonical = (name: string | Buffer, domain: string | null = 'example.com') =>
  canonicalName(name, domain)?.address ?? null;

describe('login names in one form (S-04)', () => {
  it.each([
    ['alice@example.com', 'alice@example.com'],
    ['Alice@Example.COM', 'alice@example.com'],
    ['alice', 'alice@example.com'],
    [' alice@example.com ', 'alice@example.com'],
    ["o'brien+list/a=b{c}@example.com", "o'brien+list/a=b{c}@example.com"],
    [Buffer.from('jos\xe9@example.com', 'latin1'), 'jos\u00e9@example.com'],
    [Buffer.from('jos\u00e9@example.com', 'utf8'), 'jos\u00e9@example.com'],
    ['jose\u0301@example.com', 'jos\u00e9@example.com'],
    ['J\u00d3SE@example.com', 'j\u00d3se@example.com'],
    ['\u0101nna@b\u00fccher.example', '\u0101nna@xn--bcher-kva.example'],
    ['anna@B\u00dcCHER.example', 'anna@xn--bcher-kva.example'],
    ['anna@xn--bcher-kva.example', 'anna@xn--bcher-kva.example'],
    ['anna@localhost', 'anna@localhost'],
    [`${'a'.repeat(242)}@example.com`, `${'a'.repeat(242)}@example.com`],
  ])('%p is %p', (typed, address) => {
    expect(canonical(typed)).toBe(address);
  });

  it.each([
    '',
    '@',
    '@example.com',
    'alice@',
    'alice@@example.com',
    'alice@example.com@evil.example',
    'joe*admin',
    'joe*admin@example.com',
    '%u',
    'alice%example.com@example.com',
    'a b@example.com',
    'alice @example.com',
    'alice@ example.com',
    '"alice"@example.com',
    'al\\ice@example.com',
    'alice\u0000@example.com',
    'alice@example.com\u0000',
    'alice\r\nx LOGOUT@example.com',
    'alice\n@example.com',
    'alice\t@example.com',
    'alice\u007f@example.com',
    'alice\u0085@example.com',
    'alice\u00a0@example.com',
    'alice\u200b@example.com',
    'alice\u202e@example.com',
    'alice\u2028@example.com',
    'alice\ufeff@example.com',
    '\ufeffalice@example.com',
    'alice\ud800@example.com',
    '\u212aelly@example.com',
    'a\u037e@example.com',
    'alice@example\u3002com',
    'alice@\uff45xample.com',
    'alice@\u212aelvin.example',
    'alice@-example.com',
    'alice@example..com',
    'alice@example.com.',
    'alice@[127.0.0.1]',
    'alice@ex_ample.com',
    'alice@example.com/x',
    'alice@example.com:993',
    'alice@example.com#',
    'alice@xn--\u00fc.example',
    `${'a'.repeat(243)}@example.com`,
    'a'.repeat(250),
    Buffer.from([0x61, 0x80, 0x40, 0x62]),
    Buffer.from([0x61, 0x9f]),
  ])('%p is no name', (typed) => {
    expect(canonical(typed)).toBeNull();
  });

  it('needs a domain where there is no default', () => {
    expect(canonical('alice', null)).toBeNull();
    expect(canonical('alice@example.com', null)).toBe('alice@example.com');
  });

  it('folds no character into ASCII but A to Z', () => {
    for (let codePoint = 0x80; codePoint <= 0x1_ffff; codePoint += 1) {
      const address = canonical(`x${String.fromCodePoint(codePoint)}@example.com`);
      if (address !== null) expect(address.split('@')[0]).not.toMatch(/^x[ -~]?$/);
    }
  });

  it('is stable, never throws, and never lets a steering character through', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const address = canonical(Buffer.from(bytes));
        if (address === null) return;
        expect(canonical(address)).toBe(address);
        expect(address).not.toMatch(/[\p{C}\p{Z}%*"\\]/u);
      }),
      { numRuns: 5_000 },
    );
  });
});
