import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { AppPasswordOrder } from '../../src/credentials/app-passwords.ts';
import { EndedAppPasswords } from '../../src/credentials/ended-app-passwords.ts';
import { StaleClients } from '../../src/credentials/stale-clients.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';
import { Tap } from './tap.ts';
import { until } from './until.ts';

const hour = 3_600_000;
const day = 24 * hour;
const keepMs = 400 * day;
const beds: Bed[] = [];
afterEach(async () => {
  for (const each of beds.splice(0).reverse()) await each.close();
});

async function withAlice(options: BedOptions = {}) {
  const gateway = await openBed(options);
  beds.push(gateway);
  const { database, clock, logger } = gateway;
  const alice = await gateway.account('alice@example.com');
  const labels = async () => {
    const rows = await database.selectFrom('app_password').select('label').orderBy('label').execute();
    return rows.map(({ label }) => label);
  };
  /** Somebody logs in, or is refused, now. */
  const active = async () => {
    const at = clock.now();
    await database
      .insertInto('login_event')
      .values({ id: randomBytes(16), first_at: at, last_at: at, times: 1, protocol: 'imap' })
      .execute();
  };
  const upkeep = () => new EndedAppPasswords({ database, keepMs, logger, ...clock });
  const revoke = async (id: Buffer) => await gateway.appPasswords.revoke(alice.id, id, 'test', tester);
  const issue = async (label: string, order: Partial<AppPasswordOrder> = {}) =>
    await gateway.issue(alice, { label, expiresInMs: null, ...order });
  return { gateway, database, clock, alice, labels, active, upkeep, revoke, issue };
}

describe('app passwords that ended long ago', () => {
  it('S-36: are deleted when they were kept long enough, however they ended, and no others', async () => {
    const { gateway, clock, alice, labels, active, upkeep, revoke, issue } = await withAlice();
    await issue('expired', { expiresInMs: day });
    await issue('never used', { unusedAfterMs: day });
    await issue('idle', { maxIdleMs: day });
    await issue('alive');
    await issue('expires late', { expiresInMs: 500 * day });
    const { id: pausedId } = await issue('paused');
    await gateway.appPasswords.update(alice.id, pausedId, { state: 'paused' }, 'test', tester);
    const { id } = await issue('revoked');
    await revoke(id);
    const { id: later } = await issue('revoked later');
    clock.advance(2 * day);
    await revoke(later);
    const all = await labels();

    clock.advance(398 * day - 1);
    await active();
    expect(await upkeep().purge()).toBe(0);
    expect(await labels()).toEqual(all);
    clock.advance(1);
    await active();
    // Revoked 400 days ago; the three that ended by themselves did a day later.
    expect(await upkeep().purge()).toBe(1);
    clock.advance(day);
    await active();
    expect(await upkeep().purge()).toBe(3);
    expect(await labels()).toEqual(['alive', 'expires late', 'paused', 'revoked later']);
    expect(await upkeep().purge()).toBe(0);
  });

  it('go with what is known of clients that still send them, and their secret is any wrong one then', async () => {
    const { gateway, database, clock, active, upkeep, revoke, issue } = await withAlice();
    const { id, password } = await issue('Old phone');
    await revoke(id);
    const stale = new StaleClients({ database, logger: gateway.logger, now: clock.now });
    stale.note(id, { address: '192.0.2.1', protocol: 'imap', client: 'Phone' });
    await stale.stop();
    expect(outcomeOf(await gateway.login('alice@example.com', password))).toBe('revoked');
    clock.advance(keepMs);
    await active();
    expect(await upkeep().purge()).toBe(1);
    expect(await database.selectFrom('stale_client').selectAll().execute()).toEqual([]);
    expect(outcomeOf(await gateway.login('alice@example.com', password))).toBe('wrong');
  });

  it('are found on every page', async () => {
    const { database, clock, labels, active, upkeep, revoke, issue } = await withAlice();
    const { id } = await issue('copied');
    await revoke(id);
    const row = await database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
    const copies = Array.from({ length: 450 }, () => ({ ...row, id: randomBytes(16) }));
    for (let at = 0; at < copies.length; at += 150) {
      await database
        .insertInto('app_password')
        .values(copies.slice(at, at + 150))
        .execute();
    }
    await issue('alive');
    clock.advance(keepMs);
    await active();
    expect(await upkeep().purge()).toBe(451);
    expect(await labels()).toEqual(['alive']);
  });

  it('stay where one was brought back to life meanwhile', async () => {
    const { gateway, clock, alice, active, labels, upkeep, issue } = await withAlice();
    const { id } = await issue('expired', { expiresInMs: day });
    clock.advance(keepMs + 2 * day);
    await active();
    await gateway.appPasswords.update(alice.id, id, { expiresInMs: day }, 'test', tester);
    expect(await upkeep().purge()).toBe(0);
    expect(await labels()).toEqual(['expired']);
  });

  it('a clock that jumps ahead takes none, and one that was ahead from the start none before somebody is active', async () => {
    const { clock, active, labels, upkeep, issue } = await withAlice();
    await issue('a year', { expiresInMs: 365 * day });
    await active();
    const running = upkeep();
    clock.step(900 * day);
    expect(await running.purge()).toBe(0);
    // The same clock, found so by a process that starts.
    expect(await upkeep().purge()).toBe(0);
    clock.step(-900 * day);
    expect(await running.purge()).toBe(0);
    expect(await labels()).toEqual(['a year']);
  });

  it('are looked for at the start and daily; a store that fails stops nothing', async () => {
    const { gateway, database, clock, active, labels, revoke, issue } = await withAlice();
    const { id } = await issue('revoked');
    await revoke(id);
    clock.advance(keepMs);
    await active();
    const upkeep = new EndedAppPasswords({ database, keepMs, logger: gateway.logger, ...clock });
    upkeep.start();
    await until(async () => (await labels()).length === 0);
    await upkeep.stop();
    const tap = new Tap();
    tap.break(0, 'throw');
    const away = { database: database.withPlugin(tap), keepMs, logger: gateway.logger };
    const broken = new EndedAppPasswords({ ...away, ...clock });
    broken.start();
    await until(() => gateway.log.join('').includes('are not deleted'));
    await broken.stop();
  });
});

