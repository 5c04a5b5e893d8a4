import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isCsrfToken, PortalSessions } from '../../src/identity/portal-session.ts';
import { createAccount, disableAccount } from '../../src/store/accounts.ts';
import { type Database, migrate, openDatabase } from '../../src/store/database.ts';
import type { Account } from '../../src/store/schema.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { Clock, hours, minutes, seconds } from './clock.ts';

describe('portal sessions', () => {
  const guard = rowGuard();
  let clock: Clock;
  let database: Database;
  let sessions: PortalSessions;
  let alice: Account;

  beforeEach(async () => {
    clock = new Clock();
    database = openDatabase(':memory:');
    await migrate(database);
    sessions = new PortalSessions({ database, guard, now: clock.now });
    alice = (await createAccount(database, guard, 'alice@example.com', clock.now())).account;
  });
  afterEach(async () => {
    await database.destroy();
  });

  const full = async () => {
    const started = await sessions.stepUp((await sessions.startFirstFactor(alice)).session);
    if (started === null) throw new Error('the session was gone');
    return started;
  };

  it('keeps no token, only its SHA-256', async () => {
    const { token } = await full();
    expect(Buffer.from(token, 'base64url')).toHaveLength(32);
    const row = await database.selectFrom('portal_session').selectAll().executeTakeFirstOrThrow();
    expect(row.id_hash).toEqual(createHash('sha256').update(token).digest());
    expect(Object.values(row).map(String).join(' ')).not.toContain(token);
  });

  it('is a new session at every change of level, and the old one is over', async () => {
    const first = await sessions.startFirstFactor(alice);
    const second = await sessions.stepUp(first.session);
    expect(second?.token).not.toBe(first.token);
    expect(second?.session.csrf).not.toBe(first.session.csrf);
    expect(await sessions.find('first-factor', first.token)).toBeNull();
    const third = second === null ? null : await sessions.stepUp(second.session);
    expect(await sessions.find('full', second?.token ?? '')).toBeNull();
    expect(await sessions.find('full', third?.token ?? '')).toMatchObject({ level: 'stepped-up' });
  });

  it('S-69: a clock set back by hours ends a session instead of prolonging it', async () => {
    const { token } = await full();
    clock.step(-30 * seconds);
    expect(await sessions.find('full', token)).not.toBeNull();
    clock.step(-3 * hours);
    expect(await sessions.find('full', token)).toBeNull();
    clock.step(3 * hours);
    expect(await sessions.find('full', token)).toBeNull();
    const next = await full();
    expect(await sessions.find('full', next.token)).toMatchObject({ level: 'stepped-up' });
  });

  it('steps up once from one session', async () => {
    const { session } = await sessions.startFirstFactor(alice);
    const both = await Promise.all([sessions.stepUp(session), sessions.stepUp(session)]);
    expect(both.filter((started) => started !== null)).toHaveLength(1);
  });

  it('takes a token for its own kind only', async () => {
    const first = await sessions.startFirstFactor(alice);
    const second = await full();
    expect(await sessions.find('full', first.token)).toBeNull();
    expect(await sessions.find('first-factor', second.token)).toBeNull();
    expect(await sessions.find('first-factor', first.token)).toMatchObject({ level: 'first-factor' });
  });

  it.each(['', 'a', 'x'.repeat(43), `${'A'.repeat(42)}=`, 'A'.repeat(10_000)])(
    'finds nothing for %.20p',
    async (token) => {
      expect(await sessions.find('full', token)).toBeNull();
    },
  );

  it('is stepped up for five minutes', async () => {
    const { token } = await full();
    clock.advance(5 * minutes - seconds);
    expect(await sessions.find('full', token)).toMatchObject({ level: 'stepped-up' });
    clock.advance(seconds);
    expect(await sessions.find('full', token)).toMatchObject({ level: 'full' });
  });

  it('ends after fifteen idle minutes', async () => {
    const { token } = await full();
    clock.advance(15 * minutes - seconds);
    expect(await sessions.find('full', token)).not.toBeNull();
    clock.advance(15 * minutes);
    expect(await sessions.find('full', token)).toBeNull();
    expect(await database.selectFrom('portal_session').selectAll().execute()).toEqual([]);
  });

  it('ends after eight hours, however busy', async () => {
    const { token } = await full();
    for (let slept = 0; slept < 8 * hours - 10 * minutes; slept += 10 * minutes) {
      clock.advance(10 * minutes);
      expect(await sessions.find('full', token)).not.toBeNull();
    }
    clock.advance(10 * minutes);
    expect(await sessions.find('full', token)).toBeNull();
  });

  it('waits ten minutes for the second factor', async () => {
    const { token } = await sessions.startFirstFactor(alice);
    clock.advance(5 * minutes);
    expect(await sessions.find('first-factor', token)).not.toBeNull();
    clock.advance(5 * minutes);
    expect(await sessions.find('first-factor', token)).toBeNull();
  });

  it('keeps the newest ten of an account', async () => {
    const tokens: string[] = [];
    for (let index = 0; index < 12; index += 1) {
      tokens.push((await full()).token);
      clock.advance(seconds);
    }
    const alive = await Promise.all(tokens.map((token) => sessions.find('full', token)));
    expect(alive.map((session) => session !== null)).toEqual([false, false, ...Array(10).fill(true)]);
  });

  it('S-60: a main password alone, however often, pushes out nobody who has shown a second factor', async () => {
    const { token } = await full();
    for (let index = 0; index < 40; index += 1) {
      clock.advance(seconds);
      await sessions.startFirstFactor(alice);
    }
    expect(await sessions.find('full', token)).not.toBeNull();
    const kept = await database.selectFrom('portal_session').select('level').execute();
    expect(kept.filter(({ level }) => level === 'first-factor')).toHaveLength(30);
  });

  it('ends with the account', async () => {
    const { token } = await full();
    await disableAccount(database, guard, alice.id, clock.now());
    expect(await sessions.find('full', token)).toBeNull();
  });

  it('ends by itself, or with the others, when told', async () => {
    const [mine, other] = [await full(), await full()];
    await sessions.end(mine.session);
    expect(await sessions.find('full', mine.token)).toBeNull();
    expect(await sessions.find('full', other.token)).not.toBeNull();
    await sessions.endAll(mine.session);
    expect(await sessions.find('full', other.token)).toBeNull();
  });

  it('knows its own form token only', async () => {
    const { session } = await full();
    expect(isCsrfToken(session, session.csrf)).toBe(true);
    for (const token of ['', 'x', session.csrf.slice(1), `${session.csrf}a`, (await full()).session.csrf]) {
      expect(isCsrfToken(session, token)).toBe(false);
    }
  });
});
