import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { loadKeyFile } from '../../src/credentials/key-file.ts';
import { PasswordHash } from '../../src/credentials/password-hash.ts';
import { RevocationFeed } from '../../src/credentials/revocation.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { openStore } from '../store/open-store.ts';
import { tester, testJournal } from '../support/journal.ts';

// Run as a process of its own: DATABASE KEYFILE ID. Revokes an app password and is killed with SIGKILL when it has written
// that and is about to tell the others.
const [at = '', keyFile = '', hex = ''] = process.argv.slice(2);
const database = openStore(at);
const keys = await loadKeyFile(keyFile);
const argon2 = { memoryKib: 7_168, passes: 1, lanes: 1 };
const revocations = new RevocationFeed({
  database,
  now: Date.now,
  monotonic: () => performance.now(),
  windowMs: 3_600_000,
  maxStalenessMs: 60_000,
  metrics: createMetrics(),
  nudge: {
    publish: async () => {
      process.kill(process.pid, 'SIGKILL');
    },
    subscribe: () => undefined,
  },
});
const appPasswords = new AppPasswords({
  database,
  keys,
  passwordHash: new PasswordHash({ keys, argon2, now: Date.now }),
  revocations,
  journal: testJournal(keys, Date.now),
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
  now: Date.now,
});
const view = await appPasswords.find(Buffer.from(hex, 'hex'));
if (view === null) throw new Error('no such app password');
await appPasswords.revoke(view.accountId, view.id, 'test', tester);
throw new Error('still alive');
