import { AuditTrail } from '../../src/credentials/audit-trail.ts';
import { type Actor, Journal } from '../../src/credentials/journal.ts';
import type { KeyRing } from '../../src/credentials/key-file.ts';
import { Notices } from '../../src/credentials/notices.ts';
import type { Database } from '../../src/store/database.ts';
import type { RowGuard } from '../../src/store/row-guard.ts';

/** Who does things where it does not matter. */
export const tester: Actor = { kind: 'operator', user: 'test' };

/** A journal as a gateway has it; without a database and a guard people are told nothing. */
export function testJournal(
  keys: KeyRing,
  now: () => number,
  notices: { readonly database: Database; readonly guard: RowGuard } | null = null,
): Journal {
  const settings = { perHour: 20, hasWebhook: false };
  return journalOf(keys, now, notices === null ? null : new Notices({ ...notices, settings, now }));
}

export function journalOf(keys: KeyRing, now: () => number, notices: Notices | null): Journal {
  return new Journal({ audit: new AuditTrail({ keys, now, node: 'test' }), notices });
}
