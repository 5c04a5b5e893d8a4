import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { replaceProfileLink } from '../../src/store/profile-links.ts';
import type { Account } from '../../src/store/schema.ts';
import { engines } from '../store/scratch-database.ts';
import { days, hours, minutes, seconds } from './clock.ts';
import { codeOf, type FactorBed, openFactorBed, peer, wrongCodeOf } from './factor-bed.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';

describe.each(engines)('second factors over two nodes on %s', (engine) => {
  let bed: FactorBed;
  let alice: Account;
  beforeEach(async () => {
    bed = await openFactorBed(engine);
    alice = await bed.account();
  });
  afterEach(async () => {
    await bed.close();
  });

  it('S-75: of twenty posts of one code one is right', async () => {
    const key = await bed.enroll(alice);
    const nodes = [bed, bed.otherNode()];
    const code = await codeOf(key, bed.clock.now());
    const checks = await Promise.all(
      Array.from({ length: 20 }, (_, index) => nodes[index % 2]?.factors.apps.check(alice, code)),
    );
    expect(checks.filter((check) => check?.kind === 'right')).toHaveLength(1);
    expect(await bed.factors.apps.check(alice, await codeOf(key, bed.clock.now() - 30_000))).not.toEqual({
      kind: 'right',
    });
  });

  it('S-76: of a hundred sessions with five codes each five are looked at', async () => {
    const key = await bed.enroll(alice);
    const nodes = [bed, bed.otherNode()];
    const wrong = await wrongCodeOf(key, bed.clock.now());
    // Each waits for its own answer before it tries again, as a browser does.
    const bySession = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const seen = [];
        for (let guess = 0; guess < 5; guess += 1) {
          seen.push(await nodes[index % 2]?.factors.apps.check(alice, wrong));
        }
        return seen;
      }),
    );
    const checks = bySession.flat();
    const looked = checks.filter((check) => check?.kind === 'wrong');
    expect(looked).toHaveLength(5);
    expect(checks.filter((check) => check?.kind === 'throttled')).toHaveLength(495);
    expect((await bed.actions(alice)).filter((action) => action === 'factors.guessed')).toHaveLength(1);
  });

  it('S-80: a recovery code opens once, of twenty posts over two nodes', async () => {
    await bed.enroll(alice);
    const codes = await bed.factors.recoveryCodes.renew(await bed.stepUp(alice), peer);
    const code = codes?.[0]?.text() ?? '';
    const nodes = [bed, bed.otherNode()];
    const session = await bed.signIn(alice);
    const checks = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        nodes[index % 2]?.factors.recoveryCodes.check(session, peer, code),
      ),
    );
    expect(checks.filter((check) => check?.kind === 'right')).toHaveLength(1);
    expect(await bed.factors.recoveryOf(alice)).toEqual({ left: 9, isSaved: false });
  });

  it('S-81: an e-mail code is right once, of twenty posts over two nodes', async () => {
    await bed.enroll(alice);
    await bed.addAddress(alice, 'alice@example.net');
    const session = await bed.signIn(alice);
    await bed.factors.emailCodes.beginCheck(session, 'en');
    const nodes = [bed, bed.otherNode()];
    const code = bed.letterbox.lastCode;
    const checks = await Promise.all(
      Array.from({ length: 20 }, (_, index) => nodes[index % 2]?.factors.emailCodes.check(session, code)),
    );
    expect(checks.filter((check) => check?.kind === 'right')).toHaveLength(1);
  });

  it('S-74: an enrollment code opens once, of twenty posts over two nodes', async () => {
    const made = await bed.factors.enrollmentCodes.create(alice.id, { kind: 'operator', user: 'root' });
    const code = made?.secret.text() ?? '';
    const nodes = [bed, bed.otherNode()];
    const checks = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        nodes[index % 2]?.factors.enrollmentCodes.check(alice, peer, code),
      ),
    );
    expect(checks.filter((check) => check?.kind === 'right')).toHaveLength(1);
  });

  it('S-78: one answer of an authenticator is right once, of twenty posts over two nodes', async () => {
    const key = new SoftwareAuthenticator('https://mail.example.com:8443');
    const first = await bed.signIn(alice);
    await bed.factors.passkeys.beginCreation(first);
    const options = await bed.factors.passkeys.creationOptions(first);
    if (options === null) throw new Error('no question');
    expect(await bed.factors.passkeys.confirm(first, peer, key.create(options), '')).toBe('added');
    const session = await bed.signIn(alice);
    await bed.factors.passkeys.beginCheck(session);
    const asked = await bed.factors.passkeys.checkOptions(session);
    if (asked === null) throw new Error('no question');
    const answer = key.get(asked);
    const nodes = [bed, bed.otherNode()];
    const checks = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        nodes[index % 2]?.factors.passkeys.check(session, peer, answer),
      ),
    );
    expect(checks.filter((check) => check === 'right')).toHaveLength(1);
  });

  it('S-74: of sessions that enroll a first factor at once one gets it, on whatever node', async () => {
    const nodes = [bed, bed.otherNode()];
    const begun = await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        const node = nodes[index % 2] ?? bed;
        const session = await bed.signIn(alice);
        await node.factors.apps.begin(session);
        const pending = await node.factors.apps.pending(session);
        return { node, session, code: await codeOf(pending?.key ?? '', bed.clock.now()) };
      }),
    );
    const outcomes = await Promise.all(
      begun.map(({ node, session, code }) => node.factors.apps.confirm(session, peer, code)),
    );
    expect(outcomes.filter((outcome) => outcome === 'added')).toHaveLength(1);
    expect(await bed.factors.list(alice)).toHaveLength(1);
  });
});

