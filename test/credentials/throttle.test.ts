import { describe, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { DistinctWindow } from '../../src/credentials/distinct-window.ts';
import { Throttle, type ThrottleLimits } from '../../src/credentials/throttle.ts';
import { Clock } from './bed.ts';
import { countingBytes, keyRing } from './keys.ts';

const minute = 60_000;
const here = '203.0.113.7';
const id = countingBytes(0, 16);

function open(limits: Partial<ThrottleLimits> = {}) {
  const clock = new Clock();
  const throttle = new Throttle({ keys: keyRing(), now: clock.now, monotonic: clock.monotonic, limits });
  const at = (account: string, address = here) => ({ account, address });
  const guess = (account: string, address = here) =>
    throttle.wrong(at(account, address), { accountId: id, secret: generateAppPassword() });
  return { clock, throttle, at, guess };
}

describe('S-19: distinct wrong secrets of an account and network', () => {
  it('slows from the 10th, refuses after the 20th for 15 minutes', () => {
    const { clock, throttle, at, guess } = open();
    const delays = Array.from({ length: 20 }, () => guess('alice'));
    expect(delays.slice(0, 9)).toEqual(new Array(9).fill(0));
    expect(delays.slice(9)).toEqual(
      [1, 2, 4, 8, 15, 15, 15, 15, 15, 15, 15].map((seconds) => seconds * 1_000),
    );
    expect(throttle.refusedForMs(at('alice'))).toBe(15 * minute);
    clock.advance(15 * minute - 1);
    expect(throttle.refusedForMs(at('alice'))).toBe(1);
    clock.advance(1);
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
    // One more guess within the hour, and it is closed again.
    guess('alice');
    expect(throttle.refusedForMs(at('alice'))).toBe(15 * minute);
    clock.advance(60 * minute);
    expect(guess('alice')).toBe(0);
  });

  it('never reaches the account at another network', () => {
    const { throttle, at, guess } = open();
    for (let attempt = 0; attempt < 30; attempt += 1) guess('alice');
    expect(throttle.refusedForMs(at('alice', '198.51.100.1'))).toBe(0);
    expect(guess('alice', '198.51.100.1')).toBe(0);
    expect(throttle.refusedForMs(at('alice'))).toBeGreaterThan(0);
  });

  it('a stale phone that tries one secret 96 times a day counts once an hour and is never slowed', () => {
    const { clock, throttle, at } = open();
    const secret = generateAppPassword();
    for (let attempt = 0; attempt < 3 * 96; attempt += 1) {
      expect(throttle.refusedForMs(at('alice'))).toBe(0);
      expect(throttle.wrong(at('alice'), { accountId: id, secret })).toBe(0);
      clock.advance(15 * minute);
    }
  });

  it('an old secret repeated does not close it again', () => {
    const { clock, throttle, at, guess } = open();
    const tried = { accountId: id, secret: generateAppPassword() };
    for (let attempt = 0; attempt < 19; attempt += 1) guess('alice');
    throttle.wrong(at('alice'), tried);
    clock.advance(15 * minute);
    throttle.wrong(at('alice'), tried);
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
  });

  it('wire 52: one wrong secret by three mechanisms counts once', () => {
    const { guess, throttle, at } = open({ delayFrom: 2 });
    const secret = generateAppPassword();
    const thrice = [1, 2, 3].map(() => throttle.wrong(at('alice'), { accountId: id, secret }));
    expect(thrice).toEqual([0, 0, 0]);
    expect(guess('alice')).toBe(1_000);
  });

  it('main passwords count as one, whatever they are (S-15)', () => {
    const { throttle, at } = open();
    for (let attempt = 0; attempt < 1_000; attempt += 1) expect(throttle.wrong(at('alice'), null)).toBe(0);
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
  });

  it('counts eightfold over the wider network', () => {
    const { throttle, at, guess } = open({ networkRefuseFrom: 1_000 });
    let delay = 0;
    for (let attempt = 0; attempt < 160; attempt += 1) {
      delay = guess('alice', `203.0.113.${attempt % 100}`);
      expect(delay > 0).toBe(attempt + 1 >= 80);
    }
    expect(throttle.refusedForMs(at('alice', '203.0.113.200'))).toBeGreaterThan(0);
    expect(throttle.refusedForMs(at('alice', '203.0.114.1'))).toBe(0);
  });
});

describe('S-19: distinct wrong pairs of a network', () => {
  it('refuses the network after 60, for every account, and no other network', () => {
    const { throttle, at } = open();
    for (let index = 0; index < 60; index += 1) {
      expect(throttle.refusedForMs(at(`user${index}`))).toBe(0);
      throttle.wrong(at(`user${index}`), null);
    }
    expect(throttle.refusedForMs(at('alice'))).toBe(15 * minute);
    expect(throttle.refusedForMs(at('alice', '203.0.113.8'))).toBe(0);
  });

  it('refuses the /24 after 480 and the /48 of IPv6 likewise', () => {
    const { throttle, at } = open();
    for (let index = 0; index < 480; index += 1) {
      throttle.wrong(at(`user${index}`, `203.0.113.${index % 16}`), null);
      throttle.wrong(at(`user${index}`, `2001:db8:1:${index % 16}::1`), null);
    }
    expect(throttle.refusedForMs(at('alice', '203.0.113.99'))).toBeGreaterThan(0);
    expect(throttle.refusedForMs(at('alice', '203.0.112.99'))).toBe(0);
    expect(throttle.refusedForMs(at('alice', '2001:db8:1:99::1'))).toBeGreaterThan(0);
    expect(throttle.refusedForMs(at('alice', '2001:db8:2:99::1'))).toBe(0);
  });

  it('a million random names leave the tables at their size, and a right one is let in at once', () => {
    const { throttle, at } = open({ entries: 1_000 });
    const sizes = new Set<number>();
    for (let index = 0; index < 1_000_000; index += 1) {
      const address = `10.${index & 255}.${(index >> 8) & 255}.${(index >> 16) & 255}`;
      throttle.wrong(at(`user${index}`, address), null);
      if (index >= 100_000 && index % 10_000 === 0) sizes.add(throttle.size);
    }
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
    expect([...sizes]).toEqual([1_000 + 250 + 1_000 + 250]);
  }, 120_000);
});

describe('S-20: a success exempts the account at this network, never the network', () => {
  it('from both counts, for a day', () => {
    const { clock, throttle, at, guess } = open();
    throttle.right(at('alice'));
    for (let attempt = 0; attempt < 100; attempt += 1) expect(guess('alice')).toBe(0);
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
    expect(throttle.refusedForMs(at('bob'))).toBeGreaterThan(0);
    clock.advance(24 * 60 * minute);
    for (let attempt = 0; attempt < 20; attempt += 1) guess('alice');
    expect(throttle.refusedForMs(at('alice'))).toBeGreaterThan(0);
  });

  it("200 wrong ones for Bob meet Bob's limits after Alice's success", () => {
    const { throttle, at, guess } = open();
    throttle.right(at('alice'));
    let refused = 0;
    let delayed = 0;
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (throttle.refusedForMs(at('bob')) > 0) refused += 1;
      else if (guess('bob') > 0) delayed += 1;
    }
    expect([delayed, refused]).toEqual([11, 180]);
  });

  it('is not pushed out by strangers', () => {
    const { throttle, at, guess } = open({ entries: 16 });
    throttle.right(at('alice'));
    for (let index = 0; index < 1_000; index += 1) guess(`user${index}`);
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
    expect(throttle.refusedForMs(at('bob'))).toBeGreaterThan(0);
  });
});

