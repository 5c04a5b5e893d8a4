import { setTimeout as sleep } from 'node:timers/promises';
import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { loadKeyFile } from '../../src/credentials/key-file.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { listAccounts } from '../../src/store/accounts.ts';
import { openStore } from '../store/open-store.ts';
import { tester, testJournal } from '../support/journal.ts';
import { rowGuard } from './row-guard.ts';

// Run as a process of its own: DATABASE KEYFILE. Makes and revokes app passwords of the first account until it is killed,
// and prints each id once its revocation is committed.
const [at = '', keyFile = ''] = process.argv.slice(2);
const database = openStore(at);
const keys = await loadKeyFile(keyFile);
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
const [first] = await listAccounts(database, rowGuard(keys));
if (first === undefined) throw new Error('no account');
for (;;) {
  const made = await appPasswords.create({
    account: { ...first.account, row_mac: Buffer.alloc(0) },
    label: 'Written',
    scopes: ['imap'],
    networks: [],
    expiresInMs: undefined,
    createdBy: 'test',
    actor: tester,
    isByOperator: true,
  });
  if (made.kind !== 'created') throw new Error(made.kind);
  await appPasswords.revoke(first.account.id, made.id, 'test', tester);
  process.stdout.write(`${made.id.toString('hex')}\n`);
  await sleep(2);
}
