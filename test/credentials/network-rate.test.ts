import { describe, expect, it } from '@jest/globals';
import { NetworkRate } from '../../src/credentials/network-rate.ts';

let at = 0;
const rate = (entries?: number) =>
  new NetworkRate({
    perSecond: 20,
    burst: 60,
    now: () => at,
    ...(entries === undefined ? {} : { entries }),
  });
const taken = (buckets: NetworkRate, address: string, tries: number) =>
  Array.from({ length: tries }, () => buckets.take(address)).filter(Boolean).length;

describe('S-12: a rate per network', () => {
  it('is a burst, then so many a second, and never more than the burst', () => {
    const buckets = rate();
    expect(taken(buckets, '203.0.113.7', 100)).toBe(60);
    at += 50;
    expect(taken(buckets, '203.0.113.7', 100)).toBe(1);
    at += 1_000;
    expect(taken(buckets, '203.0.113.7', 100)).toBe(20);
    at += 3_600_000;
    expect(taken(buckets, '203.0.113.7', 100)).toBe(60);
  });

  it('is one for a /64 of IPv6, and for an IPv4 address in either spelling', () => {
    const buckets = rate();
    expect(taken(buckets, '2001:db8::1', 60)).toBe(60);
    expect(taken(buckets, '2001:db8::ffff:1', 1)).toBe(0);
    expect(taken(buckets, '203.0.113.7', 60)).toBe(60);
    expect(taken(buckets, '::ffff:203.0.113.7', 1)).toBe(0);
  });

  it('is eightfold for the network around, which a refused one does not pay', () => {
    const buckets = rate();
    expect(taken(buckets, '203.0.113.1', 1_000)).toBe(60);
    for (let host = 2; host <= 8; host += 1) expect(taken(buckets, `203.0.113.${host}`, 60)).toBe(60);
    expect(taken(buckets, '203.0.113.9', 60)).toBe(0);
    expect(taken(buckets, '203.0.114.9', 60)).toBe(60);
  });

  it('is given back', () => {
    const buckets = rate();
    for (let round = 0; round < 1_000; round += 1) {
      expect(buckets.take('203.0.113.7')).toBe(true);
      buckets.giveBack('203.0.113.7');
    }
    expect(taken(buckets, '203.0.113.7', 100)).toBe(60);
    for (let round = 0; round < 100; round += 1) buckets.giveBack('203.0.113.8');
    expect(taken(buckets, '203.0.113.8', 100)).toBe(60);
  });

  it('stands still while the clock goes back', () => {
    const buckets = rate();
    expect(taken(buckets, '203.0.113.7', 100)).toBe(60);
    at -= 3_600_000;
    expect(taken(buckets, '203.0.113.7', 100)).toBe(0);
    at += 1_000;
    expect(taken(buckets, '203.0.113.7', 100)).toBe(20);
  });

  it('keeps a fixed number of networks, and the busy ones among them', () => {
    const buckets = rate(64);
    expect(taken(buckets, '203.0.113.7', 60)).toBe(60);
    for (let network = 0; network < 10_000; network += 1) {
      buckets.take(`2001:db8:${(network >> 8).toString(16)}:${(network & 0xff).toString(16)}::1`);
      if (network % 8 === 0) expect(buckets.take('203.0.113.7')).toBe(false);
    }
    expect(buckets.size).toBeLessThanOrEqual(80);
  });
});
