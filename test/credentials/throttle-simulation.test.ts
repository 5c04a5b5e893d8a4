import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatAppPassword, generateAppPassword } from '../../src/credentials/app-password.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type From, openBed, outcomeOf } from './bed.ts';

// What happens to a site in a week, on a clock that the test moves, against the verifier and its database. In every one of
// them the owner logs in at once: the reply to a right app password is never delayed and never refused.

const minute = 60_000;
const hour = 60 * minute;
const home: From = { address: '198.51.100.20', client: 'Thunderbird' };

let bed: Bed;
let password: string;

beforeEach(async () => {
  bed = await openBed();
  ({ password } = await bed.issue(await bed.account('anna@example.com')));
});
afterEach(() => bed.close());

/** An app password of nobody. */
const guess = () => formatAppPassword(generateAppPassword());

/** How a login ended and how long its reply was held back. */
async function tryAt(from: From, name = 'anna@example.com', secret = guess()) {
  const before = bed.waits.length;
  const outcome = outcomeOf(await bed.login(name, secret, from));
  return { outcome, waitMs: bed.waits.slice(before).reduce((sum, ms) => sum + ms, 0) };
}

async function ownerLogsIn(from: From = home, name = 'anna@example.com', secret = password): Promise<void> {
  expect(await tryAt(from, name, secret)).toEqual({ outcome: 'verified', waitMs: 0 });
}

function count(outcomes: readonly { readonly outcome: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

describe('S-19: simulated', () => {
  it('a botnet on one account: each of its addresses is slowed, then refused', async () => {
    const attacks: { outcome: string; waitMs: number }[] = [];
    for (let round = 0; round < 30; round += 1) {
      for (let bot = 0; bot < 100; bot += 1) {
        attacks.push(await tryAt({ address: `203.${bot}.113.7` }));
      }
      bed.clock.advance(10_000);
      if (round % 10 === 9) await ownerLogsIn();
    }
    // A network that she has never used before.
    await ownerLogsIn({ address: '192.0.2.99', client: 'on the road' });
    expect(count(attacks)).toEqual({ wrong: 2_000, throttled: 1_000 });
    expect(attacks.filter(({ waitMs }) => waitMs > 0)).toHaveLength(1_100);
  });

  it('a botnet in one provider: its /24 is refused for the account, her network is not', async () => {
    const attacks: { outcome: string }[] = [];
    for (let round = 0; round < 200; round += 1) {
      attacks.push(await tryAt({ address: `203.0.113.${round % 250}` }));
    }
    expect(count(attacks)).toEqual({ wrong: 160, throttled: 40 });
    await ownerLogsIn();
  });

  it('wire 150: one office behind NAT with ten stale phones: nobody there is slowed', async () => {
    const office = '203.0.113.1';
    const staff = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const account = await bed.account(`staff${index}@example.com`);
        const old = await bed.issue(account);
        const current = await bed.issue(account);
        await bed.appPasswords.revoke(account.id, old.id, 'new phone', tester);
        return { name: account.address, old: old.password, typed: guess(), current: current.password };
      }),
    );
    for (let poll = 0; poll < 96; poll += 1) {
      for (const { name, old, typed } of staff) {
        // Half of the phones hold a revoked app password, half one that never was.
        expect(await tryAt({ address: office, client: 'K-9 Mail' }, name, old)).toEqual({
          outcome: 'revoked',
          waitMs: 0,
        });
        expect(await tryAt({ address: office }, name, typed)).toEqual({ outcome: 'wrong', waitMs: 0 });
      }
      if (poll % 24 === 12) {
        for (const { name, current } of staff) {
          await ownerLogsIn({ address: office, client: 'Outlook' }, name, current);
        }
      }
      bed.clock.advance(15 * minute);
    }
  });

  it('ten stale phones of one account in one home, over midnight: refused to none, she logs in there', async () => {
    const phones = Array.from({ length: 10 }, guess);
    await ownerLogsIn();
    bed.clock.advance(25 * hour);
    const waits: number[] = [];
    for (let poll = 0; poll < 100; poll += 1) {
      for (const secret of phones) {
        const { outcome, waitMs } = await tryAt(home, 'anna@example.com', secret);
        expect(outcome).toBe('wrong');
        waits.push(waitMs);
      }
      bed.clock.advance(15 * minute);
    }
    // The tenth distinct one is where slowing begins, and never goes on to eleven.
    expect(Math.max(...waits)).toBe(1_000);
    await ownerLogsIn();
  });

  it('a spray over 10,000 accounts: each of its networks is refused after 60', async () => {
    const networks = 20;
    const attacks: { outcome: string }[] = [];
    for (let index = 0; index < 10_000; index += 1) {
      const name = index % 500 === 0 ? 'anna@example.com' : `person${index}@example.com`;
      attacks.push(await tryAt({ address: `203.${index % networks}.113.9` }, name));
      if (index % 100 === 0) bed.clock.advance(1_000);
      if (index % 2_500 === 0) await ownerLogsIn();
    }
    await ownerLogsIn({ address: '192.0.2.99' });
    const { throttled = 0, ...admitted } = count(attacks);
    expect(throttled).toBe(10_000 - 60 * networks);
    expect(Object.values(admitted).reduce((sum, each) => sum + each, 0)).toBe(60 * networks);
  });

  it.each([
    ['that never was one', false],
    ['that was revoked', true],
  ])('wire 52, 149: K-9 with an old app password %s, every 15 minutes for a week', async (_, isRevoked) => {
    const anna = await bed.account('anna@example.com');
    const old = await bed.issue(anna);
    if (isRevoked) await bed.appPasswords.revoke(anna.id, old.id, 'lost', tester);
    const secret = isRevoked ? old.password : guess();
    for (let poll = 0; poll < 7 * 96; poll += 1) {
      // PLAIN, then the LOGIN command.
      for (const _mechanism of [1, 2]) {
        expect(await tryAt({ ...home, client: 'K-9 Mail' }, 'anna@example.com', secret)).toEqual({
          outcome: isRevoked ? 'revoked' : 'wrong',
          waitMs: 0,
        });
      }
      if (poll % 96 === 50) await ownerLogsIn();
      bed.clock.advance(15 * minute);
    }
    await ownerLogsIn();
    expect(bed.throttle.view({ account: 'anna@example.com', network: null }).entries).toHaveLength(
      isRevoked ? 0 : 2,
    );
  });
});

