import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { FirstFactorSession, SteppedUpSession } from '../../src/identity/portal-session.ts';
import type { EnrollingSession } from '../../src/identity/second-factor/changes.ts';
import type { Passkeys } from '../../src/identity/second-factor/webauthn.ts';
import { ForgedRowError } from '../../src/store/row-guard.ts';
import type { Account } from '../../src/store/schema.ts';
import { minutes, seconds } from './clock.ts';
import { type FactorBed, openFactorBed, peer } from './factor-bed.ts';
import { type Saying, SoftwareAuthenticator } from './software-authenticator.ts';

const origin = 'https://mail.example.com:8443';
const wrongForBoth: readonly (readonly [string, Saying])[] = [
  ['the origin of another port', { origin: 'https://mail.example.com' }],
  ['the origin of another host', { origin: 'https://mail.example.com.evil.example:8443' }],
  ['another scheme', { origin: 'http://mail.example.com:8443' }],
  ['another rpId', { rpId: 'example.com' }],
  ['a challenge of its own', { challenge: randomBytes(32).toString('base64url') }],
  ['a challenge that is none', { challenge: 'AAAA' }],
  ['a frame of another site', { crossOrigin: true }],
  ['a frame of another site that is named', { crossOrigin: true, topOrigin: 'https://evil.example' }],
  ['a top origin without a frame', { topOrigin: 'https://evil.example' }],
  ['nobody present', { isUserPresent: false }],
];

