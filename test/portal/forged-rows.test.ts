import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { disableAccount, resetSecondFactors } from '../../src/store/accounts.ts';
import type { Account } from '../../src/store/schema.ts';
import { minutes } from '../identity/clock.ts';
import { type Bed, Browser, enroll, openBed } from './bed.ts';

// An attacker who can write SQL and has neither the key file nor, unless said, anybody's main password.
describe('S-34: rows that SQL was made to hold', () => {
  let bed: Bed;
  let alice: Account;
  let code: () => Promise<string>;

  beforeEach(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    ({ code } = await enroll(bed, alice));
    bed.clock.advance(minutes);
  });
  afterEach(async () => {
    await bed.close();
  });

  const full = async (account = alice) => {
    const first = await bed.sessions.startFirstFactor(account);
    const started = await bed.sessions.stepUp(first.session);
    if (started === null) throw new Error('the session was gone');
    return started;
  };
  const browserWith = (started: Parameters<Browser['show']>[0]): Browser => {
    const browser = new Browser(bed);
    browser.show(started);
    return browser;
  };
  /** The main password alone was right. */
  const half = async (account = alice) => browserWith(await bed.sessions.startFirstFactor(account));
  const order = { app: 'outlook', device: 'Laptop', imap: 'on' };
  const issued = async () => await bed.database.selectFrom('app_password').selectAll().execute();
  const alarms = async (table: string): Promise<number> => {
    const text = await bed.metrics.registry.getSingleMetricAsString('sallyport_integrity_alarms_total');
    return Number(new RegExp(`\\{table="${table}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  };
  const expectRefused = async (response: { statusCode: number; body: string }, table: string) => {
    expect(response.statusCode).toBe(503);
    expect(response.body).toContain('Temporarily unavailable');
    expect(await alarms(table)).toBeGreaterThan(0);
    expect(bed.log.join('')).toContain('"event":"integrity-alarm"');
    expect(bed.log.join('')).not.toContain('portal-error');
  };

  it('a session of his own making buys no app password', async () => {
    const token = randomBytes(32).toString('base64url');
    const csrf = randomBytes(32).toString('base64url');
    const now = bed.clock.now();
    await bed.database
      .insertInto('portal_session')
      .values({
        id_hash: createHash('sha256').update(token).digest(),
        account_id: alice.id,
        level: 'full',
        csrf,
        factor_at: now,
        created_at: now,
        row_mac: Buffer.concat([Buffer.from([0, 0, 0, 1]), randomBytes(32)]),
        seen_at: now,
        assurance: 'password',
      })
      .execute();
    const browser = browserWith({ token, session: { level: 'full', csrf } });
    await expectRefused(await browser.get('/app-passwords'), 'portal_session');
    await expectRefused(await browser.post('/app-passwords/new', order), 'portal_session');
    expect(await issued()).toEqual([]);
  });

  it('nor does the MAC of a session that he may have', async () => {
    const mallory = await bed.account('mallory@example.com');
    await enroll(bed, mallory);
    const started = await full(mallory);
    const { row_mac } = await bed.database
      .selectFrom('portal_session')
      .select('row_mac')
      .where('id_hash', '=', started.session.idHash)
      .executeTakeFirstOrThrow();
    await bed.database
      .updateTable('portal_session')
      .set({ account_id: alice.id, row_mac } as never)
      .where('id_hash', '=', started.session.idHash)
      .execute();
    await expectRefused(await browserWith(started).post('/app-passwords/new', order), 'portal_session');
    expect(await issued()).toEqual([]);
  });

  it.each<[string, () => object]>([
    ['level', () => ({ level: 'full' })],
    ['level and factor_at', () => ({ level: 'full', factor_at: bed.clock.now() })],
    ['csrf', () => ({ csrf: 'x' })],
    ['created_at', () => ({ created_at: bed.clock.now() + 1 })],
    ['row_mac', () => ({ row_mac: Buffer.alloc(36) })],
  ])('a session with another %s', async (_column, change) => {
    const started = await bed.sessions.startFirstFactor(alice);
    await bed.database
      .updateTable('portal_session')
      .set(change() as never)
      .execute();
    const browser = browserWith(started);
    browser.cookies.set('__Host-sp', started.token);
    await expectRefused(await browser.get('/app-passwords/new'), 'portal_session');
  });

  it('a factor shown too long ago is not shown lately', async () => {
    const started = await full();
    bed.clock.advance(6 * minutes);
    await bed.database
      .updateTable('portal_session')
      .set({ factor_at: bed.clock.now() } as never)
      .execute();
    await expectRefused(await browserWith(started).post('/app-passwords/new', order), 'portal_session');
    expect(await issued()).toEqual([]);
  });

  it.each<[string, object]>([
    ['id', { id: Buffer.alloc(16, 9) }],
    ['sealed', { sealed: 'AQAAAAeg' }],
    ['confirmed_at', { confirmed_at: 1 }],
    ['disabled_at', { disabled_at: 1 }],
    ['kind', { kind: 'none' }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
  ])('a second factor with another %s: neither wrong nor none', async (_column, change) => {
    const browser = await half();
    await bed.database
      .updateTable('second_factor')
      .set(change as never)
      .execute();
    await expectRefused(await browser.get('/'), 'second_factor');
    await expectRefused(await browser.post('/verify', { code: await code() }), 'second_factor');
    await expectRefused(await browser.post('/set-up'), 'second_factor');
    expect(await bed.database.selectFrom('factor_failure').selectAll().execute()).toEqual([]);
  });

  it('a disabled second factor that was enabled by hand', async () => {
    const mallorys = await half();
    await bed.database
      .updateTable('second_factor')
      .set({ disabled_at: 1 } as never)
      .execute();
    await bed.database
      .updateTable('second_factor')
      .set({ disabled_at: null, row_mac: Buffer.alloc(36, 1) } as never)
      .execute();
    await expectRefused(await mallorys.post('/verify', { code: await code() }), 'second_factor');
  });

  it('another’s second factor as hers', async () => {
    const mallory = await bed.account('mallory@example.com');
    const his = await enroll(bed, mallory);
    await bed.database.deleteFrom('second_factor').where('account_id', '=', alice.id).execute();
    await bed.database
      .updateTable('second_factor')
      .set({ account_id: alice.id } as never)
      .execute();
    const browser = await half();
    await expectRefused(await browser.post('/verify', { code: await his.code() }), 'second_factor');
  });

  // With her main password as well: the one thing a deleted or unconfirmed factor could be good for.
  it.each<[string, () => Promise<unknown>]>([
    ['deleted', async () => await bed.database.deleteFrom('second_factor').execute()],
    [
      'unconfirmed',
      async () =>
        await bed.database
          .updateTable('second_factor')
          .set({ confirmed_at: null } as never)
          .execute(),
    ],
  ])('S-74: a second factor that was %s opens no first enrollment', async (_how, tamper) => {
    await tamper();
    const browser = await half();
    await expectRefused(await browser.get('/'), 'second_factor');
    await expectRefused(await browser.get('/set-up'), 'second_factor');
    await expectRefused(await browser.post('/set-up'), 'second_factor');
    await expectRefused(await browser.post('/set-up/app', { code: '000000' }), 'second_factor');
    const { session } = await bed.sessions.startFirstFactor(alice);
    await bed.factors.apps.begin(session);
    const confirmed = await bed.database
      .selectFrom('second_factor')
      .select('id')
      .where('confirmed_at', 'is not', null)
      .execute();
    expect(confirmed).toEqual([]);
  });

  it('S-82: after a reset by the operator it is open, by a reset in SQL it is not', async () => {
    await bed.database
      .updateTable('account')
      .set({ enrolled_at: null } as never)
      .execute();
    await bed.database.deleteFrom('second_factor').execute();
    const browser = await half();
    await expectRefused(await browser.get('/set-up'), 'account');
    await bed.database
      .updateTable('account')
      .set({ enrolled_at: bed.clock.now() - minutes } as never)
      .execute();
    await resetSecondFactors(bed.database, bed.guard, alice.id);
    expect((await (await half()).get('/')).headers.location).toBe('/set-up');
  });

  it.each<[string, object]>([
    ['mfa', { mfa: 'off' }],
    ['enrolled_at', { enrolled_at: null }],
    ['state', { state: 'disabled' }],
    ['address', { address: 'director@example.com' }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
  ])('an account with another %s', async (_column, change) => {
    const [first, second] = [await half(), browserWith(await full())];
    await bed.database
      .updateTable('account')
      .set(change as never)
      .execute();
    await expectRefused(await first.get('/'), 'account');
    await expectRefused(await second.post('/app-passwords/new', order), 'account');
    expect(await issued()).toEqual([]);
  });

  it('a disabled account that was enabled by hand', async () => {
    await disableAccount(bed.database, bed.guard, alice.id, bed.clock.now());
    // Disabling has ended what she had; this one is a session that SQL kept.
    const started = await full();
    await bed.database
      .updateTable('account')
      .set({ state: 'active' } as never)
      .execute();
    await expectRefused(await browserWith(started).get('/app-passwords'), 'account');
  });

  it('an unfinished enrollment with another seed', async () => {
    const bob = await bed.account('bob@example.com');
    const browser = await half(bob);
    await browser.post('/set-up/method', { method: 'totp' });
    await bed.database
      .updateTable('second_factor')
      .set({ sealed: 'AQAAAAeg' } as never)
      .where('account_id', '=', bob.id)
      .execute();
    await expectRefused(await browser.get('/set-up/app'), 'second_factor');
  });

  it('and what is not under a MAC still works as before (S-75)', async () => {
    const browser = await half();
    expect((await browser.post('/verify', { code: await code() })).headers.location).toBe('/app-passwords');
    expect(await bed.factors.apps.check(alice, await code())).toEqual({ kind: 'used' });
    expect(await alarms('second_factor')).toBe(0);
  });
});
