import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import type { SteppedUpSession } from '../../src/identity/portal-session.ts';
import { disableAccount, enableAccount, resetSecondFactors } from '../../src/store/accounts.ts';
import { listAppPasswords } from '../../src/store/app-passwords.ts';
import { deletePortalSessionsOf, isPortalSessionThere } from '../../src/store/portal-sessions.ts';
import type { Account } from '../../src/store/schema.ts';
import { documentsConfig } from '../portal/client-setup/documents.ts';
import { engines } from '../store/scratch-database.ts';
import { HeldHash } from '../support/held-hash.ts';
import { testJournal } from '../support/journal.ts';
import { type FactorBed, openFactorBed } from './factor-bed.ts';

// Somebody ends what an intruder holds, and the intruder is busy at that very moment.
describe.each(engines)('on %s, what ends at the same time', (engine) => {
  let bed: FactorBed;
  let alice: Account;
  beforeEach(async () => {
    bed = await openFactorBed(engine);
    alice = await bed.account();
    await bed.enroll(alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const sessionsLeft = async () => await bed.database.selectFrom('portal_session').select('level').execute();
  const reset = async () =>
    await bed.database
      .transaction()
      .execute(async (transaction) => resetSecondFactors(transaction, bed.guard, alice.id));
  const endAll = async () => await deletePortalSessionsOf(bed.database, alice.id, null);

  it.each([
    ['a reset of the factors', 'a step-up', reset, (of: SteppedUpSession) => bed.sessions.stepUp(of)],
    [
      'a reset of the factors',
      'a recovery',
      reset,
      (of: SteppedUpSession) => bed.sessions.open(of, 'recovery'),
    ],
    ['an end of all sessions', 'a step-up', endAll, (of: SteppedUpSession) => bed.sessions.stepUp(of)],
    [
      'an end of all sessions',
      'a recovery',
      endAll,
      (of: SteppedUpSession) => bed.sessions.open(of, 'recovery'),
    ],
  ])('S-82: %s leaves no session, not that of %s under way', async (_end, _step, end, step) => {
    for (let round = 0; round < 10; round += 1) {
      const session = await bed.stepUp(alice);
      // Whichever is first: the end takes the new session, or there is nothing to make it of.
      await Promise.all([step(session), end()]);
      expect(await sessionsLeft()).toEqual([]);
    }
  });

  it('S-56: an account that is disabled and enabled again has none of its browser sessions', async () => {
    const started = await bed.sessions.stepUp(await bed.signIn(alice));
    if (started === null) throw new Error('the session was gone');
    await disableAccount(bed.database, bed.guard, alice.id, bed.clock.now());
    await enableAccount(bed.database, bed.guard, alice.id);
    expect(await bed.sessions.find('full', started.token)).toBeNull();
  });

  it.each([
    [
      'the account was disabled',
      async () => disableAccount(bed.database, bed.guard, alice.id, bed.clock.now()),
    ],
    ['the session was ended', endAll],
    ['the factors were reset', reset],
  ])('S-54: no app password comes of an order that was under way when %s', async (_what, end) => {
    const { now } = bed.clock;
    const argon2 = { memoryKib: 7_168, passes: 1, lanes: 1 };
    const passwordHash = new HeldHash({ keys: bed.keys, argon2, now });
    const appPasswords = new AppPasswords({
      ...{ database: bed.database, keys: bed.keys, passwordHash, revocations: null, now },
      journal: testJournal(bed.keys, now),
      config: documentsConfig({}) as never,
    });
    const session = await bed.stepUp(alice);
    const creating = appPasswords.create({
      ...{ account: session.account, label: 'Phone', scopes: ['imap'], networks: [], expiresInMs: null },
      createdBy: 'portal',
      actor: { kind: 'person', address: '203.0.113.7' },
      isStill: async (transaction) => isPortalSessionThere(transaction, alice.id, session.idHash),
    });
    await passwordHash.reached;
    await end();
    passwordHash.release();
    expect(await creating).toEqual({ kind: 'gone' });
    expect(await listAppPasswords(bed.database, alice.id)).toEqual([]);
  });
});