describe('for the helpdesk', () => {
  it('shows what is counted and who is exempt', () => {
    const { clock, throttle, at, guess } = open();
    for (let attempt = 0; attempt < 20; attempt += 1) guess('alice');
    guess('bob', '198.51.100.1');
    throttle.right(at('bob', '198.51.100.1'));
    const until = clock.now() + 15 * minute;
    const shown = (filter: { account: string | null; network: string | null }) =>
      throttle
        .view(filter)
        .entries.map(({ tag, network, distinct, refuseFrom, refusedUntil }) =>
          [tag === null ? 'any' : 'one', network, distinct, refuseFrom, refusedUntil].join(' '),
        );
    expect(shown({ account: 'alice', network: null })).toEqual([
      `one 203.0.113.7/32 20 20 ${until}`,
      'one 203.0.113.0/24 20 160 0',
    ]);
    expect(shown({ account: null, network: '198.51.100.1' }).toSorted()).toEqual([
      'any 198.51.100.0/24 1 480 0',
      'any 198.51.100.1/32 1 60 0',
      'one 198.51.100.0/24 1 160 0',
      'one 198.51.100.1/32 1 20 0',
    ]);
    expect(shown({ account: null, network: null })).toHaveLength(8);
    expect(throttle.view({ account: 'bob', network: null }).exempt).toMatchObject([
      { network: '198.51.100.1/32', until: clock.now() + 24 * 60 * minute },
    ]);
    clock.advance(61 * minute);
    expect(shown({ account: null, network: null })).toEqual([]);
  });

  it('forgets an account, and leaves the network that somebody sprays from', () => {
    const { clock, throttle, at, guess } = open();
    for (let index = 0; index < 60; index += 1) guess(index < 25 ? 'alice' : `user${index}`);
    clock.advance(1_000);
    expect(throttle.clear({ account: 'alice', network: null })).toBe(2);
    expect(throttle.view({ account: 'alice', network: null }).entries).toEqual([]);
    expect(throttle.refusedForMs(at('alice'))).toBeGreaterThan(0);
    throttle.clear({ account: null, network: here });
    expect(throttle.refusedForMs(at('alice'))).toBe(0);
    expect(throttle.view({ account: null, network: null }).entries).toEqual([]);
    clock.advance(1_000);
    for (let attempt = 0; attempt < 20; attempt += 1) guess('alice');
    expect(throttle.refusedForMs(at('alice'))).toBe(15 * minute);
  });

  it('keeps an exemption that an operator did not speak of', () => {
    const { clock, throttle, at, guess } = open();
    throttle.right(at('alice'));
    clock.advance(1_000);
    throttle.clear({ account: null, network: null });
    for (let attempt = 0; attempt < 30; attempt += 1) expect(guess('alice')).toBe(0);
  });
});

describe('a window of distinct values', () => {
  it('agrees with a plain map', () => {
    const window = new DistinctWindow(50);
    const plain = new Map<number, number>();
    let second = 0;
    for (let step = 0; step < 5_000; step += 1) {
      second += step % 7 === 0 ? 1 : 0;
      const value = (step * 7_919) % 45;
      for (const [known, at] of plain) if (at <= second - 100) plain.delete(known);
      expect(window.add(value, second, second - 100)).toBe(!plain.has(value));
      plain.set(value, second);
      expect(window.size).toBe(plain.size);
    }
  });

  it('keeps the newest at its limit', () => {
    const window = new DistinctWindow(3);
    for (let value = 0; value < 10; value += 1) window.add(value, value, -1);
    expect(window.size).toBe(3);
    expect([7, 8, 9].map((value) => window.add(value, 10, -1))).toEqual([false, false, false]);
    expect(window.add(6, 10, -1)).toBe(true);
    expect(window.add(5, 9, -1)).toBe(false);
  });
});
