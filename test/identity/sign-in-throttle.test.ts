import { describe, expect, it } from '@jest/globals';
import { SignInThrottle } from '../../src/identity/sign-in/throttle.ts';
import { Clock, hours, minutes, seconds } from './clock.ts';

const network = (number: number) => ({ own: `203.0.113.${number}/32`, wider: '203.0.113.0/24' });

describe('sign-in throttle', () => {
  it('makes the sixth wrong attempt wait 30 seconds, the next twice that', () => {
    const clock = new Clock();
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic });
    for (let index = 0; index < 5; index += 1) {
      expect(throttle.attempt('alice@example.com', null).kind).toBe('allowed');
    }
    expect(throttle.attempt('alice@example.com', null)).toEqual({
      kind: 'throttled',
      until: clock.now() + 30 * seconds,
    });
    clock.advance(30 * seconds);
    expect(throttle.attempt('alice@example.com', null).kind).toBe('allowed');
    expect(throttle.attempt('alice@example.com', null)).toEqual({
      kind: 'throttled',
      until: clock.now() + 60 * seconds,
    });
    expect(throttle.attempt('bob@example.com', null).kind).toBe('allowed');
  });

  it('lets ten wrong attempts of an account through in an hour, whatever they wait', () => {
    const clock = new Clock();
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic });
    let allowed = 0;
    for (let elapsed = 0; elapsed < hours; elapsed += 10 * seconds) {
      if (throttle.attempt('alice@example.com', null).kind === 'allowed') allowed += 1;
      clock.advance(10 * seconds);
    }
    expect(allowed).toBeLessThanOrEqual(10);
    expect(allowed).toBeGreaterThan(5);
  });

  it('starts anew after a success, and forgets what nobody could tell', () => {
    const clock = new Clock();
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic });
    for (let index = 0; index < 4; index += 1) throttle.attempt('alice@example.com', null);
    for (let index = 0; index < 20; index += 1) {
      const attempt = throttle.attempt('alice@example.com', network(1));
      if (attempt.kind === 'throttled') throw new Error('throttled by an outage');
      attempt.undecided();
    }
    const right = throttle.attempt('alice@example.com', network(1));
    if (right.kind === 'allowed') right.succeeded();
    for (let index = 0; index < 5; index += 1) {
      expect(throttle.attempt('alice@example.com', null).kind).toBe('allowed');
    }
    expect(throttle.attempt('alice@example.com', null).kind).toBe('throttled');
  });

  it('lets twenty wrong attempts of a network through in an hour, and a hundred and sixty of its surroundings', () => {
    const clock = new Clock();
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic });
    const tries = (number: number, count: number): number =>
      Array.from({ length: count }, (_, index) =>
        throttle.attempt(`${number}-${index}@example.com`, network(number)),
      ).filter(({ kind }) => kind === 'allowed').length;
    expect(tries(1, 25)).toBe(20);
    expect([2, 3, 4, 5, 6, 7, 8, 9].map((number) => tries(number, 20))).toEqual([
      20, 20, 20, 20, 20, 20, 20, 0,
    ]);
    clock.advance(hours + minutes);
    expect(tries(9, 1)).toBe(1);
  });

  it.each([-3 * hours, 3 * hours])('S-73: a clock set by %d ms makes nobody wait longer or less', (step) => {
    const clock = new Clock();
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic });
    const kind = () => throttle.attempt('alice@example.com', network(1)).kind;
    for (let index = 0; index < 5; index += 1) expect(kind()).toBe('allowed');
    clock.advance(10 * seconds);
    clock.step(step);
    expect(throttle.attempt('alice@example.com', network(1))).toEqual({
      kind: 'throttled',
      until: clock.now() + 20 * seconds,
    });
    clock.advance(20 * seconds);
    expect(kind()).toBe('allowed');
    expect(kind()).toBe('throttled');
    clock.advance(hours);
    for (let index = 0; index < 5; index += 1) expect(kind()).toBe('allowed');
  });

  it('takes back what nobody could tell, although the clock was set meanwhile', () => {
    const clock = new Clock();
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic });
    for (let index = 0; index < 40; index += 1) {
      const attempt = throttle.attempt('alice@example.com', network(1));
      if (attempt.kind === 'throttled') throw new Error('throttled by an outage');
      clock.step(index % 2 === 0 ? hours : -hours);
      attempt.undecided();
    }
  });

  it('S-73: has the numbers of the configuration', () => {
    const clock = new Clock();
    const limits = { accountWrong: 2, networkWrong: 3, backendWrong: 100 };
    const throttle = new SignInThrottle({ now: clock.now, monotonic: clock.monotonic, limits });
    const kinds = (name: string, count: number) =>
      Array.from({ length: count }, () => throttle.attempt(name, network(1)).kind);
    expect(kinds('alice@example.com', 3)).toEqual(['allowed', 'allowed', 'throttled']);
    expect(kinds('bob@example.com', 2)).toEqual(['allowed', 'throttled']);
  });
});
