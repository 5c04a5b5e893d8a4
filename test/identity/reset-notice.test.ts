import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { AccountCare } from '../../src/identity/account-care.ts';
import type { Account } from '../../src/store/schema.ts';
import { documentsConfig } from '../portal/client-setup/documents.ts';
import { tester, testJournal } from '../support/journal.ts';
import { type FactorBed, openFactorBed } from './factor-bed.ts';

describe('a reset of second factors', () => {
  let bed: FactorBed;
  let alice: Account;
  let care: AccountCare;
  beforeEach(async () => {
    bed = await openFactorBed();
    const { database, guard, keys } = bed;
    const { now } = bed.clock;
    const journal = testJournal(keys, now, { database, guard });
    const appPasswords = new AppPasswords({
      ...{ database, keys, journal, now, revocations: null },
      passwordHash: new PasswordHash({ keys, argon2: { memoryKib: 7_168, passes: 1, lanes: 1 }, now }),
      config: documentsConfig({}) as never,
    });
    care = new AccountCare({ database, guard, appPasswords, revocations: null, journal, now });
    alice = await bed.account();
    await bed.enroll(alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const told = async () =>
    await bed.database
      .selectFrom('notice_delivery')
      .innerJoin('notice', 'notice.id', 'notice_delivery.notice_id')
      .select(['notice.kind', 'channel', 'recipient'])
      .execute();

  it('S-83: a reset is told to the alternate address too, which goes with it', async () => {
    await bed.addAddress(alice, 'alice@elsewhere.example');
    await care.resetFactors(alice, 'keep', { actor: tester, reason: undefined });
    expect(await bed.factors.list(await bed.fresh(alice))).toEqual([]);
    expect(await told()).toContainEqual({
      kind: 'factors-reset',
      channel: 'alternate',
      recipient: 'alice@elsewhere.example',
    });
  });

  it('S-83: an address that somebody wrote into the database is told nothing, and holds up no reset', async () => {
    await bed.addAddress(alice, 'alice@elsewhere.example');
    await bed.database
      .updateTable('second_factor')
      .set({ address: 'mallory@evil.example' } as object)
      .where('kind', '=', 'email')
      .execute();
    await care.resetFactors(alice, 'keep', { actor: tester, reason: undefined });
    expect((await told()).map(({ channel }) => channel).toSorted()).toEqual(['mailbox', 'mailbox-copy']);
  });
});