describe('an account whose selectors are nearly used up', () => {
  /** Revoked rows with the selectors from 0 on. */
  async function take(gateway: Bed, selectors: number) {
    const { database } = gateway;
    const row = await database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
    for (let at = 0; at < selectors; at += 1_000) {
      const rows = Array.from({ length: Math.min(1_000, selectors - at) }, (_, index) => ({
        ...row,
        id: randomBytes(16),
        selector: at + index,
        state: 'revoked' as const,
        revoked_at: 1,
      }));
      await database.insertInto('app_password').values(rows).execute();
    }
  }

  it('is told so at once, without a hash; and gets one again when half of them are gone', async () => {
    const { gateway, alice, issue } = await withAlice();
    await issue('first');
    await take(gateway, 65_536);
    const hash = gateway.passwordHash;
    let hashes = 0;
    const original = hash.hash.bind(hash);
    hash.hash = async (secret) => {
      hashes += 1;
      return await original(secret);
    };
    const order: AppPasswordOrder = {
      ...{ account: alice, label: 'one more', scopes: ['imap'], networks: [], expiresInMs: undefined },
      ...{ unusedAfterMs: null, createdBy: 'portal', actor: tester },
    };
    expect(await gateway.appPasswords.create(order)).toEqual({ kind: 'crowded' });
    expect(hashes).toBe(0);
    await gateway.database.deleteFrom('app_password').where('selector', '<', 32_768).execute();
    expect(await gateway.appPasswords.create(order)).toMatchObject({ kind: 'created' });
    expect(hashes).toBe(1);
  }, 60_000);

  it('with half of them taken gets one as ever', async () => {
    const { gateway, issue } = await withAlice();
    await issue('first');
    await take(gateway, 32_768);
    for (const label of ['one', 'two', 'three', 'four', 'five']) await issue(label);
    const rows = await gateway.database
      .selectFrom('app_password')
      .select('selector')
      .where('state', '=', 'active')
      .execute();
    expect(new Set(rows.map(({ selector }) => selector)).size).toBe(6);
    // Of secrets that met one that is taken none was kept.
    expect(rows.filter(({ selector }) => selector >= 32_768).length).toBeGreaterThanOrEqual(5);
  }, 60_000);
});
