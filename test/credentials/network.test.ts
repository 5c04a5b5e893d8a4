import { describe, expect, it } from '@jest/globals';
import { canonicalCidr, isAllowed, networkOf, widerNetworkOf } from '../../src/credentials/network.ts';

describe('networks', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7/32', '203.0.113.0/24'],
    ['::ffff:203.0.113.7', '203.0.113.7/32', '203.0.113.0/24'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
    ['2001:DB8::1', '2001:db8::/64', '2001:db8::/48'],
    ['fe80::1%eth0', 'fe80::/64', 'fe80::/48'],
    ['', 'unknown', 'unknown'],
    ['0x7f.1', 'unknown', 'unknown'],
    ['mail.example.com', 'unknown', 'unknown'],
  ])('%p counts as %s, wider as %s', (address, network, wider) => {
    expect([networkOf(address), widerNetworkOf(address)]).toEqual([network, wider]);
  });

  it.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['192.0.2.1', '192.0.2.1/32'],
    ['192.0.2.129/25', '192.0.2.128/25'],
    ['::ffff:192.0.2.0/120', '192.0.2.0/24'],
    ['2001:DB8:0:0::/32', '2001:db8::/32'],
    ['2001:db8::1', '2001:db8::1/128'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::/0', '::/0'],
  ])('%s is written %s', (text, canonical) => {
    expect(canonicalCidr(text)).toBe(canonical);
    expect(canonicalCidr(canonical)).toBe(canonical);
  });

  it.each([
    '',
    'x',
    '10.0.0.0/33',
    '10.0.0/8',
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/+8',
    '::/129',
    '::ffff:10.0.0.0/8',
    '10.0.0.0/08',
  ])('%p is no network', (text) => {
    expect(canonicalCidr(text)).toBeNull();
  });

  it('allows by family and prefix', () => {
    const office = ['10.0.0.0/8', '2001:db8::/32'];
    expect(isAllowed('10.9.9.9', office)).toBe(true);
    expect(isAllowed('::ffff:10.9.9.9', office)).toBe(true);
    expect(isAllowed('11.0.0.1', office)).toBe(false);
    expect(isAllowed('2001:db8:ffff::1', office)).toBe(true);
    expect(isAllowed('2001:db9::1', office)).toBe(false);
    expect(isAllowed('', office)).toBe(false);
    expect(isAllowed('', [])).toBe(true);
    expect(isAllowed('0.0.0.1', ['::/0'])).toBe(false);
  });
});
