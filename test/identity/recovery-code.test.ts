import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseAppPassword } from '../../src/credentials/app-password.ts';
import { HighWater } from '../../src/credentials/high-water.ts';
import { revokeAfterRestore } from '../../src/credentials/restored-database.ts';
import { symbolsOf } from '../../src/identity/second-factor/code-check.ts';
import { holdOf } from '../../src/identity/second-factor/factors.ts';
import { drawRecoveryCode, formatRecoveryCode } from '../../src/identity/second-factor/recovery-code.ts';
import { ForgedRowError } from '../../src/store/row-guard.ts';
import type { Account } from '../../src/store/schema.ts';
import { hours, minutes, seconds } from './clock.ts';
import { codeOf, type FactorBed, factorConfig, openFactorBed, peer } from './factor-bed.ts';

describe('recovery codes', () => {
  let bed: FactorBed;
  let alice: Account;
  beforeEach(async () => {
    bed = await openFactorBed();
    alice = await bed.account();
    await bed.enroll(alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const renew = async (account = alice): Promise<readonly string[]> => {
    const codes = await bed.factors.recoveryCodes.renew(await bed.stepUp(account), peer);
    if (codes === null) throw new Error('the session was gone');
    return codes.map((code) => formatRecoveryCode(code));
  };
  const check = async (code: string, account = alice) =>
    await bed.factors.recoveryCodes.check(await bed.signIn(account), peer, code);

  it('S-80: are ten of 80 random bits, none of the shape of an app password', async () => {
    const codes = await renew();
    expect(new Set(codes).size).toBe(10);
    for (const code of codes) expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    for (let drawn = 0; drawn < 2_000; drawn += 1) {
      const code = drawRecoveryCode();
      expect(code.text().replace(/\D/g, '').length).toBeGreaterThanOrEqual(2);
      expect(parseAppPassword(Buffer.from(code.text()))).toBeNull();
    }
  });

  it('S-80: draws every symbol as often as another', () => {
    const counts = new Map<string, number>();
    const draws = 4_000;
    for (let drawn = 0; drawn < draws; drawn += 1) {
      // The first place alone: digits are favored a little by what is drawn again.
      const symbol = drawRecoveryCode().text()[0] ?? '';
      counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
    }
    expect(counts.size).toBe(32);
    for (const count of counts.values()) {
      expect(count).toBeGreaterThan(draws / 32 / 2);
      expect(count).toBeLessThan((draws / 32) * 2);
    }
  });

  it('S-80: are kept as keyed argon2id of their own purpose', async () => {
    const codes = await renew();
    const rows = await bed.database.selectFrom('recovery_code').selectAll().execute();
    expect(rows).toHaveLength(10);
    const text = JSON.stringify(rows);
    for (const code of codes) {
      expect(text).not.toContain(code);
      expect(text).not.toContain(code.replaceAll('-', ''));
    }
    for (const row of rows) expect(row.phc).toMatch(/^\$argon2id\$v=19\$/);
    expect(bed.keys.derive('pepper', 1, 'sallyport/v1/recovery-code/selector')).not.toEqual(
      bed.keys.derive('pepper', 1, 'sallyport/v1/app-password/selector'),
    );
  });

  it('S-80: each opens once, however it is typed', async () => {
    const [one = '', two = ''] = await renew();
    expect(await check(one)).toEqual({ kind: 'right' });
    expect(await check(one)).toEqual({ kind: 'wrong' });
    expect(await check(` ${two.toLowerCase().replaceAll('-', ' ')} `)).toEqual({ kind: 'right' });
    expect(await bed.factors.recoveryOf(alice)).toEqual({ left: 8, isSaved: false });
    expect(symbolsOf('oIl0-1111-1111-11l1')).toBe('0110111111111111');
  });

  it.each([
    '',
    'abc',
    '7KQ2-9F3M-XT4D-8HV',
    '7KQ2-9F3M-XT4D-8HVNN',
    'UUUU-9F3M-XT4D-8HVN',
    'x'.repeat(10_000),
  ])('counts %.20p nowhere', async (code) => {
    await renew();
    expect(await check(code)).toEqual({ kind: 'malformed' });
    expect(await bed.database.selectFrom('factor_failure').selectAll().execute()).toEqual([]);
  });

  it('S-80: are throttled, and turned off at the fiftieth wrong one', async () => {
    const [right = ''] = await renew();
    for (let guess = 0; guess < 5; guess += 1)
      expect(await check('7KQ2-9F3M-XT4D-8HVN')).toEqual({ kind: 'wrong' });
    expect(await check(right)).toMatchObject({ kind: 'throttled' });
    for (let guess = 0; guess < 45; guess += 1) {
      if (guess % 5 === 0) bed.clock.advance(7 * hours);
      await check('7KQ2-9F3M-XT4D-8HVN');
    }
    bed.clock.advance(24 * hours);
    expect(await check(right)).toEqual({ kind: 'disabled' });
    expect(await bed.factors.waysOf(await bed.signIn(alice))).toMatchObject({ hasRecovery: false });
  });

  it('S-80: renewed, the old ones open nothing', async () => {
    const [old = ''] = await renew();
    const [fresh = ''] = await renew();
    expect(await check(old)).toEqual({ kind: 'wrong' });
    expect(await check(fresh)).toEqual({ kind: 'right' });
    expect(await bed.database.selectFrom('recovery_code').selectAll().execute()).toHaveLength(9);
  });

  it('S-80: one that was used opens the enrollment of a new factor, tells of itself, and holds app passwords back', async () => {
    const [one = ''] = await renew();
    const session = await bed.signIn(alice);
    expect(await bed.factors.recoveryCodes.check(session, peer, one)).toEqual({ kind: 'right' });
    const opened = await bed.sessions.open(session, 'recovery');
    if (opened === null) throw new Error('the session was gone');
    expect(await bed.sessions.find('first-factor', opened.token)).toMatchObject({
      level: 'first-factor',
      opened: 'recovery',
    });
    expect(await bed.actions(alice)).toContain('recovery-code.used');

    const held = await bed.fresh(alice);
    expect(holdOf(held, bed.clock.now())).toBe(bed.clock.now() + 24 * hours);
    // What an address could be replaced by, it could be read by.
    expect(await bed.factors.methodsToAdd(opened.session)).toEqual(['totp', 'passkey']);
    await bed.factors.apps.begin(opened.session);
    const pending = await bed.factors.apps.pending(opened.session);
    const code = await codeOf(pending?.key ?? '', bed.clock.now());
    expect(await bed.factors.apps.confirm(opened.session, peer, code)).toBe('added');
    expect(await bed.factors.list(alice)).toHaveLength(2);
    bed.clock.advance(24 * hours);
    expect(holdOf(await bed.fresh(alice), bed.clock.now())).toBeNull();
  });

  it('S-80: holds back for as long as the setting says, or not at all', async () => {
    const short = await openFactorBed('SQLite', factorConfig({ secondFactors: { recovery_hold: '0s' } }));
    const bob = await short.account('bob@example.com');
    await short.enroll(bob);
    const codes = await short.factors.recoveryCodes.renew(await short.stepUp(bob), peer);
    await short.factors.recoveryCodes.check(await short.signIn(bob), peer, codes?.[0]?.text() ?? '');
    expect((await short.fresh(bob)).hold_until).toBeNull();
    await short.close();
  });

  it('S-67: are no one else’s', async () => {
    const bob = await bed.account('bob@example.com');
    await bed.enroll(bob);
    await renew(bob);
    const [hers = ''] = await renew();
    expect(await check(hers, bob)).toEqual({ kind: 'wrong' });
    expect(await check(hers)).toEqual({ kind: 'right' });
  });

  it('S-34: moved by SQL to another’s set they are an alarm', async () => {
    const bob = await bed.account('bob@example.com');
    await bed.enroll(bob);
    const [his = ''] = await renew(bob);
    await renew();
    const hers = await bed.database
      .selectFrom('second_factor')
      .select('id')
      .where('account_id', '=', alice.id)
      .where('kind', '=', 'recovery')
      .executeTakeFirstOrThrow();
    const selectors = await bed.database.selectFrom('recovery_code').select('selector').execute();
    await bed.database
      .updateTable('recovery_code')
      .set({ factor_id: hers.id } as never)
      .execute();
    // Whichever row is met first, none is taken.
    const outcome = await check(his).catch((error: unknown) => error);
    expect(selectors).toHaveLength(20);
    expect(outcome instanceof ForgedRowError || (outcome as { kind: string }).kind === 'wrong').toBe(true);
    const met = await check(his, bob).catch((error: unknown) => error);
    expect(met).not.toEqual({ kind: 'right' });
  });

  it('S-35: after a restore none opens anything, nor does a step that an app may have shown', async () => {
    const [one = ''] = await renew();
    const key = await bed.addApp(alice);
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-mark-'));
    const highWater = new HighWater({ folder, keys: bed.keys, redis: null, onFault: () => undefined });
    expect(await revokeAfterRestore({ ...bed, highWater, now: bed.clock.now })).toMatchObject({
      codesVoided: 10,
    });
    expect(await check(one)).toEqual({ kind: 'disabled' });
    expect(await bed.factors.recoveryOf(alice)).toBeNull();
    expect(await bed.factors.apps.check(alice, await codeOf(key, bed.clock.now()))).toEqual({ kind: 'used' });
    bed.clock.advance(minutes);
    expect(await bed.factors.apps.check(alice, await codeOf(key, bed.clock.now()))).toEqual({
      kind: 'right',
    });
    await rm(folder, { recursive: true });
  });

  it('are no method, and do not stand alone', async () => {
    await renew();
    expect(await bed.factors.list(alice)).toHaveLength(1);
    await bed.database.deleteFrom('second_factor').where('kind', '=', 'totp').execute();
    await expect(bed.factors.stateOf(alice)).rejects.toThrow(ForgedRowError);
  });

  it('need a session that is still there', async () => {
    const [one = ''] = await renew();
    const session = await bed.signIn(alice);
    await bed.sessions.end(session);
    expect(await bed.factors.recoveryCodes.check(session, peer, one)).toEqual({ kind: 'wrong' });
    expect(await bed.factors.recoveryOf(alice)).toMatchObject({ left: 10 });
    bed.clock.advance(15 * minutes + seconds);
    await bed.factors.recoveryCodes.markSaved(alice);
    expect(await bed.factors.recoveryOf(alice)).toEqual({ left: 10, isSaved: true });
  });
});
