import { beforeEach, describe, expect, it } from '@jest/globals';
import { CircuitBreaker } from '../../src/upstream/circuit-breaker.ts';

let now: number;
let breaker: CircuitBreaker;

beforeEach(() => {
  now = 0;
  breaker = new CircuitBreaker(() => now);
});

/** A login of this account that fails at the backend. Answers how it was admitted. */
function fail(account: string): string {
  const admission = breaker.admit();
  if (admission !== 'refused') breaker.settle(admission, 'failed', account);
  return admission;
}

function open(): void {
  for (const account of ['a', 'b', 'c', 'a', 'b']) fail(account);
  expect(breaker.isOpen).toBe(true);
}

describe('S-52: a circuit breaker that one client cannot trip', () => {
  it('stays closed whatever one account does', () => {
    for (let count = 0; count < 1_000; count += 1) expect(fail('a')).toBe('through');
    for (let count = 0; count < 1_000; count += 1) expect(fail(count % 2 === 0 ? 'a' : 'b')).toBe('through');
    expect(breaker.isOpen).toBe(false);
  });

  it('opens at the fifth failure in a row of three accounts, for five seconds', () => {
    expect(['a', 'b', 'c', 'a'].map(fail)).toEqual(Array(4).fill('through'));
    expect(breaker.isOpen).toBe(false);
    fail('a');
    expect(breaker.isOpen).toBe(true);
    now = 4_999;
    expect(breaker.admit()).toBe('refused');
    now = 5_000;
    expect(breaker.admit()).toBe('probe');
  });

  it('opens at the third account after many failures of two', () => {
    for (let count = 0; count < 50; count += 1) fail(count % 2 === 0 ? 'a' : 'b');
    fail('c');
    expect(breaker.isOpen).toBe(true);
  });

  it('does not open where a login of anybody came through in between', () => {
    for (const account of ['a', 'b', 'c', 'd']) fail(account);
    breaker.settle('through', 'reached', 'z');
    for (const account of ['a', 'b', 'c', 'd']) fail(account);
    expect(breaker.isOpen).toBe(false);
  });

  it('does not open for failures an hour apart, nor for logins that were given up', () => {
    for (const account of ['a', 'b', 'c', 'd', 'e', 'f']) {
      fail(account);
      now += 3_600_000;
    }
    for (const account of ['a', 'b', 'c', 'd', 'e', 'f']) breaker.settle('through', 'undecided', account);
    expect(breaker.isOpen).toBe(false);
  });
});

describe('an open breaker', () => {
  beforeEach(open);

  it('lets one login at a time through, and closes with its success', () => {
    now = 5_000;
    expect([breaker.admit(), breaker.admit(), breaker.admit()]).toEqual(['probe', 'refused', 'refused']);
    breaker.settle('probe', 'reached', 'z');
    expect([breaker.isOpen, breaker.admit()]).toEqual([false, 'through']);
    // What was counted before is forgotten.
    for (const account of ['a', 'b', 'c', 'd']) fail(account);
    expect(breaker.isOpen).toBe(false);
  });

  it('waits longer after each failed probe, up to half a minute', () => {
    const pauses: number[] = [];
    now = 5_000;
    for (let round = 0; round < 5; round += 1) {
      const begun = now;
      expect(fail('a')).toBe('probe');
      while (breaker.admit() === 'refused') now += 1_000;
      breaker.settle('probe', 'undecided', 'a');
      pauses.push(now - begun);
    }
    expect(pauses).toEqual([10_000, 20_000, 30_000, 30_000, 30_000]);
  });

  it('is not kept open by a probe that hangs, nor by one whose client left', () => {
    now = 5_000;
    expect(breaker.admit()).toBe('probe');
    now = 9_999;
    expect(breaker.admit()).toBe('refused');
    now = 10_000;
    expect(breaker.admit()).toBe('probe');
    breaker.settle('probe', 'undecided', 'a');
    expect(breaker.admit()).toBe('probe');
  });

  it('hears late failures of logins from before without waiting longer, and any success', () => {
    breaker.settle('through', 'failed', 'd');
    now = 5_000;
    expect(breaker.admit()).toBe('probe');
    breaker.settle('through', 'failed', 'd');
    breaker.settle('through', 'reached', 'd');
    expect(breaker.isOpen).toBe(false);
  });
});
