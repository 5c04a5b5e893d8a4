import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generate } from 'otplib';
import { SealBox } from '../../src/credentials/seal.ts';
import type { FirstFactorSession } from '../../src/identity/portal-session.ts';
import type { AuthenticatorApps } from '../../src/identity/second-factor/totp.ts';
import type { Database } from '../../src/store/database.ts';
import { replaceSealed } from '../../src/store/key-moves.ts';
import type { Account } from '../../src/store/schema.ts';
import { keyRing } from '../credentials/keys.ts';
import { type Clock, days, hours, minutes, seconds } from './clock.ts';
import { codeOf as codeAt, type FactorBed, openFactorBed, peer, wrongCodeOf } from './factor-bed.ts';

describe('authenticator app', () => {
  let bed: FactorBed;
  let clock: Clock;
  let database: Database;
  let factors: AuthenticatorApps;
  let alice: Account;

  beforeEach(async () => {
    bed = await openFactorBed();
    ({ clock, database } = bed);
    factors = bed.factors.apps;
    alice = await bed.account();
  });
  afterEach(async () => {
    await bed.close();
  });

  const signIn = async (account = alice): Promise<FirstFactorSession> => await bed.signIn(account);
  const codeOf = async (key: string, shiftMs = 0): Promise<string> =>
    await codeAt(key, clock.now() + shiftMs);
  const wrongCode = async (key: string): Promise<string> => await wrongCodeOf(key, clock.now());
  const stateOf = async (account: Account) => await bed.factors.stateOf(account);
  const begin = async (session: FirstFactorSession): Promise<string> => {
    await factors.begin(session);
    const pending = await factors.pending(session);
    if (pending === null) throw new Error('nothing was begun');
    return pending.key;
  };
  const confirm = async (session: FirstFactorSession, code: string) =>
    await factors.confirm(session, peer, code);
  const enroll = async (): Promise<string> => await bed.enroll(alice);

  it('S-39: a seed under a key that this node lacks is an outage, and counts as no guess', async () => {
    const first = await enroll();
    const lost = await database.selectFrom('second_factor').selectAll().executeTakeFirstOrThrow();
    const others = new SealBox(keyRing({ seal: [{ id: 9, first: 0x60 }] }));
    const place = { purpose: 'totp-seed', table: 'second_factor', column: 'sealed' } as const;
    const sealed = others.seal({ ...place, rowId: lost.id, accountId: alice.id }, Buffer.alloc(20));
    await replaceSealed(database, bed.guard, lost, sealed);
    for (let tries = 0; tries < 8; tries += 1) {
      expect(await factors.check(alice, await codeOf(first))).toEqual({ kind: 'unavailable' });
    }
    const second = await bed.addApp(alice);
    for (let tries = 0; tries < 5; tries += 1) {
      expect(await factors.check(alice, await wrongCode(second))).toEqual({ kind: 'unavailable' });
    }
    // The other one is guessed at all the same.
    expect((await factors.check(alice, await wrongCode(second))).kind).toBe('throttled');
    clock.advance(15 * minutes);
    expect(await factors.check(alice, await codeOf(second))).toEqual({ kind: 'right' });
  });

  it('agrees with the vectors of RFC 6238', async () => {
    // The published seed is "12345678901234567890", here in base32.
    const key = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
    expect(await generate({ secret: key, epoch: 59 })).toBe('287082');
    expect(await generate({ secret: key, epoch: 1_111_111_109 })).toBe('081804');
  });

  it('draws 160 bits and seals them', async () => {
    const session = await signIn();
    const key = await begin(session);
    expect(key).toMatch(/^[A-Z2-7]{32}$/);
    const row = await database.selectFrom('second_factor').selectAll().executeTakeFirstOrThrow();
    expect(row.sealed).not.toContain(key);
    expect((await factors.pending(session))?.uri).toBe(
      `otpauth://totp/mail.example.com:alice%40example.com?secret=${key}&issuer=mail.example.com`,
    );
  });

  it('spends the code that enrolled it', async () => {
    const session = await signIn();
    const key = await begin(session);
    const code = await codeOf(key);
    expect(await confirm(session, code)).toBe('added');
    expect(await factors.check(alice, code)).toEqual({ kind: 'used' });
  });

  it('never shows a confirmed seed again', async () => {
    const session = await signIn();
    const key = await begin(session);
    await confirm(session, await codeOf(key));
    expect(await factors.pending(session)).toBeNull();
    expect(await stateOf(alice)).toBe('active');
  });

  it('lets an unfinished enrollment die after ten minutes', async () => {
    const session = await signIn();
    const key = await begin(session);
    clock.advance(10 * minutes);
    expect(await factors.pending(session)).toBeNull();
    expect(await confirm(session, await codeOf(key))).toBe('gone');
    expect(await stateOf(alice)).toBe('none');
  });

  it('shows nobody the seed of another session', async () => {
    const [mine, other] = [await signIn(), await signIn()];
    const key = await begin(mine);
    expect(await factors.pending(other)).toBeNull();
    expect(await begin(other)).not.toBe(key);
    expect((await factors.pending(mine))?.key).toBe(key);
  });

  it('confirms one factor only, however many sessions finish at once', async () => {
    const all = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const session = await signIn();
        return { session, code: await codeOf(await begin(session)) };
      }),
    );
    const outcomes = await Promise.all(all.map(({ session, code }) => confirm(session, code)));
    expect(outcomes.filter((outcome) => outcome === 'added')).toHaveLength(1);
    expect(await database.selectFrom('second_factor').selectAll().execute()).toHaveLength(1);
  });

  it.each(['12345', '1234567', 'abcdef', '', '１２３４５６'])('counts %p nowhere', async (code) => {
    await enroll();
    expect(await factors.check(alice, code)).toEqual({ kind: 'malformed' });
    expect(await database.selectFrom('factor_failure').selectAll().execute()).toEqual([]);
  });

  it('takes a code however it is grouped', async () => {
    const key = await enroll();
    const code = await codeOf(key);
    expect(await factors.check(alice, ` ${code.slice(0, 3)}\u00a0${code.slice(3)} `)).toEqual({
      kind: 'right',
    });
  });

  it.each([
    [-30, 'right'],
    [30, 'right'],
    [-60, 'wrong'],
    [60, 'wrong'],
  ])('answers a code of %d seconds with %s', async (shift, kind) => {
    const key = await enroll();
    expect(await factors.check(alice, await codeOf(key, shift * seconds))).toEqual({ kind });
  });

  it('refuses the previous step after a newer one', async () => {
    const key = await enroll();
    const previous = await codeOf(key, -30 * seconds);
    expect(await factors.check(alice, await codeOf(key))).toEqual({ kind: 'right' });
    expect(await factors.check(alice, previous)).toEqual({ kind: 'used' });
  });

  it('accepts one of twenty posts of one code', async () => {
    const key = await enroll();
    const code = await codeOf(key);
    const checks = await Promise.all(Array.from({ length: 20 }, () => factors.check(alice, code)));
    expect(checks.filter(({ kind }) => kind === 'right')).toHaveLength(1);
  });

  it('looks at five guesses in fifteen minutes, over all sessions', async () => {
    const key = await enroll();
    const wrong = await wrongCode(key);
    const checks = await Promise.all(Array.from({ length: 100 }, () => factors.check(alice, wrong)));
    expect(checks.filter(({ kind }) => kind === 'wrong')).toHaveLength(5);
    const until = clock.now() + 15 * minutes;
    const throttled = checks.find(({ kind }) => kind === 'throttled');
    expect(throttled).toEqual({ kind: 'throttled', until: expect.any(Number) });
    expect(Math.abs((throttled as { until: number }).until - until)).toBeLessThan(seconds);

    expect(await factors.check(alice, await codeOf(key))).toMatchObject({ kind: 'throttled' });
    clock.advance(15 * minutes + seconds);
    expect(await factors.check(alice, await codeOf(key))).toEqual({ kind: 'right' });
  });

  it('leaves other accounts alone', async () => {
    const wrong = await wrongCode(await enroll());
    for (let guess = 0; guess < 6; guess += 1) await factors.check(alice, wrong);
    const bob = await bed.account('bob@example.com');
    const session = await signIn(bob);
    const key = await begin(session);
    await confirm(session, await codeOf(key));
    clock.advance(minutes);
    expect(await factors.check(bob, await codeOf(key))).toEqual({ kind: 'right' });
  });

  it('looks at twenty guesses a day', async () => {
    const key = await enroll();
    let looked = 0;
    for (let round = 0; round < 12; round += 1) {
      const wrong = await wrongCode(key);
      for (let guess = 0; guess < 6; guess += 1) {
        if ((await factors.check(alice, wrong)).kind === 'wrong') looked += 1;
      }
      clock.advance(hours);
    }
    expect(looked).toBe(20);
  });

  it('disables the factor at the fiftieth wrong guess in a row', async () => {
    const key = await enroll();
    let guesses = 0;
    for (let day = 0; day < 5; day += 1) {
      for (let round = 0; round < 4; round += 1) {
        const wrong = await wrongCode(key);
        for (let guess = 0; guess < 5 && (await stateOf(alice)) === 'active'; guess += 1) {
          await factors.check(alice, wrong);
          guesses += 1;
        }
        clock.advance(hours);
      }
      clock.advance(days);
    }
    expect(guesses).toBe(50);
    expect(await stateOf(alice)).toBe('disabled');
    expect(await factors.check(alice, await codeOf(key))).toEqual({ kind: 'disabled' });
    // And nobody may enroll another one in its place.
    const session = await signIn();
    expect(await confirm(session, await codeOf(await begin(session)))).toBe('gone');
  });

  it('disables the factor at a hundred wrong guesses in thirty days, whatever was right between', async () => {
    const key = await enroll();
    let wrongs = 0;
    for (let day = 0; day < 12 && (await stateOf(alice)) === 'active'; day += 1) {
      for (let round = 0; round < 2; round += 1) {
        const wrong = await wrongCode(key);
        for (let guess = 0; guess < 4 && (await stateOf(alice)) === 'active'; guess += 1) {
          await factors.check(alice, wrong);
          wrongs += 1;
        }
        await factors.check(alice, await codeOf(key));
        clock.advance(hours);
      }
      clock.advance(days);
    }
    expect(await stateOf(alice)).toBe('active');
    for (let day = 0; day < 5 && (await stateOf(alice)) === 'active'; day += 1) {
      const wrong = await wrongCode(key);
      for (let guess = 0; guess < 5 && (await stateOf(alice)) === 'active'; guess += 1) {
        await factors.check(alice, wrong);
        wrongs += 1;
      }
      await factors.check(alice, await codeOf(key));
      clock.advance(days);
    }
    expect(await stateOf(alice)).toBe('disabled');
    expect(wrongs).toBe(100);
  });
});
