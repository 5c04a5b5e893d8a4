import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findOpenProfileLink, replaceProfileLink, useProfileLink } from '../../src/store/profile-links.ts';
import type { Account } from '../../src/store/schema.ts';
import { engines } from '../store/scratch-database.ts';
import { days, hours, minutes, seconds } from './clock.ts';
import { type FactorBed, openFactorBed, peer, wrongCodeOf } from './factor-bed.ts';
import { SoftwareAuthenticator } from './software-authenticator.ts';

// The clock was ahead for a while and is set right: what was made meanwhile lies in the future.

const elsewhere = 'alice@example.net';
const quarter = 15 * minutes;

describe.each(engines)('a clock that is set back, on %s', (engine) => {
  let bed: FactorBed;
  let alice: Account;
  let key: string;
  beforeEach(async () => {
    bed = await openFactorBed(engine);
    alice = await bed.account();
    key = await bed.enroll(alice);
  });
  afterEach(async () => await bed.close());

  const guess = async () => await bed.factors.apps.check(alice, await wrongCodeOf(key, bed.clock.now()));
  const guesses = async (count: number) => {
    const kinds: string[] = [];
    for (let index = 0; index < count; index += 1) kinds.push((await guess()).kind);
    return kinds;
  };
  /** What `work` made by a clock that was ahead by so much. */
  const ahead = async <T>(ms: number, work: () => Promise<T>): Promise<T> => {
    bed.clock.step(ms);
    const made = await work();
    bed.clock.step(-ms);
    return made;
  };

  it('S-76: keeps nobody out for longer than any five wrong guesses do', async () => {
    expect(await ahead(3 * hours, () => guesses(5))).toEqual(Array(5).fill('wrong'));
    const { now } = bed.clock;
    // And still counts them.
    expect(await guess()).toEqual({ kind: 'throttled', until: expect.any(Number) });
    const refused = await guess();
    if (refused.kind !== 'throttled') throw new Error(refused.kind);
    expect(refused.until).toBeLessThanOrEqual(now() + quarter);
    expect(refused.until).toBeGreaterThan(now() + quarter - 1 * seconds);
    bed.clock.advance(quarter);
    expect((await guess()).kind).toBe('wrong');
  });

  it('S-76: forgets no guess of before, of meanwhile, or of after', async () => {
    expect(await guesses(2)).toEqual(['wrong', 'wrong']);
    expect(await ahead(20 * days, () => guesses(1))).toEqual(['wrong']);
    expect(await ahead(3 * hours, () => guesses(1))).toEqual(['wrong']);
    expect(await guesses(3)).toEqual(['wrong', 'throttled', 'throttled']);
    // Nor of the day: five now, and fifteen in the quarters of an hour that follow.
    for (const _ of [1, 2, 3]) {
      bed.clock.advance(quarter + 1 * seconds);
      expect(await guesses(6)).toEqual([...Array(5).fill('wrong'), 'throttled']);
    }
    bed.clock.advance(quarter + 1 * seconds);
    expect(await guesses(1)).toEqual(['throttled']);
    bed.clock.advance(1 * days);
    expect(await guesses(1)).toEqual(['wrong']);
  });

  it('S-76: by less than nodes differ moves nothing', async () => {
    await ahead(50 * seconds, () => guesses(5));
    const refused = await guess();
    if (refused.kind !== 'throttled') throw new Error(refused.kind);
    expect(refused.until).toBeGreaterThan(bed.clock.now() + quarter + 49 * seconds);
  });

  it('S-76: of guesses looked at together each is counted', async () => {
    await ahead(3 * hours, () => guesses(2));
    const nodes = [bed, bed.otherNode(), bed.otherNode()];
    const code = await wrongCodeOf(key, bed.clock.now());
    const kinds = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const node = nodes[index % nodes.length] ?? bed;
        return (await node.factors.apps.check(alice, code)).kind;
      }),
    );
    expect(kinds.filter((kind) => kind === 'wrong')).toHaveLength(3);
  });

  it('S-83: tells the person again, although she was told in the future', async () => {
    const told = async () => (await bed.actions(alice)).filter((action) => action === 'factors.guessed');
    await ahead(30 * days, () => guesses(5));
    expect(await told()).toHaveLength(1);
    bed.clock.advance(2 * days);
    // The five count as made just now.
    expect(await guesses(1)).toEqual(['throttled']);
    bed.clock.advance(quarter + 1 * seconds);
    expect(await guesses(1)).toEqual(['wrong']);
    expect(await told()).toHaveLength(2);
  });

  it.each([
    [50 * seconds, true],
    [61 * seconds, false],
    [3 * hours, false],
  ])('S-27: what a clock that was ahead by %d ms made is good: %s', async (step, isGood) => {
    const { apps, emailCodes, passkeys, enrollmentCodes } = bed.factors;
    // The session is the same throughout: sessions have a bound of their own.
    const session = await bed.stepUp(alice);
    const bob = await bed.account('bob@example.com');
    await ahead(step, () => emailCodes.begin(session, elsewhere, 'en'));
    expect((await emailCodes.pending(session)) !== null).toBe(isGood);
    const confirmed = await emailCodes.confirm(session, peer, bed.letterbox.lastCode);
    expect(confirmed).toBe(isGood ? 'added' : 'expired');

    await ahead(step, () => passkeys.beginCreation(session));
    expect((await passkeys.creationOptions(session)) !== null).toBe(isGood);
    const authenticator = new SoftwareAuthenticator('https://mail.example.com:8443');
    const options = await ahead(step, async () => {
      await passkeys.beginCreation(session);
      return await passkeys.creationOptions(session);
    });
    if (options === null) throw new Error('no question');
    const answered = await passkeys.confirm(session, peer, authenticator.create(options), 'key');
    expect(answered).toBe(isGood ? 'added' : 'gone');

    await ahead(step, () => apps.begin(session));
    expect((await apps.pending(session)) !== null).toBe(isGood);

    const code = await ahead(step, () => enrollmentCodes.create(bob.id, { kind: 'gateway' }));
    if (code === null) throw new Error('no code');
    const opened = await enrollmentCodes.check(bob, peer, code.secret.text());
    expect(opened).toEqual({ kind: isGood ? 'right' : 'disabled' });

    const { database, guard, clock } = bed;
    const link = {
      id: Buffer.alloc(16, 1),
      token_hash: Buffer.alloc(32, 2),
      account_id: alice.id,
      device: 'Phone',
      created_at: clock.now() + step,
      not_after: clock.now() + step + 10 * minutes,
    };
    await replaceProfileLink(database, guard, link, 0);
    const found = await findOpenProfileLink(database, guard, link.token_hash, clock.now());
    expect(found !== null).toBe(isGood);
    const use = { at: clock.now(), address: '192.0.2.1', by: null };
    expect((await useProfileLink(database, guard, link.token_hash, use)) !== null).toBe(isGood);
  });

  it('S-76: keeps e-mail codes from nobody for longer than three sent just now do', async () => {
    const { emailCodes } = bed.factors;
    const session = await bed.stepUp(alice);
    const send = async () => await emailCodes.begin(session, elsewhere, 'en');
    await ahead(3 * hours, async () => {
      for (const _ of [1, 2, 3]) expect((await send()).kind).toBe('sent');
    });
    expect(await send()).toEqual({ kind: 'throttled', until: bed.clock.now() + quarter });
    bed.clock.advance(quarter);
    expect((await send()).kind).toBe('sent');
  });

  it('S-74: keeps an enrollment code from nobody for longer than five tries just now do', async () => {
    const bob = await bed.account('bob@example.com');
    const { enrollmentCodes } = bed.factors;
    const code = await enrollmentCodes.create(bob.id, { kind: 'gateway' });
    if (code === null) throw new Error('no code');
    const wrong = '0000-0000-0000-0000';
    await ahead(3 * hours, async () => {
      for (const _ of [1, 2, 3, 4, 5]) {
        expect(await enrollmentCodes.check(bob, peer, wrong)).toEqual({ kind: 'wrong' });
      }
    });
    // A try of the new quarter of an hour; the ten of the code are counted all the same.
    for (const _ of [1, 2, 3, 4]) {
      expect(await enrollmentCodes.check(bob, peer, wrong)).toEqual({ kind: 'wrong' });
    }
    expect(await enrollmentCodes.check(bob, peer, code.secret.text())).toEqual({ kind: 'right' });
  });
});
