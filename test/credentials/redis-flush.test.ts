import { availableParallelism } from 'node:os';
import { afterEach, expect, it } from '@jest/globals';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { type Bed, openBed, outcomeOf } from './bed.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';

let server: RedisBed;
let gateway: Bed;
afterEach(async () => {
  await gateway.close();
  await server.close();
});

const people = 2_000;
const devices = 5;
/** As many as come within the same moment. */
const atOnce = 1_000;

it('S-31: FLUSHALL, and 10,000 clients come back at once: none is told a wrong password, and guesses count on', async () => {
  server = await openRedis();
  const redis = await server.connect();
  const admin = await server.connect();
  gateway = await openBed({ redis });
  const accounts: { readonly name: string; readonly password: string; readonly network: string }[] = [];
  for (let index = 0; index < people; index += 50) {
    const some = Array.from({ length: 50 }, async (_, offset) => {
      const number = index + offset;
      const owner = await gateway.account(`person${number}@example.com`);
      const { password } = await gateway.issue(owner);
      return { name: owner.address, password, network: `10.${number >> 8}.${number & 255}` };
    });
    accounts.push(...(await Promise.all(some)));
  }
  const [first] = accounts;
  if (first === undefined) throw new Error('nobody');
  const address = '203.0.113.7';
  for (let guess = 0; guess < 15; guess += 1) {
    await gateway.login(first.name, generateAppPassword().text(), { address });
  }

  // What runs and what waits in the argon2 queue.
  let running = 0;
  let most = 0;
  let hashes = 0;
  const matches = gateway.passwordHash.matches.bind(gateway.passwordHash);
  gateway.passwordHash.matches = async (...call) => {
    hashes += 1;
    running += 1;
    most = Math.max(most, running);
    try {
      return await matches(...call);
    } finally {
      running -= 1;
    }
  };
  for (let flush = 1; flush <= 2; flush += 1) {
    // Behind what the memory of the process holds.
    gateway.clock.advance(61_000);
    await gateway.revocations.poll();
    await admin.flushall();
    const clients = accounts.flatMap((account) =>
      Array.from({ length: devices }, (_, device) => ({ ...account, device })),
    );
    const outcomes: string[] = [];
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (let client = clients.shift(); client !== undefined; client = clients.shift()) {
          const { name, password, network, device } = client;
          outcomes.push(outcomeOf(await gateway.login(name, password, { address: `${network}.${device}` })));
          // In the middle of it once more.
          if (outcomes.length === (people * devices) / 2) await admin.flushall();
        }
      }),
    );
    expect(outcomes).toHaveLength(people * devices);
    // A machine too slow for all of them within 30 s tells an outage, and nothing else.
    expect(outcomes.filter((each) => each !== 'verified' && each !== 'unavailable')).toEqual([]);
    expect(outcomes.filter((each) => each === 'verified').length).toBeGreaterThan(people);
  }
  // One for each account and flush, however many devices it has.
  expect(hashes).toBeLessThanOrEqual(2 * people);
  expect(most).toBeGreaterThan(availableParallelism());
  for (const { name, password, network } of accounts.slice(0, 50)) {
    expect(outcomeOf(await gateway.login(name, password, { address: `${network}.1` }))).toBe('verified');
  }

  for (let guess = 15; guess < 20; guess += 1) {
    expect(outcomeOf(await gateway.login(first.name, generateAppPassword().text(), { address }))).toBe(
      'wrong',
    );
  }
  expect(outcomeOf(await gateway.login(first.name, generateAppPassword().text(), { address }))).toBe(
    'throttled',
  );
}, 180_000);