describe('second factors', () => {
  let bed: FactorBed;
  let alice: Account;
  let key: string;
  beforeEach(async () => {
    bed = await openFactorBed();
    alice = await bed.account();
    key = await bed.enroll(alice);
  });
  afterEach(async () => {
    await bed.close();
  });
  const now = () => bed.clock.now();

  it('S-76: a new session or another node resets no count', async () => {
    const other = bed.otherNode();
    const wrong = await wrongCodeOf(key, now());
    for (let guess = 0; guess < 3; guess += 1) await bed.factors.apps.check(alice, wrong);
    await bed.signIn(alice);
    for (let guess = 0; guess < 2; guess += 1) await other.factors.apps.check(alice, wrong);
    expect(await other.factors.apps.check(alice, await codeOf(key, now()))).toMatchObject({
      kind: 'throttled',
    });
  });

  it('S-76: what too many wrong codes turn off, another factor turns on again; the person is told once', async () => {
    const second = await bed.addApp(alice);
    // Every code is held against both, so both count; only the last of the run is of interest.
    const [first] = await bed.factors.list(alice);
    if (first === undefined) throw new Error('no factor');
    for (let day = 0; day < 6; day += 1) {
      for (let round = 0; round < 4; round += 1) {
        for (let guess = 0; guess < 5; guess += 1) {
          await bed.factors.apps.check(alice, await wrongCodeOf(key, now()));
        }
        bed.clock.advance(hours);
      }
      bed.clock.advance(days);
    }
    expect(await bed.factors.stateOf(alice)).toBe('disabled');
    expect((await bed.actions(alice)).filter((action) => action === 'factor.disabled')).toHaveLength(2);
    expect(await bed.factors.apps.check(alice, await codeOf(second, now()))).toEqual({ kind: 'disabled' });

    const session = await bed.stepUp(alice);
    expect(await bed.factors.enable(session, peer, first.id)).toBe('enabled');
    expect(await bed.factors.enable(session, peer, first.id)).toBe('not-found');
    expect(await bed.factors.stateOf(alice)).toBe('active');
    expect(await bed.factors.apps.check(alice, await codeOf(key, now()))).toEqual({ kind: 'right' });
    expect(await bed.actions(alice)).toContain('factor.enabled');
  });

  it('S-83: five wrong codes within a day after a right main password are told, once a day, whatever kind they are', async () => {
    const codes = await bed.factors.recoveryCodes.renew(await bed.stepUp(alice), peer);
    expect(codes).toHaveLength(10);
    const told = async () =>
      (await bed.actions(alice)).filter((action) => action === 'factors.guessed').length;
    const session = await bed.signIn(alice);
    for (let guess = 0; guess < 2; guess += 1) {
      await bed.factors.apps.check(alice, await wrongCodeOf(key, now()));
      await bed.factors.recoveryCodes.check(session, peer, '7KQ2-9F3M-XT4D-8HVN');
    }
    expect(await told()).toBe(0);
    await bed.factors.apps.check(alice, await wrongCodeOf(key, now()));
    expect(await told()).toBe(1);
    await bed.factors.apps.check(alice, await wrongCodeOf(key, now()));
    expect(await told()).toBe(1);
    bed.clock.advance(days + seconds);
    for (let guess = 0; guess < 5; guess += 1)
      await bed.factors.apps.check(alice, await wrongCodeOf(key, now()));
    expect(await told()).toBe(2);
  });

  it('S-77: no view of a confirmed factor holds its seed', async () => {
    const views = await bed.factors.list(alice);
    expect(views).toHaveLength(1);
    expect(JSON.stringify(views)).not.toContain(key);
    expect(Object.keys(views[0] ?? {})).not.toContain('sealed');
  });

  it('are several of one kind, each with a name, and one shown first', async () => {
    const second = await bed.addApp(alice);
    const [one, two] = await bed.factors.list(alice);
    const session = await bed.stepUp(alice);
    expect(
      await bed.factors.arrange(session, peer, two?.id ?? Buffer.alloc(0), {
        name: 'Tablet',
        isPrimary: true,
      }),
    ).toBe('changed');
    expect(await bed.factors.list(alice)).toMatchObject([
      { name: 'Tablet', isPrimary: true },
      { id: one?.id, isPrimary: false },
    ]);
    expect(await bed.factors.apps.check(alice, await codeOf(key, now()))).toEqual({ kind: 'right' });
    expect(await bed.factors.apps.check(alice, await codeOf(second, now()))).toEqual({ kind: 'right' });
    await bed.addApp(alice);
    expect(await bed.factors.methodsToAdd(await bed.stepUp(alice))).toEqual(['passkey', 'email']);
    await expect(bed.addApp(alice)).rejects.toThrow('full');
  });

  describe('S-82: a change', () => {
    it('of factors ends every other session, and its entry stands in the trail', async () => {
      const [others, mine] = [await bed.sessions.stepUp(await bed.signIn(alice)), await bed.stepUp(alice)];
      const [half] = [await bed.sessions.startFirstFactor(alice)];
      const link = { token_hash: Buffer.alloc(32, 1), account_id: alice.id, device: 'Mac' };
      const times = { created_at: now(), not_after: now() + 10 * minutes };
      await replaceProfileLink(bed.database, bed.guard, { id: Buffer.alloc(16, 1), ...link, ...times }, 0);
      await bed.factors.apps.begin(mine);
      const pending = await bed.factors.apps.pending(mine);
      const code = await codeOf(pending?.key ?? '', now());
      expect(await bed.factors.apps.confirm(mine, peer, code, 'Tablet')).toBe('added');
      expect(await bed.sessions.find('full', others?.token ?? '')).toBeNull();
      expect(await bed.sessions.find('first-factor', half.token)).toBeNull();
      expect(await bed.database.selectFrom('profile_link').selectAll().execute()).toEqual([]);
      const third = await bed.sessions.stepUp(await bed.signIn(alice));
      const [one] = await bed.factors.list(alice);
      expect(await bed.factors.remove(mine, peer, one?.id ?? Buffer.alloc(0))).toBe('removed');
      expect(await bed.sessions.find('full', third?.token ?? '')).toBeNull();
      expect(await bed.actions(alice)).toEqual(['factor.added', 'factor.added', 'factor.removed']);
    });

    it('is not made by a session that is over', async () => {
      const session = await bed.stepUp(alice);
      await bed.addApp(alice);
      const [one] = await bed.factors.list(alice);
      expect(await bed.factors.remove(session, peer, one?.id ?? Buffer.alloc(0))).toBe('gone');
      expect(await bed.factors.recoveryCodes.renew(session, peer)).toBeNull();
      expect(await bed.factors.list(alice)).toHaveLength(2);
    });

    it('removes no last method, and leaves none standing on an address alone', async () => {
      await bed.addAddress(alice, 'alice@example.net');
      const session = await bed.stepUp(alice);
      const views = await bed.factors.list(alice);
      const app = views.find(({ kind }) => kind === 'totp');
      expect(await bed.factors.remove(session, peer, app?.id ?? Buffer.alloc(0))).toBe('last');
      const address = views.find(({ kind }) => kind === 'email');
      expect(await bed.factors.remove(session, peer, address?.id ?? Buffer.alloc(0))).toBe('removed');
      expect(await bed.actions(alice)).toEqual([
        'factor.added',
        'factor.added',
        'alternate-address.changed',
        'factor.removed',
        'alternate-address.changed',
      ]);
    });

    it('S-67: is made to one’s own alone', async () => {
      const bob = await bed.account('bob@example.com');
      await bed.enroll(bob);
      await bed.addApp(bob);
      const [his] = await bed.factors.list(bob);
      const mine = await bed.stepUp(alice);
      const id = his?.id ?? Buffer.alloc(0);
      expect(await bed.factors.remove(mine, peer, id)).toBe('not-found');
      expect(await bed.factors.arrange(mine, peer, id, { name: 'x' })).toBe('not-found');
      expect(await bed.factors.enable(mine, peer, id)).toBe('not-found');
      expect(await bed.factors.list(bob)).toMatchObject([{ name: '' }, { name: '' }]);
    });
  });

  it('S-77: an unfinished app dies with its ten minutes in a session that has one already, too', async () => {
    const session = await bed.stepUp(alice);
    await bed.factors.apps.begin(session);
    const pending = await bed.factors.apps.pending(session);
    bed.clock.advance(10 * minutes);
    expect(await bed.factors.apps.confirm(session, peer, await codeOf(pending?.key ?? '', now()))).toBe(
      'gone',
    );
  });
});
