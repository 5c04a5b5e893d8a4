import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { findAccount } from '../../src/store/accounts.ts';
import { openStore } from '../store/open-store.ts';
import { tester, testJournal } from '../support/journal.ts';
import { keyRing } from './keys.ts';
import { rowGuard } from './row-guard.ts';

// Run as a process of its own: FILE ADDRESS COUNT. Creates that many app passwords at once, prints how each ended.
const [file = '', address = '', count = '0'] = process.argv.slice(2);
const database = openStore(file);
const keys = keyRing();
const account = await findAccount(database, rowGuard(keys), address);
if (account === null) throw new Error('no such account');
const argon2 = { memoryKib: 7_168, passes: 1, lanes: 1 };
const appPasswords = new AppPasswords({
  database,
  keys,
  passwordHash: new PasswordHash({ keys, argon2, now: Date.now }),
  revocations: null,
  config: {
    appPasswords: {
      maxPerAccount: 40,
      createdPerHour: 10,
      defaultExpiryMs: null,
      unusedAfterMs: null,
      cacheTtlMs: 0,
      keepEndedMs: 86_400_000,
      argon2,
    },
  },
  journal: testJournal(keys, Date.now),
  now: Date.now,
});
const outcomes = await Promise.all(
  Array.from({ length: Number(count) }, () =>
    appPasswords.create({
      account,
      label: 'Parallel',
      scopes: ['imap'],
      networks: [],
      expiresInMs: undefined,
      createdBy: 'test',
      actor: tester,
      isByOperator: true,
    }),
  ),
);
process.stdout.write(JSON.stringify(outcomes.map(({ kind }) => kind)));
await database.destroy();