describe('passkeys', () => {
  let bed: FactorBed;
  let passkeys: Passkeys;
  let alice: Account;
  let key: SoftwareAuthenticator;

  beforeEach(async () => {
    bed = await openFactorBed();
    ({ passkeys } = bed.factors);
    alice = await bed.account();
    key = new SoftwareAuthenticator(origin);
  });
  afterEach(async () => {
    await bed.close();
  });

  const signIn = async (): Promise<FirstFactorSession> => await bed.signIn(alice);
  const stepUp = async (): Promise<SteppedUpSession> => await bed.stepUp(alice);
  const questionOf = async (session: EnrollingSession) => {
    await passkeys.beginCreation(session);
    const options = await passkeys.creationOptions(session);
    if (options === null) throw new Error('no question');
    return options;
  };
  const add = async (session: EnrollingSession, saying: Saying = {}, with_ = key) =>
    await passkeys.confirm(session, peer, with_.create(await questionOf(session), saying), 'blue key');
  const ask = async (session: FirstFactorSession | SteppedUpSession) => {
    await passkeys.beginCheck(session);
    const options = await passkeys.checkOptions(session);
    if (options === null) throw new Error('no question');
    return options;
  };
  const show = async (session: FirstFactorSession | SteppedUpSession, saying: Saying = {}) =>
    await passkeys.check(session, peer, key.get(await ask(session), saying));
  const rows = async () => await bed.database.selectFrom('second_factor').selectAll().execute();

  it('S-78: asks for what this host takes: no attestation, three algorithms, a handle of 32 random bytes', async () => {
    const session = await signIn();
    const options = await questionOf(session);
    expect(options).toMatchObject({
      rp: { id: 'mail.example.com' },
      user: { name: 'alice@example.com' },
      attestation: 'none',
      authenticatorSelection: { userVerification: 'preferred' },
      excludeCredentials: [],
    });
    expect(options.pubKeyCredParams.map(({ alg }) => alg).toSorted()).toEqual([-257, -7, -8]);
    expect(Buffer.from(options.challenge, 'base64url')).toHaveLength(32);
    expect(Buffer.from(options.user.id, 'base64url')).toHaveLength(32);
    expect((await questionOf(await signIn())).user.id).toBe(options.user.id);
    const bob = await bed.signIn(await bed.account('bob@example.com'));
    expect((await questionOf(bob)).user.id).not.toBe(options.user.id);
  });

  it('is made, kept with what it said of itself, and shown', async () => {
    const session = await signIn();
    expect(await add(session, { isBackupEligible: true, isBackedUp: true, counter: 3 })).toBe('added');
    expect(await rows()).toMatchObject([
      {
        kind: 'passkey',
        name: 'blue key',
        rp_id: 'mail.example.com',
        credential_id: key.credentialId,
        user_verified: 1,
        backup_eligible: 1,
        backed_up: 1,
        sign_count: 3,
        transports: 'usb',
      },
    ]);
    expect(await bed.actions(alice)).toEqual(['factor.added']);
    const options = await ask(await signIn());
    expect(options).toMatchObject({
      rpId: 'mail.example.com',
      userVerification: 'preferred',
      allowCredentials: [{ id: key.credentialId.toString('base64url'), transports: ['usb'] }],
    });
    expect(await show(await signIn(), { isBackupEligible: true, counter: 4 })).toBe('right');
    expect(await rows()).toMatchObject([{ sign_count: 4, backed_up: 0 }]);
  });

  describe('S-78: a new one is refused with', () => {
    it.each<readonly [string, Saying]>([
      ...wrongForBoth,
      ['the type of a check', { type: 'webauthn.get' }],
      ['an algorithm that was not offered', { algorithm: -35 }],
      ['an attestation that was not asked for', { attestation: 'fido-u2f' }],
      ['an attestation that nobody knows', { attestation: 'own' }],
    ])('%s', async (_what, saying) => {
      expect(['refused', 'gone']).toContain(await add(await signIn(), saying));
      expect(await rows()).toEqual([]);
    });

    it.each(['', '{}', 'null', '[]', '{"id":1}', 'x'.repeat(20_000)])('the answer %.20p', async (answer) => {
      const session = await signIn();
      await questionOf(session);
      expect(await passkeys.confirm(session, peer, answer, '')).toBe('refused');
    });
  });

  describe('S-78: a check is refused with', () => {
    beforeEach(async () => {
      await add(await signIn());
    });

    it.each<readonly [string, Saying]>([
      ...wrongForBoth,
      ['the type of a new one', { type: 'webauthn.create' }],
      ['a foreign userHandle', { userHandle: randomBytes(32).toString('base64url') }],
      ['another credential', { credentialId: randomBytes(32) }],
      ['another backup eligibility', { isBackupEligible: true }],
    ])('%s', async (_what, saying) => {
      expect(['refused', 'gone']).toContain(await show(await signIn(), saying));
      expect(await show(await signIn())).toBe('right');
    });

    it('the signature of another key', async () => {
      const session = await signIn();
      const other = new SoftwareAuthenticator(origin);
      const answer = other.get(await ask(session), { credentialId: key.credentialId, userHandle: null });
      expect(await passkeys.check(session, peer, answer)).toBe('refused');
    });

    it('somebody else’s key', async () => {
      const bob = await bed.account('bob@example.com');
      const his = new SoftwareAuthenticator(origin);
      const session = await bed.signIn(bob);
      await passkeys.confirm(session, peer, his.create(await questionOf(session)), '');
      const mine = await signIn();
      expect(await passkeys.check(mine, peer, his.get(await ask(mine), { userHandle: null }))).toBe(
        'refused',
      );
    });

    it('a key that was removed', async () => {
      await bed.addApp(alice);
      const session = await stepUp();
      const [passkey] = (await bed.factors.list(alice)).filter(({ kind }) => kind === 'passkey');
      const late = await signIn();
      const answer = key.get(await ask(late));
      expect(await bed.factors.remove(session, peer, passkey?.id ?? Buffer.alloc(0))).toBe('removed');
      expect(await passkeys.check(late, peer, answer)).toBe('refused');
    });
  });

  describe('S-78: a challenge', () => {
    beforeEach(async () => {
      await add(await signIn());
    });

    it('is good once, of two answers at once as well', async () => {
      const session = await signIn();
      const answer = key.get(await ask(session));
      const outcomes = await Promise.all([
        passkeys.check(session, peer, answer),
        passkeys.check(session, peer, answer),
      ]);
      expect(outcomes.toSorted()).toEqual(['gone', 'right']);
      expect(await passkeys.check(session, peer, answer)).toBe('gone');
    });

    it('is spent by an answer that was not good', async () => {
      const session = await signIn();
      const options = await ask(session);
      expect(await passkeys.check(session, peer, key.get(options, { origin: 'https://evil.example' }))).toBe(
        'refused',
      );
      expect(await passkeys.check(session, peer, key.get(options))).toBe('gone');
    });

    it('is good for five minutes', async () => {
      const [session, late] = [await signIn(), await signIn()];
      const [options, lateOptions] = [await ask(session), await ask(late)];
      bed.clock.advance(5 * minutes - seconds);
      expect(await passkeys.check(session, peer, key.get(options))).toBe('right');
      bed.clock.advance(seconds);
      expect(await passkeys.check(late, peer, key.get(lateOptions))).toBe('gone');
      expect(await passkeys.checkOptions(late)).toBeNull();
    });

    it('is of its own session and ceremony', async () => {
      const [mine, other] = [await signIn(), await signIn()];
      expect(await passkeys.check(other, peer, key.get(await ask(mine)))).toBe('gone');
      const session = await stepUp();
      const fresh = new SoftwareAuthenticator(origin);
      const asked = await ask(session);
      const created = { ...(await questionOf(session)), challenge: asked.challenge };
      expect(await passkeys.confirm(session, peer, fresh.create(created), '')).toBe('gone');
    });

    it('S-34: that SQL has moved to another session is an alarm', async () => {
      const [mine, other] = [await signIn(), await signIn()];
      const answer = key.get(await ask(mine));
      await bed.database
        .updateTable('webauthn_challenge')
        .set({ session_hash: other.idHash } as never)
        .execute();
      await expect(passkeys.check(other, peer, answer)).rejects.toThrow(ForgedRowError);
    });
  });

  describe('user verification', () => {
    it('S-78: is required to step up, and preferred after a main password', async () => {
      await add(await signIn());
      expect(await ask(await stepUp())).toMatchObject({ userVerification: 'required' });
      expect(await show(await stepUp(), { isUserVerified: false })).toBe('refused');
      expect(await show(await stepUp())).toBe('right');
      expect(await show(await signIn(), { isUserVerified: false })).toBe('right');
    });

    it('S-78: a key that was enrolled without it never satisfies the rule', async () => {
      await add(await signIn(), { isUserVerified: false });
      expect(await rows()).toMatchObject([{ user_verified: 0 }]);
      const session = await stepUp();
      expect(await bed.factors.waysOf(session)).toMatchObject({ methods: [], hasTouchOnlyKey: true });
      await passkeys.beginCheck(session);
      expect(await passkeys.checkOptions(session)).toBeNull();
      const { challenge } = await bed.database
        .selectFrom('webauthn_challenge')
        .select('challenge')
        .where('session_hash', '=', session.idHash)
        .executeTakeFirstOrThrow();
      const forced = key.get({ challenge: challenge.toString('base64url') } as never);
      expect(await passkeys.check(session, peer, forced)).toBe('refused');
      expect(await show(await signIn(), { isUserVerified: false })).toBe('right');
    });
  });

  describe('S-79: a counter', () => {
    const fell = 'passkey.counter-fell';
    it.each<[string, boolean, readonly number[], readonly string[], readonly string[], number]>([
      ['that is always zero is nothing', false, [0, 0, 0], ['right', 'right'], [], 0],
      ['that rises is good', false, [3, 4, 9], ['right', 'right'], [], 9],
      ['that stands still is refused', false, [3, 3, 4], ['refused', 'right'], [fell], 4],
      ['that falls is refused', false, [9, 8, 0], ['refused', 'refused'], [fell, fell], 9],
      [
        'that falls where keys are copied by design is told',
        true,
        [9, 8, 9],
        ['right', 'right'],
        [fell, fell],
        9,
      ],
      ['that begins to count is good', false, [0, 1], ['right'], [], 1],
    ])('%s', async (_what, isBackupEligible, [first = 0, ...next], outcomes, told, kept) => {
      await add(await signIn(), { counter: first, isBackupEligible });
      const seen: string[] = [];
      for (const counter of next) seen.push(await show(await signIn(), { counter, isBackupEligible }));
      expect(seen).toEqual(outcomes);
      expect((await bed.actions(alice)).filter((action) => action !== 'factor.added')).toEqual(told);
      // It never goes back, whatever was accepted.
      expect((await rows())[0]?.sign_count).toBe(kept);
    });
  });

  it('S-78: a credential belongs to one account', async () => {
    await add(await signIn());
    const bob = await bed.account('bob@example.com');
    const session = await bed.signIn(bob);
    const twin = key.create(await questionOf(session));
    expect(await passkeys.confirm(session, peer, twin, '')).toBe('exists');
    const again = await stepUp();
    const options = await questionOf(again);
    expect(options.excludeCredentials).toMatchObject([{ id: key.credentialId.toString('base64url') }]);
    expect(await passkeys.confirm(again, peer, key.create(options), '')).toBe('exists');
  });

  it('S-34: with another public key it is an alarm, not another key', async () => {
    await add(await signIn());
    const session = await signIn();
    const answer = key.get(await ask(session));
    await bed.database
      .updateTable('second_factor')
      .set({ public_key: randomBytes(77) } as never)
      .execute();
    await expect(passkeys.check(session, peer, answer)).rejects.toThrow(ForgedRowError);
  });
});