it('wire 53: a hundred wrong ones from one address, and a right one from another is let in at once', async () => {
  const attacks: { outcome: string }[] = [];
  for (let attempt = 0; attempt < 100; attempt += 1) attacks.push(await tryAt({ address: '203.0.113.7' }));
  expect(count(attacks)).toEqual({ wrong: 20, throttled: 80 });
  await ownerLogsIn();
});

it('wire 53: the reply is delayed, and others are not', async () => {
  for (let attempt = 0; attempt < 12; attempt += 1) await tryAt({ address: '203.0.113.7' });
  expect(bed.waits).toEqual([1_000, 2_000, 4_000]);
  await ownerLogsIn({ address: '203.0.113.7' });
});

it('S-20: an attacker with an account of his own opens nothing for his guesses at hers', async () => {
  const mallory = await bed.issue(await bed.account('mallory@example.com'));
  const outcomes: { outcome: string }[] = [];
  for (let attempt = 0; attempt < 200; attempt += 1) {
    outcomes.push(await tryAt({ address: '203.0.113.7' }));
    await ownerLogsIn({ address: '203.0.113.7' }, 'mallory@example.com', mallory.password);
  }
  expect(count(outcomes)).toEqual({ wrong: 20, throttled: 180 });
});

it('S-18: an unknown name is slowed and refused as a known one is', async () => {
  const run = async (name: string, address: string) => {
    const all: { outcome: string; waitMs: number }[] = [];
    for (let attempt = 0; attempt < 25; attempt += 1) all.push(await tryAt({ address }, name));
    return all.map(({ outcome, waitMs }) => [outcome.replace('unknown-account', 'wrong'), waitMs]);
  };
  expect(await run('nobody@example.com', '203.0.113.8')).toEqual(
    await run('anna@example.com', '203.0.114.7'),
  );
});
