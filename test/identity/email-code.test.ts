import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Config } from '../../src/config/schema.ts';
import { maskedAddress } from '../../src/identity/second-factor/email-code.ts';
import type { Account } from '../../src/store/schema.ts';
import { days, hours, minutes, seconds } from './clock.ts';
import { type FactorBed, factorConfig, openFactorBed, peer } from './factor-bed.ts';

const elsewhere = 'alice@example.net';

describe('e-mail codes', () => {
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

  const codes = () => bed.factors.emailCodes;
  const wrongCode = () => (bed.letterbox.lastCode === '00000000' ? '11111111' : '00000000');

  it('S-81: are off by default', async () => {
    const off = await openFactorBed('SQLite', factorConfig({ secondFactors: { email_code: false } }));
    const bob = await off.account('bob@example.com');
    await off.enroll(bob);
    const session = await off.stepUp(bob);
    expect(off.factors.emailCodes.isOffered).toBe(false);
    expect(await off.factors.methodsToAdd(session)).toEqual(['totp', 'passkey']);
    expect(await off.factors.emailCodes.begin(session, elsewhere, 'en')).toEqual({ kind: 'disabled' });
    expect(off.letterbox.letters).toEqual([]);
    await off.close();
  });

  it('S-81: stand beside another factor only, and are confirmed in a stepped-up session', async () => {
    const bob = await bed.account('bob@example.com');
    const first = await bed.signIn(bob);
    expect(await bed.factors.methodsToAdd(first)).toEqual(['totp', 'passkey']);
    await bed.addAddress(alice, elsewhere);
    expect(await bed.factors.list(alice)).toMatchObject([
      { kind: 'totp' },
      { kind: 'email', masked: 'a…@example.net' },
    ]);
    expect(await bed.actions(alice)).toEqual(['factor.added', 'factor.added', 'alternate-address.changed']);
  });

  it('S-81: go to no address whose domain the gateway has come to serve since', async () => {
    await bed.addAddress(alice, elsewhere);
    const { domains } = bed.config;
    const served = { ...domains, 'example.net': domains['example.com'] } as Config['domains'];
    const { factors } = bed.otherNode({ ...bed.config, domains: served });
    const session = await bed.signIn(alice);
    const before = bed.letterbox.letters.length;
    expect(await factors.emailCodes.beginCheck(session, 'en')).toEqual({ kind: 'disabled' });
    expect(bed.letterbox.letters).toHaveLength(before);
    expect((await factors.waysOf(session)).methods).toEqual(['totp']);
    expect((await bed.factors.waysOf(session)).methods).toEqual(['totp', 'email']);
  });

  it.each([
    ['bob@example.com', 'served'],
    ['alice@OTHER.example', 'served'],
    ['bob@alias.example', 'served'],
    ['ALICE@example.com', 'same'],
    ['alice', 'invalid'],
    ['alice@localhost', 'invalid'],
    ['a b@example.net', 'invalid'],
    ['alice@example.net\r\nBcc: all@example.net', 'invalid'],
    ['', 'invalid'],
    [`${'a'.repeat(250)}@example.net`, 'invalid'],
  ])('S-81: an alternate address %p is refused as %s', async (address, kind) => {
    expect(await codes().begin(await bed.stepUp(alice), address, 'en')).toEqual({ kind });
    expect(bed.letterbox.letters).toEqual([]);
  });

  it('S-81: are eight digits, good for ten minutes, sent in the language asked for', async () => {
    const session = await bed.stepUp(alice);
    expect(await codes().begin(session, ` ${elsewhere} `, 'lv')).toEqual({ kind: 'sent' });
    expect(bed.letterbox.letters).toEqual([
      {
        to: elsewhere,
        language: 'lv',
        code: expect.stringMatching(/^\d{8}$/),
        until: bed.clock.now() + 10 * minutes,
      },
    ]);
    expect(await codes().pending(session)).toEqual({
      masked: 'a…@example.net',
      until: bed.clock.now() + 10 * minutes,
    });
    bed.clock.advance(10 * minutes);
    expect(await codes().pending(session)).toBeNull();
    expect(await codes().confirm(session, peer, bed.letterbox.lastCode)).toBe('expired');
  });

  it('S-81: a code lies nowhere in the database', async () => {
    await codes().begin(await bed.stepUp(alice), elsewhere, 'en');
    const row = await bed.database.selectFrom('email_code').selectAll().executeTakeFirstOrThrow();
    const text = Object.values(row).map((value) =>
      Buffer.isBuffer(value) ? value.toString('latin1') : String(value),
    );
    expect(text.join(' ')).not.toContain(bed.letterbox.lastCode);
  });

  it('S-81: the code of one session is nothing in another', async () => {
    await bed.addAddress(alice, elsewhere);
    const [one, two] = [await bed.signIn(alice), await bed.signIn(alice)];
    await codes().beginCheck(one, 'en');
    const code = bed.letterbox.lastCode;
    expect(await codes().check(two, code)).toEqual({ kind: 'expired' });
    await codes().beginCheck(two, 'en');
    expect(code === bed.letterbox.lastCode ? { kind: 'wrong' } : await codes().check(two, code)).toEqual({
      kind: 'wrong',
    });
    expect(await codes().check(one, code)).toEqual({ kind: 'right' });
  });

  it('S-81: take five tries each', async () => {
    await bed.addAddress(alice, elsewhere);
    const session = await bed.stepUp(alice);
    await codes().begin(session, 'other@example.net', 'en');
    for (let guess = 0; guess < 5; guess += 1) {
      expect(await codes().confirm(session, peer, wrongCode())).toBe('wrong');
    }
    expect(await codes().confirm(session, peer, bed.letterbox.lastCode)).toBe('expired');
  });

  it('S-81: three are sent in a quarter of an hour, whatever session asks', async () => {
    await bed.addAddress(alice, elsewhere);
    bed.clock.advance(15 * minutes);
    for (let sent = 0; sent < 3; sent += 1) {
      expect(await codes().beginCheck(await bed.signIn(alice), 'en')).toEqual({ kind: 'sent' });
      bed.clock.advance(seconds);
    }
    const now = bed.clock.now();
    expect(await codes().beginCheck(await bed.signIn(alice), 'en')).toEqual({
      kind: 'throttled',
      until: now + 15 * minutes - 3 * seconds,
    });
    bed.clock.advance(15 * minutes - 3 * seconds);
    expect(await codes().beginCheck(await bed.signIn(alice), 'en')).toEqual({ kind: 'sent' });
  });

  it('S-76: a new code resets no count', async () => {
    await bed.addAddress(alice, elsewhere);
    bed.clock.advance(hours);
    const session = await bed.signIn(alice);
    await codes().beginCheck(session, 'en');
    for (let guess = 0; guess < 3; guess += 1)
      expect(await codes().check(session, wrongCode())).toEqual({ kind: 'wrong' });
    await codes().beginCheck(session, 'en');
    for (let guess = 0; guess < 2; guess += 1)
      expect(await codes().check(session, wrongCode())).toEqual({ kind: 'wrong' });
    expect(await codes().check(session, bed.letterbox.lastCode)).toMatchObject({ kind: 'throttled' });
    expect(await bed.actions(alice)).toContain('factors.guessed');
  });

  it('a new code ends the last one of its session', async () => {
    await bed.addAddress(alice, elsewhere);
    bed.clock.advance(hours);
    const session = await bed.signIn(alice);
    await codes().beginCheck(session, 'en');
    const old = bed.letterbox.lastCode;
    await codes().beginCheck(session, 'en');
    const fresh = bed.letterbox.lastCode;
    if (old !== fresh) expect(await codes().check(session, old)).toEqual({ kind: 'wrong' });
    expect(await codes().check(session, fresh)).toEqual({ kind: 'right' });
  });

  it('that could not be sent are told so, and counted nowhere', async () => {
    bed.letterbox.isDown = true;
    const session = await bed.stepUp(alice);
    for (let sent = 0; sent < 4; sent += 1) {
      expect(await codes().begin(session, elsewhere, 'en')).toEqual({ kind: 'unavailable' });
    }
    expect(await codes().pending(session)).toBeNull();
    bed.letterbox.isDown = false;
    expect(await codes().begin(session, elsewhere, 'en')).toEqual({ kind: 'sent' });
  });

  it('a new address takes the place of the old one, and both are told of in the trail', async () => {
    await bed.addAddress(alice, elsewhere);
    bed.clock.advance(hours);
    await bed.addAddress(alice, 'alice@example.org');
    expect((await bed.factors.list(alice)).filter(({ kind }) => kind === 'email')).toMatchObject([
      { masked: 'a…@example.org' },
    ]);
    const entry = await bed.database
      .selectFrom('audit_entry')
      .select('entry')
      .where('action', '=', 'alternate-address.changed')
      .orderBy('seq', 'desc')
      .executeTakeFirstOrThrow();
    expect(JSON.parse(entry.entry)).toMatchObject({ object: { old: elsewhere, new: 'alice@example.org' } });
  });

  it('S-76: fifty wrong ones turn the method off', async () => {
    await bed.addAddress(alice, elsewhere);
    for (let day = 0; day < 6; day += 1) {
      for (let round = 0; round < 4; round += 1) {
        const session = await bed.signIn(alice);
        await codes().beginCheck(session, 'en');
        for (let guess = 0; guess < 5; guess += 1) await codes().check(session, wrongCode());
        bed.clock.advance(hours);
      }
      bed.clock.advance(days);
    }
    expect((await bed.factors.list(alice)).find(({ kind }) => kind === 'email')).toMatchObject({
      isDisabled: true,
    });
    expect(await codes().beginCheck(await bed.signIn(alice), 'en')).toEqual({ kind: 'disabled' });
    expect(await bed.factors.waysOf(await bed.signIn(alice))).toMatchObject({ methods: ['totp'] });
  });

  it.each(['', '1234567', '123456789', 'abcdefgh'])('count %p nowhere', async (code) => {
    await bed.addAddress(alice, elsewhere);
    const session = await bed.signIn(alice);
    await codes().beginCheck(session, 'en');
    expect(await codes().check(session, code)).toEqual({ kind: 'malformed' });
  });

  it('shows of an address its first letter and its domain', () => {
    expect(maskedAddress('alice@example.net')).toBe('a…@example.net');
    expect(maskedAddress('ā@example.net')).toBe('ā…@example.net');
  });
});
